/** Stores the tasks of an import, so many at once that others get their turn between. */
import type { ImportReport, ProjectSettings } from './api.ts'
import type { Labels } from './labels.ts'
import { addTask, type NewTask } from './tasks.ts'

/** Tasks that are stored in one transaction. */
const atOnce = 200

/** Adds to the report. A task with the content of one that is there is not added twice. */
export const storeTasks = async (
  { db }: Labels,
  project: number,
  settings: ProjectSettings,
  tasks: Iterable<NewTask> | AsyncIterable<NewTask>,
  report: ImportReport,
): Promise<void> => {
  const seen = new Set<number>()
  const store = (batch: readonly NewTask[]) =>
    db.transaction(() => {
      // Another import may run at the same time
      let position = db.get<{ last: number }>(
        'SELECT coalesce(max(position), 0) AS last FROM task WHERE project = ?',
        project,
      )!.last
      for (const task of batch) {
        const added = addTask(db, project, settings, task, position + 1)
        if (added.isNew) {
          report.added++
          position++
        } else if (!seen.has(added.id)) report.already++
        seen.add(added.id)
      }
    })
  let batch: NewTask[] = []
  for await (const task of tasks) {
    batch.push(task)
    if (batch.length < atOnce) continue
    store(batch)
    batch = []
    await new Promise((done) => setImmediate(done))
  }
  store(batch)
}
