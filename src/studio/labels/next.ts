/** Which task a person gets next: a known one now and then, one to be shown again, a new one, one that was skipped. */
import type { Db } from '../../store/database.node.ts'
import { permutation, rng } from '../../util/rng.ts'
import type { ProjectSettings } from './api.ts'
import type { Leases } from './leases.ts'
import { doneBy } from './progress.ts'
import { passes } from './tasks.ts'

/** Between two looks of a person at one task there are at least so many others, and up to twice as many. */
export const tasksBetween = 10
/** Where no other tasks are left, this few will do. */
const fewestBetween = 3

const repeatStream = 0x7265
const shownStream = 0x73686f

/** Whether a person sees a task again, and after how many others; the same whenever it is asked. */
export const repeatAfter = ({ seed, repeats }: ProjectSettings, task: number, person: number): number | undefined => {
  const random = rng(seed, repeatStream, person)
  if (random.uniform(2 * task) >= repeats) return undefined
  return tasksBetween + Math.floor(random.uniform(2 * task + 1) * (tasksBetween + 1))
}

/** The order in which a person sees the responses of a task. */
export const shownOrder = ({ seed }: ProjectSettings, task: number, person: number, pass: number, responses: number) =>
  Array.from(permutation(responses, rng(seed, shownStream + 4 * person + pass, task)))

export type Next = { task: number; pass: number }

/** @param after the task that the person has on the screen: another one is wanted */
export const nextTask = (
  db: Db,
  leases: Leases,
  project: number,
  settings: ProjectSettings,
  person: number,
  after = 0,
): Next | undefined => {
  const { labelled, skipped, again } = doneBy(db, project, person)
  const waiting = after && !isDone(db, after, person) ? 1 : 0
  const done = labelled + skipped + again + waiting
  const known = settings.goldEvery && (done + 1) % settings.goldEvery === 0
  const first = (task: number | undefined) => task && { task, pass: passes.first }
  return (
    (known && first(knownTask(db, project, person, after))) ||
    repeated(db, project, person, after, 'due <= ?', done) ||
    first(newTask(db, leases, project, settings, person, after)) ||
    first(skippedTask(db, project, person, after)) ||
    repeated(db, project, person, after, '"after" <= ?', done - fewestBetween) ||
    undefined
  )
}

const isDone = (db: Db, task: number, person: number) =>
  db.get('SELECT 1 FROM current WHERE task = ? AND person = ? AND pass = 0', task, person) !== undefined

const untouched = 'NOT EXISTS (SELECT 1 FROM current WHERE task = t.id AND person = ? AND pass = 0)'

const knownTask = (db: Db, project: number, person: number, after: number) =>
  db.get<{ id: number }>(
    `SELECT id FROM task t WHERE project = ? AND gold IS NOT NULL AND id <> ? AND ${untouched} ORDER BY queue, id LIMIT 1`,
    project,
    after,
    person,
  )?.id

const repeated = (db: Db, project: number, person: number, after: number, when: string, n: number) => {
  const row = db.get<{ task: number }>(
    `SELECT task FROM again a WHERE project = ? AND person = ? AND task <> ? AND ${when}
       AND NOT EXISTS (SELECT 1 FROM current WHERE task = a.task AND person = a.person AND pass = 1)
       AND EXISTS (SELECT 1 FROM current WHERE task = a.task AND person = a.person AND pass = 0 AND kind = 'vote')
     ORDER BY due, task LIMIT 1`,
    project,
    person,
    after,
    n,
  )
  return row && { task: row.task, pass: passes.again }
}

/** Behind the task on the screen first, then from the beginning. Places that others hold count as taken. */
const newTask = (
  db: Db,
  leases: Leases,
  project: number,
  { overlap }: ProjectSettings,
  person: number,
  after: number,
) => {
  const place = after
    ? db.get<{ queue: number }>('SELECT queue FROM task WHERE id = ? AND project = ?', after, project)
    : undefined
  for (const [from, id] of place
    ? ([
        [place.queue, after],
        [null, 0],
      ] as const)
    : ([[null, 0]] as const)) {
    for (let queue = from, last = id; ; ) {
      const rows: { id: number; queue: number; votes: number }[] = db.all(
        `SELECT id, queue, votes FROM task t WHERE project = ? AND open = 1 AND (queue, id) > (?, ?) AND id <> ?
           AND ${untouched} ORDER BY queue, id LIMIT 50`,
        project,
        queue ?? Number.MIN_SAFE_INTEGER,
        last,
        after,
        person,
      )
      const free = rows.find((row) => row.votes + leases.others(row.id, person) < overlap)
      if (free) return free.id
      if (rows.length < 50) break
      ;({ queue, id: last } = rows.at(-1)!)
    }
  }
  return undefined
}

/** What was skipped comes back at the end, once by itself: who skips it again finds it in the list. */
const skippedTask = (db: Db, project: number, person: number, after: number) =>
  db.get<{ task: number }>(
    `SELECT c.task FROM current c JOIN task t ON t.id = c.task
     WHERE c.project = ? AND c.person = ? AND c.pass = 0 AND c.kind = 'skip' AND c.task <> ? AND t.state <> 'adjudicated'
       AND (SELECT count(*) FROM vote WHERE task = c.task AND person = c.person AND kind = 'skip' AND refused = 0) < 2
     ORDER BY c.vote LIMIT 1`,
    project,
    person,
    after,
  )?.task
