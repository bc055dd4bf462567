/** Tasks of the label store, as jobs read and add them. */
import type { Text } from '../../data/rows.ts'
import type { Db } from '../../store/database.node.ts'
import type { ProjectSettings, Response, VoteValue } from '../labels/api.ts'
import type { Labels } from '../labels/labels.ts'
import { addProject, readProject, reorder } from '../labels/projects.ts'
import { addTask, readStored, type StoredTask } from '../labels/tasks.ts'

export type LabelStore = Pick<Labels, 'db' | 'live' | 'counts'>

/** Tasks that are read, or stored in one transaction, at once. */
const atOnce = 200

/** All tasks of a project, in its order. */
export function* tasksOf(db: Db, project: number): Generator<StoredTask> {
  for (let last = 0; ; ) {
    const rows = db.all<Parameters<typeof readStored>[0]>(
      `SELECT id, project, position, gold, prompt, responses FROM task JOIN task_text ON task = id
       WHERE project = ? AND position > ? ORDER BY position LIMIT ?`,
      project,
      last,
      atOnce,
    )
    if (!rows.length) return
    yield* rows.map(readStored)
    last = rows.at(-1)!.position
  }
}

export const makeProject = (
  { db, live }: LabelStore,
  name: string,
  { guidelines = '', settings }: { guidelines?: string; settings: Partial<ProjectSettings> },
): number => {
  const id = db.transaction(() => addProject(db, { requestId: crypto.randomUUID(), name, guidelines, settings }))
  live.publish({ topic: `project/${id}` })
  return id
}

/** @returns how many were new */
export const addTasks = (
  { db, live, counts }: LabelStore,
  project: number,
  tasks: readonly { prompt: Text; responses: Response[] }[],
): number => {
  const { settings } = readProject(db, project)
  let position = db.get<{ last: number }>(
    'SELECT coalesce(max(position), 0) AS last FROM task WHERE project = ?',
    project,
  )!.last
  let added = 0
  for (let at = 0; at < tasks.length; at += atOnce)
    db.transaction(() => {
      for (const task of tasks.slice(at, at + atOnce)) {
        if (!addTask(db, project, settings, task, position + 1).isNew) continue
        position++
        added++
      }
    })
  counts.forget(project)
  live.publish({ topic: `project/${project}` })
  return added
}

/** Stores rewards of a reward model by its name, and puts the tasks into the order that they mean where the project asks for it. */
export const setScores = (
  { db, live }: LabelStore,
  project: number,
  model: string,
  scores: ReadonlyMap<number, readonly (number | null)[]>,
): void => {
  const { settings } = readProject(db, project)
  db.transaction(() => {
    for (const [task, of] of scores)
      db.run('INSERT OR REPLACE INTO score VALUES (?, ?, ?)', task, JSON.stringify(model), JSON.stringify(of))
    if (settings.order === 'informative') reorder(db, project, settings)
  })
  live.publish({ topic: `project/${project}` })
}

/** Stores what a judge says of tasks, shown to people as a start. */
export const setPredictions = (
  { db, live }: LabelStore,
  project: number,
  judge: string,
  values: ReadonlyMap<number, VoteValue>,
): void => {
  db.transaction(() => {
    for (const [task, value] of values)
      db.run('INSERT OR REPLACE INTO prediction VALUES (?, ?, ?)', task, JSON.stringify(judge), JSON.stringify(value))
  })
  live.publish({ topic: `project/${project}` })
}
