/** What all routes of labelling share: the store, what is kept in memory beside it, and how a change is told. */
import type { Context } from 'hono'
import type { z } from 'zod'
import { httpError } from '../../http/errors.ts'
import { bodyReader } from '../../http/jsonBody.ts'
import type { Db } from '../../store/database.node.ts'
import { quoted } from '../../util/quote.ts'
import type { Live } from '../live.ts'
import type { Person } from '../session.ts'
import type { ProjectSettings, TaskView } from './api.ts'
import { type Leases, makeLeases } from './leases.ts'
import { shownOrder } from './next.ts'
import { requireMember } from './people.ts'
import { type Counts, countTasks } from './progress.ts'
import { readProject } from './projects.ts'
import { type Search, searchTasks } from './search.ts'
import { parsed } from './settings.ts'
import { makeTallies, type Tallies } from './tally.ts'
import { adjudicator, currentVote, currentVotes, passes, readTask, type StoredTask } from './tasks.ts'
import { versionOf } from './voting.ts'

export type Labels = {
  db: Db
  live: Live
  leases: Leases
  counts: Counts
  tallies: Tallies
  search: Search
  /** When annotators sent their last request; not stored. */
  seen: Map<number, string>
}

export const openLabels = (db: Db, live: Live): Labels => ({
  db,
  live,
  leases: makeLeases(),
  counts: countTasks(db),
  tallies: makeTallies(db),
  search: searchTasks(db),
  seen: new Map(),
})

/** What is kept in memory of a project does not hold any more: tasks came in or went, or other rules hold. */
export const forgetProject = ({ counts, tallies, search, live }: Labels, project: number): void => {
  counts.forget(project)
  tallies.forget(project)
  search.forget(project)
  live.publish({ topic: `project/${project}` })
}

/** The task, where its project is open to the person. */
export const taskFor = (
  { db }: Labels,
  person: Person,
  id: number,
): { task: StoredTask; settings: ProjectSettings } => {
  const task = readTask(db, id)
  if (!task) throw httpError(404, `there is no task ${id}, or it is not open to you`)
  requireMember(db, person, task.project)
  return { task, settings: readProject(db, task.project).settings }
}

/** A task as one person sees it. Annotators see nothing of others, and of a blind project no names of sources. */
export const viewOf = (
  { db }: Labels,
  task: StoredTask,
  settings: ProjectSettings,
  person: Person,
  pass: number,
): TaskView => {
  const decides = pass === passes.decision
  const place = { task, person: person.id, pass }
  const vote = decides ? undefined : currentVote(db, task.id, person.id, pass)
  const draft = db.get<{ value: string }>('SELECT value FROM draft WHERE task = ? AND person = ?', task.id, person.id)
  const prediction = db.get<{ maker: string; value: string }>(
    'SELECT maker, value FROM prediction WHERE task = ? ORDER BY maker LIMIT 1',
    task.id,
  )
  return {
    id: task.id,
    project: task.project,
    position: task.position,
    prompt: task.prompt,
    responses:
      settings.blind && !decides ? task.responses.map(({ source: _, ...response }) => response) : task.responses,
    shown: vote?.shown.length ? vote.shown : shownOrder(settings, task.id, person.id, pass, task.responses.length),
    ...(vote && { vote }),
    ...(draft && !decides && { draft: JSON.parse(draft.value) }),
    ...(prediction && { prediction: { ...JSON.parse(prediction.value), by: JSON.parse(prediction.maker) } }),
    version: versionOf(db, place),
    ...(person.role !== 'annotate' && scoresOf({ db }, task.id)),
    ...(decides && { votes: currentVotes(db, task.id), adjudication: currentVote(db, task.id, adjudicator, pass) }),
  }
}

const scoresOf = ({ db }: Pick<Labels, 'db'>, task: number): Pick<TaskView, 'scores'> => {
  const rows = db.all<{ name: string; scores: string }>('SELECT name, scores FROM score WHERE task = ?', task)
  if (!rows.length) return {}
  return { scores: Object.fromEntries(rows.map(({ name, scores }) => [JSON.parse(name), JSON.parse(scores)])) }
}

const maxBody = 10 * 2 ** 20
const readBody = bodyReader(maxBody)

/** The JSON body of a request, checked. */
export const bodyOf = async <S extends z.ZodType>({ req }: Context, schema: S): Promise<z.output<S>> => {
  const { body, release } = await readBody(req.raw)
  try {
    return parsed(schema, body)
  } finally {
    release()
  }
}

/** The number in a path. */
export const idOf = (context: Context): number => {
  const id = Number(context.req.param('id'))
  if (!Number.isSafeInteger(id) || id < 0)
    throw httpError(404, `there is nothing of the number ${quoted(context.req.param('id'))}`)
  return id
}
