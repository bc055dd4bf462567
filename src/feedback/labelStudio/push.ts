/**
 * Tasks with their votes to a Label Studio server, in batches. A task that is there already is left as it is, so that a push that
 * broke off is finished by the same push again.
 */
import { createHash } from 'node:crypto'
import { isObject } from '../../data/issue.ts'
import type { Task } from '../votes/tasks.ts'
import type { Changed } from '../votes/taskTexts.ts'
import { parseTemplate } from './parseTemplate.ts'
import { findProject, makeProject, type RemoteProject, tasksOfProject } from './project.ts'
import { isUnclear, type Server } from './server.ts'
import { labelStudioTask } from './taskForm.ts'
import type { Template } from './template.ts'

export type Pushed = {
  project: number
  title: string
  /** The project was not there, and was made. */
  made: boolean
  tasks: number
  annotations: number
  predictions: number
  /** Tasks that were there before. */
  already: number
}

export type PushOptions = {
  /** Its number or title; made with `template` where there is none. */
  project: string
  template: string
  changed: Changed
  onBatch?(sent: number, of: number): void
}

const batchTasks = 100
const batchCharacters = 4_000_000
const tries = 5

/** @throws Fault of the server, and 'bad-template' where the project asks what attune cannot say */
export const pushTasks = async (server: Server, tasks: readonly Task[], options: PushOptions): Promise<Pushed> => {
  const { changed, onBatch } = options
  const found = await findProject(server, options.project)
  const project = found ?? (await makeProject(server, options.project, options.template))
  const template = parseTemplate(project.label_config, `the template of ${project.title}`)
  const wanted = new Map<string, string>()
  for (const [i, task] of tasks.entries()) {
    const made = labelStudioTask(task, i + 1, changed, { template, forServer: true }) as RemoteForm | undefined
    if (made) wanted.set(keyOf(made.data, template), JSON.stringify(made))
  }
  const pushed: Pushed = {
    project: project.id,
    title: project.title,
    made: !found,
    tasks: 0,
    annotations: 0,
    predictions: 0,
    already: found ? await leaveOutKnown(server, project, template, wanted) : 0,
  }
  const total = wanted.size
  for (let failed = 0; wanted.size; ) {
    const batch = nextBatch(wanted)
    try {
      await server.post(
        `/api/projects/${project.id}/import`,
        batch.map(([, text]) => JSON.parse(text)),
      )
    } catch (error) {
      if (!isUnclear(error) || ++failed >= tries) throw error
      // What of the batch arrived is found by looking
      const before = new Map(wanted)
      await leaveOutKnown(server, project, template, wanted)
      for (const [key, text] of before) if (!wanted.has(key)) count(pushed, text)
      continue
    }
    for (const [key, text] of batch) {
      wanted.delete(key)
      count(pushed, text)
    }
    onBatch?.(total - wanted.size, total)
  }
  return pushed
}

type RemoteForm = { data: Record<string, unknown>; annotations: unknown[]; predictions: unknown[] }

const count = (pushed: Pushed, text: string) => {
  const { annotations, predictions } = JSON.parse(text) as RemoteForm
  pushed.tasks++
  pushed.annotations += annotations.length
  pushed.predictions += predictions.length
}

const nextBatch = (wanted: ReadonlyMap<string, string>): [string, string][] => {
  const batch: [string, string][] = []
  let characters = 0
  for (const entry of wanted) {
    characters += entry[1].length
    if (batch.length && (batch.length >= batchTasks || characters > batchCharacters)) break
    batch.push(entry)
  }
  return batch
}

/** @returns how many tasks are on the server already, which are taken out */
const leaveOutKnown = async (
  server: Server,
  project: RemoteProject,
  template: Template,
  wanted: Map<string, string>,
): Promise<number> => {
  let known = 0
  for await (const { data } of tasksOfProject(server, project.id, false))
    if (isObject(data) && wanted.delete(keyOf(data, template))) known++
  return known
}

/** What is shown of a task tells whether it is the same: its prompt and its responses, in their order. */
const keyOf = (data: Record<string, unknown>, { prompts, list, responses }: Template): string => {
  const items = list ? data[list.key] : undefined
  const bodies = Array.isArray(items) ? items.map((item) => Object(item).body) : responses.map(({ key }) => data[key])
  const asked = prompts.length ? prompts.map(({ key }) => data[key] ?? '') : [data.prompt]
  return createHash('sha256')
    .update(JSON.stringify([asked, bodies]))
    .digest('hex')
}
