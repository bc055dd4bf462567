/** What other parts of the studio do with labels: make projects of what models said, read the votes, store scores. */
import type { Text } from '../../data/rows.ts'
import { httpError } from '../../http/errors.ts'
import type { ImportReport, ProjectSettings, Response, VoteRecord } from './api.ts'
import { type ExportOptions, exportRecords } from './exportLabels.ts'
import { labelledTasks } from './labelled.ts'
import { forgetProject, type Labels } from './labels.ts'
import { addProject, readProject, reorder } from './projects.ts'
import { tasksOfRows } from './readTasks.ts'
import { addTask, readTask } from './tasks.ts'

export const makeProject = (
  { db, live }: Labels,
  { name, guidelines = '', settings = {} }: { name: string; guidelines?: string; settings?: Partial<ProjectSettings> },
): number => {
  const id = db.transaction(() => addProject(db, { requestId: '', name, guidelines, settings }))
  live.publish({ topic: `project/${id}` })
  return id
}

export type TaskRow = { prompt: Text; responses: Response[] }

/** Adds tasks in one transaction. Those that are there already are not added twice. */
export const addRows = (labels: Labels, project: number, rows: readonly TaskRow[]): ImportReport => {
  const report: ImportReport = { added: 0, already: 0, dropped: {} }
  const drop = (reason: string) => {
    report.dropped[reason] = (report.dropped[reason] ?? 0) + 1
  }
  const { db } = labels
  const { settings } = readProject(db, project)
  db.transaction(() => {
    let { last } = db.get<{ last: number }>(
      'SELECT coalesce(max(position), 0) AS last FROM task WHERE project = ?',
      project,
    )!
    for (const task of tasksOfRows(rows, { settings, drop })) {
      const { isNew } = addTask(db, project, settings, task, last + 1)
      if (isNew) last++
      report[isNew ? 'added' : 'already']++
    }
  })
  forgetProject(labels, project)
  return report
}

/** All tasks, in their order. */
export async function* allTasks({ db }: Labels, project: number) {
  for await (const page of labelledTasks(db, project, 'all'))
    for (const { task } of page) yield { id: task.id, prompt: task.prompt, responses: task.responses }
}

export type LabelledTask = TaskRow & { task: number; votes: VoteRecord[]; adjudication?: VoteRecord }

/** Tasks with what people say of them now. */
export async function* currentValues({ db }: Labels, project: number): AsyncGenerator<LabelledTask> {
  for await (const page of labelledTasks(db, project))
    for (const { task, votes, decision } of page)
      yield {
        task: task.id,
        prompt: task.prompt,
        responses: task.responses,
        votes,
        ...(decision && { adjudication: decision }),
      }
}

/** The records of an export, as GET /projects/:id/export writes them. */
export const exportRows = ({ db }: Labels, project: number, options: ExportOptions): AsyncGenerator<object> =>
  exportRecords(db, project, readProject(db, project).settings, options)

type Scores = readonly { task: number; scores: (number | null)[] }[]

/** What a reward model says of tasks; given again, it is replaced. The order `informative` follows it. */
export const setScores = (labels: Labels, project: number, name: string, scores: Scores): void =>
  labels.db.transaction(() => putScores(labels, project, name, scores))

/** The same inside of a transaction. */
export const putScores = ({ db }: Labels, project: number, name: string, scores: Scores): void => {
  const { settings } = readProject(db, project)
  for (const { task, scores: own } of scores) {
    const stored = readTask(db, task)
    if (stored?.project !== project) throw httpError(400, `scores: there is no task ${task} in this project`)
    if (stored.responses.length !== own.length)
      throw httpError(400, `scores: ${own.length} for the ${stored.responses.length} responses of task ${task}`)
    db.run('INSERT OR REPLACE INTO score VALUES (?, ?, ?)', task, JSON.stringify(name), JSON.stringify(own))
  }
  if (settings.order === 'informative') reorder(db, project, settings)
}
