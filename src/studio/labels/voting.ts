/**
 * Votes, skips and what takes them back. Each is one transaction that ends before it is acknowledged, and leaves a row in the
 * history, even where somebody was first.
 */
import { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import type { Db } from '../../store/database.node.ts'
import type { ProjectSettings, VoteRecord, VoteValue } from './api.ts'
import { repeatAfter } from './next.ts'
import { doneBy } from './progress.ts'
import { requestId } from './settings.ts'
import { adjudicator, currentVote, passes, readTask, recount, type StoredTask } from './tasks.ts'
import { checkedValue, checkShown } from './values.ts'
import { isRight } from './verdicts.ts'

const seconds = z.number().min(0).max(1e6)
const version = z.number().int().min(0)

export const newVote = z.strictObject({
  requestId,
  version,
  value: z.unknown(),
  shown: z.array(z.number().int()),
  seconds,
  touched: z.boolean(),
  adjudicate: z.boolean().default(false),
})
export const newSkip = z.strictObject({ requestId, version, reason: z.string().max(10_000).default(''), seconds })

/** Second passes count their versions from here, so that a version tells which pass the person has on the screen. */
export const secondPass = 1_000_000

/** Whose state a change is about: the person's own, or the decision on the task. */
export type Place = { task: StoredTask; person: number; pass: number }

const holder = ({ person, pass }: Place) => (pass === passes.decision ? adjudicator : person)

export const versionOf = (db: Db, place: Place): number =>
  db.get<{ version: number }>(
    'SELECT version FROM version WHERE task = ? AND person = ? AND pass = ?',
    place.task.id,
    holder(place),
    place.pass,
  )?.version ?? (place.pass === passes.again ? secondPass : 0)

const placeOf = (task: StoredTask, person: number, version: number, adjudicate = false): Place => ({
  task,
  person,
  pass: adjudicate ? passes.decision : version >= secondPass ? passes.again : passes.first,
})

/** What was stored: the vote, and whether it counts. `theirs` is what stood there already. */
export type Stored = {
  vote: number
  version: number
  theirs?: number
  gold?: { right: boolean; explanation?: string }
}

/** Inside of a transaction. Status 400 for a value that the project does not take. */
export const storeVote = (
  db: Db,
  task: StoredTask,
  settings: ProjectSettings,
  person: number,
  given: z.output<typeof newVote>,
): Stored => {
  if (!given.touched) throw httpError(400, 'touched: nothing was chosen yet, so there is nothing to submit')
  const value = checkedValue(given.value, task.responses, settings)
  checkShown(given.shown, task.responses.length)
  const place = placeOf(task, person, given.version, given.adjudicate)
  const kind = given.adjudicate ? 'adjudicate' : 'vote'
  const stored = store(db, place, settings, given.version, { ...given, kind, value })
  if (stored.theirs !== undefined || !task.gold || place.pass !== passes.first) return stored
  return {
    ...stored,
    gold: {
      right: isRight(settings.mode, value, task.gold, task.responses.length),
      ...(task.gold.note && { explanation: task.gold.note }),
    },
  }
}

export const storeSkip = (
  db: Db,
  task: StoredTask,
  settings: ProjectSettings,
  person: number,
  given: z.output<typeof newSkip>,
): Stored =>
  store(db, placeOf(task, person, given.version), settings, given.version, {
    ...given,
    kind: 'skip',
    value: {},
    shown: [],
  })

type Said = { kind: VoteRecord['kind']; value: VoteValue; shown: number[]; seconds: number; reason?: string }

const store = (db: Db, place: Place, settings: ProjectSettings, version: number, said: Said): Stored => {
  const { task, person, pass } = place
  const present = versionOf(db, place)
  if (version !== present) {
    const vote = insert(db, place, said, { refused: true })
    const theirs = lastOf(db, place)
    if (theirs === undefined) throw httpError(400, `version: is ${version}, but nothing changed this task yet`)
    return { vote, version: present, theirs }
  }
  const vote = insert(db, place, said)
  setVersion(db, place, present + 1)
  const before = settle(db, place, settings)
  if (pass !== passes.decision) db.run('DELETE FROM draft WHERE task = ? AND person = ?', task.id, person)
  if (said.kind === 'vote' && pass === passes.first && before !== 'vote') planRepeat(db, place, settings)
  return { vote, version: present + 1 }
}

const insert = (
  db: Db,
  { task, person, pass }: Place,
  { kind, value, shown, seconds, reason }: Said,
  { refused = false, undoes = null as number | null } = {},
): number =>
  db.run(
    `INSERT INTO vote (project, task, person, kind, pass, value, shown, seconds, reason, at, refused, undoes)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    task.project,
    task.id,
    person,
    kind,
    pass,
    JSON.stringify(value),
    JSON.stringify(shown),
    seconds,
    reason === undefined ? null : JSON.stringify(reason),
    new Date().toISOString(),
    refused ? 1 : 0,
    undoes,
  ).id

const setVersion = (db: Db, place: Place, version: number) =>
  db.run('INSERT OR REPLACE INTO version VALUES (?, ?, ?, ?)', place.task.id, holder(place), place.pass, version)

/** The last thing that happened at a place, an undo too. */
const lastOf = (db: Db, { task, person, pass }: Place) =>
  db.get<{ id: number }>(
    `SELECT id FROM vote WHERE task = ? AND pass = ? AND (person = ? OR pass = 2) AND refused = 0 ORDER BY id DESC LIMIT 1`,
    task.id,
    pass,
    person,
  )?.id

/** What counts at a place is the last vote there that was not taken back. @returns the kind of what counted before */
const settle = (db: Db, place: Place, settings: ProjectSettings) => {
  const { task, person, pass } = place
  const before = db.get<{ kind: string }>(
    'SELECT kind FROM current WHERE task = ? AND person = ? AND pass = ?',
    task.id,
    holder(place),
    pass,
  )?.kind
  const row = db.get<{ id: number; kind: string; seconds: number; at: string }>(
    `SELECT id, kind, seconds, at FROM vote v
     WHERE task = ? AND pass = ? AND (person = ? OR pass = 2) AND refused = 0 AND kind <> 'undo'
       AND NOT EXISTS (SELECT 1 FROM vote u WHERE u.undoes = v.id)
     ORDER BY id DESC LIMIT 1`,
    task.id,
    pass,
    person,
  )
  if (row)
    db.run(
      'INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      task.id,
      holder(place),
      pass,
      task.project,
      row.id,
      row.kind,
      row.seconds,
      row.at,
    )
  else db.run('DELETE FROM current WHERE task = ? AND person = ? AND pass = ?', task.id, holder(place), pass)
  const more = Number(row?.kind === 'vote') - Number(before === 'vote')
  db.run('UPDATE person SET votes = votes + ?, at = ? WHERE id = ?', more, new Date().toISOString(), person)
  recount(db, task, settings)
  return before
}

/** A share of tasks comes again to the same person, to see how far one agrees with oneself. */
const planRepeat = (db: Db, { task, person }: Place, settings: ProjectSettings) => {
  if (task.gold || !settings.repeats) return
  const more = repeatAfter(settings, task.id, person)
  if (more === undefined) return
  const { labelled, skipped, again } = doneBy(db, task.project, person)
  const done = labelled + skipped + again
  db.run('INSERT OR REPLACE INTO again VALUES (?, ?, ?, ?, ?)', task.project, person, task.id, done, done + more)
}

type Act = { id: number; task: number; pass: number; kind: string; value: string }

/** A person's last vote, skip or decision in a project that was not taken back. Status 404 where there is none. */
export const lastAct = (db: Db, project: number, person: number): Act => {
  const last = db.get<Act>(
    `SELECT id, task, pass, kind, value FROM vote v
     WHERE project = ? AND person = ? AND refused = 0 AND kind <> 'undo'
       AND NOT EXISTS (SELECT 1 FROM vote u WHERE u.undoes = v.id)
     ORDER BY id DESC LIMIT 1`,
    project,
    person,
  )
  if (!last) throw httpError(404, 'there is nothing to take back')
  return last
}

/** Inside of a transaction. What was there before counts again; what was said stays as a draft, to be mended. */
export const takeBack = (
  db: Db,
  settings: ProjectSettings,
  person: number,
  act: Act,
): { task: number; pass: number } => {
  const place: Place = { task: readTask(db, act.task)!, person, pass: act.pass }
  insert(db, place, { kind: 'undo', value: {}, shown: [], seconds: 0 }, { undoes: act.id })
  setVersion(db, place, versionOf(db, place) + 1)
  settle(db, place, settings)
  if (act.kind === 'vote') db.run('INSERT OR REPLACE INTO draft VALUES (?, ?, ?)', act.task, person, act.value)
  if (act.pass === passes.first && !currentVote(db, act.task, person, passes.first))
    db.run('DELETE FROM again WHERE project = ? AND person = ? AND task = ?', place.task.project, person, act.task)
  return { task: act.task, pass: act.pass }
}
