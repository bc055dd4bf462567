/** Tasks of the label store: how they are added, read, and what all votes on one add up to. */
import { createHash } from 'node:crypto'
import { shownTurn } from '../../data/messages.ts'
import { isIds, isMessages, type Text } from '../../data/rows.ts'
import type { Db } from '../../store/database.node.ts'
import { rng } from '../../util/rng.ts'
import type { ProjectSettings, Response, VoteRecord, VoteValue } from './api.ts'
import { disagreementOf, verdictsOf } from './verdicts.ts'

/** Whose row in `current` and `version` holds the decision of adjudicators. */
export const adjudicator = -1
/** First look at a task, the second at a repeated one, and the decision of an adjudicator. */
export const passes = { first: 0, again: 1, decision: 2 } as const

export type NewTask = {
  prompt: Text
  responses: Response[]
  gold?: VoteValue
  prediction?: { by: string; value: VoteValue }
}

/** Text for lists and for the search. */
export const plainText = (text: Text): string =>
  typeof text === 'string'
    ? text
    : isIds(text)
      ? text.join(' ')
      : isMessages(text)
        ? text.map(shownTurn).join('\n')
        : ''

/** Responses in another order are the same task. */
export const contentOf = (prompt: Text, responses: readonly Response[]): string =>
  createHash('sha256')
    .update(JSON.stringify([prompt, responses.map(({ text }) => JSON.stringify(text)).sort()]))
    .digest('hex')

/** A stream of random numbers of its own. */
const orderStream = 0x6f72646572

/** Where a task stands in the order in which tasks are given out, before scores are known. */
export const queueOf = ({ order, seed }: ProjectSettings, task: number, position: number): number =>
  order === 'random' ? rng(seed, orderStream).uniform(task) : position

/** @returns the new task's id, or that of one with the same content */
export const addTask = (
  db: Db,
  project: number,
  settings: ProjectSettings,
  task: NewTask,
  position: number,
): { id: number; isNew: boolean } => {
  const content = contentOf(task.prompt, task.responses)
  const known = db.get<{ id: number }>('SELECT id FROM task WHERE project = ? AND content = ?', project, content)
  if (known) {
    note(db, settings, known.id, task)
    return { id: known.id, isNew: false }
  }
  const { id } = db.run(
    'INSERT INTO task (project, position, queue, content, lengths, open) VALUES (?, ?, ?, ?, ?, 1)',
    project,
    position,
    position,
    content,
    JSON.stringify(task.responses.map(({ text }) => plainText(text).length)),
  )
  if (settings.order === 'random') db.run('UPDATE task SET queue = ? WHERE id = ?', queueOf(settings, id, position), id)
  const prompt = plainText(task.prompt)
  db.run(
    'INSERT INTO task_text VALUES (?, ?, ?, ?)',
    id,
    JSON.stringify(task.prompt),
    JSON.stringify(task.responses),
    JSON.stringify(prompt.slice(0, 300)),
  )
  note(db, settings, id, task)
  return { id, isNew: true }
}

/** A known answer, or a prediction, may come with a task that is there already, its responses in another order. */
const note = (db: Db, settings: ProjectSettings, id: number, { responses, gold, prediction }: NewTask) => {
  if (!gold && !prediction) return
  const stored = readTask(db, id)!.responses.map(({ text }) => JSON.stringify(text))
  const given = responses.map(({ text }) => JSON.stringify(text))
  const from = stored.map((text) => given.indexOf(text))
  const ordered = (value: VoteValue): VoteValue => ({
    ...value,
    ...(value.ranks && { ranks: from.map((i) => value.ranks![i]) }),
    ...(value.ratings && { ratings: from.map((i) => value.ratings![i]) }),
    ...(value.preference !== undefined && from[0] !== 0 && { preference: -value.preference }),
  })
  if (gold) {
    db.run(
      'UPDATE task SET gold = ?, open = min(open, ?) WHERE id = ?',
      JSON.stringify(ordered(gold)),
      settings.goldEvery ? 0 : 1,
      id,
    )
  }
  if (prediction)
    db.run(
      'INSERT OR REPLACE INTO prediction VALUES (?, ?, ?)',
      id,
      JSON.stringify(prediction.by),
      JSON.stringify(ordered(prediction.value)),
    )
}

export type StoredTask = {
  id: number
  project: number
  position: number
  prompt: Text
  responses: Response[]
  gold?: VoteValue
}

export const readTask = (db: Db, id: number): StoredTask | undefined => {
  const row = db.get<{
    id: number
    project: number
    position: number
    prompt: string
    responses: string
    gold: string | null
  }>('SELECT id, project, position, gold, prompt, responses FROM task JOIN task_text ON task = id WHERE id = ?', id)
  return row && readStored(row)
}

export const readStored = (row: {
  id: number
  project: number
  position: number
  prompt: string
  responses: string
  gold: string | null
}): StoredTask => ({
  id: row.id,
  project: row.project,
  position: row.position,
  prompt: JSON.parse(row.prompt),
  responses: JSON.parse(row.responses),
  ...(row.gold !== null && { gold: JSON.parse(row.gold) }),
})

// ---- votes -------------------------------------------------------------------------------------------------------------

export type VoteRow = {
  id: number
  task: number
  name: string
  kind: VoteRecord['kind']
  pass: number
  value: string
  shown: string
  seconds: number
  reason: string | null
  at: string
  refused: number
}

export const voteColumns =
  'v.id, v.task, p.name, v.kind, v.pass, v.value, v.shown, v.seconds, v.reason, v.at, v.refused FROM vote v JOIN person p ON p.id = v.person'

export const voteRecord = (row: VoteRow): VoteRecord => ({
  id: row.id,
  task: row.task,
  annotator: JSON.parse(row.name),
  kind: row.kind,
  value: JSON.parse(row.value),
  shown: JSON.parse(row.shown),
  seconds: row.seconds,
  at: row.at,
  ...(row.reason !== null && { reason: JSON.parse(row.reason) as string }),
  ...(row.pass === passes.again && { repeat: true }),
  ...(row.refused && { refused: true }),
})

export const readVote = (db: Db, id: number): VoteRecord =>
  voteRecord(db.get<VoteRow>(`SELECT ${voteColumns} WHERE v.id = ?`, id)!)

/** Everything that was ever said of a task, oldest first. */
export const historyOf = (db: Db, task: number): VoteRecord[] =>
  db.all<VoteRow>(`SELECT ${voteColumns} WHERE v.task = ? ORDER BY v.id`, task).map(voteRecord)

/** What people say of a task now: votes and skips, of both passes, without decisions. */
export const currentVotes = (db: Db, task: number): VoteRecord[] =>
  db
    .all<VoteRow>(
      `SELECT ${voteColumns} JOIN current c ON c.vote = v.id WHERE c.task = ? AND c.pass < 2 ORDER BY v.id`,
      task,
    )
    .map(voteRecord)

export const currentVote = (db: Db, task: number, person: number, pass: number): VoteRecord | undefined => {
  const row = db.get<{ vote: number }>(
    'SELECT vote FROM current WHERE task = ? AND person = ? AND pass = ?',
    task,
    person,
    pass,
  )
  return row && readVote(db, row.vote)
}

export type Standing = {
  /** Whether it still needs votes. */
  open: boolean
  finished: boolean
  votes: number
  /** Who has labelled or skipped it. */
  people: number[]
}

export const standingOf = (db: Db, task: number): Standing => {
  const { open, state, votes } = db.get<{ open: number; state: string; votes: number }>(
    'SELECT open, state, votes FROM task WHERE id = ?',
    task,
  )!
  const people = db.all<{ person: number }>('SELECT person FROM current WHERE task = ? AND pass = 0', task)
  return {
    open: open === 1,
    finished: isFinished(state),
    votes,
    people: people.map(({ person }) => person),
  }
}

const isFinished = (state: string) => state === 'finished' || state === 'adjudicated'

/** What the votes of a task add up to, after one of them changed. */
export const recount = (db: Db, { id, responses, gold }: StoredTask, { mode, overlap, goldEvery }: ProjectSettings) => {
  const rows = db.all<{ kind: string; pass: number; value: string; seconds: number; at: string }>(
    'SELECT c.kind, c.pass, v.value, c.seconds, c.at FROM current c JOIN vote v ON v.id = c.vote WHERE c.task = ? AND c.pass <> 1',
    id,
  )
  const votes = rows.filter(({ kind, pass }) => kind === 'vote' && pass === passes.first)
  const skips = rows.filter(({ kind }) => kind === 'skip').length
  const decided = rows.some(({ pass }) => pass === passes.decision)
  const verdicts =
    votes.length < 2 ? [] : votes.map(({ value }) => verdictsOf(mode, JSON.parse(value), responses.length))
  const state = decided
    ? 'adjudicated'
    : votes.length >= overlap
      ? 'finished'
      : votes.length
        ? 'labelled'
        : skips
          ? 'skipped'
          : 'open'
  const open = !decided && votes.length < overlap && !(gold && goldEvery)
  db.run(
    'UPDATE task SET votes = ?, skips = ?, state = ?, open = ?, disagreement = ?, seconds = ?, at = ? WHERE id = ?',
    votes.length,
    skips,
    state,
    open ? 1 : 0,
    disagreementOf(verdicts),
    votes.length ? votes.reduce((sum, { seconds }) => sum + seconds, 0) / votes.length : null,
    rows.reduce<string | null>((last, { at }) => (last === null || at > last ? at : last), null),
    id,
  )
}
