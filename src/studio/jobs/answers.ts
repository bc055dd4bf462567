/** Jobs around tasks: answers that a model writes, rewards and verdicts, and how their output becomes tasks, scores, predictions. */
import { createReadStream } from 'node:fs'
import { basename } from 'node:path'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import type { Text } from '../../data/rows.ts'
import { badInput, runFailure } from '../../util/fault.ts'
import type { VoteValue } from '../labels/api.ts'
import { addRows, allTasks, makeProject, setScores, type TaskRow } from '../labels/forParts.ts'
import type { Labels } from '../labels/labels.ts'
import { readProject } from '../labels/projects.ts'
import { isCutOff } from '../labels/taskShapes.ts'
import type { Sampling } from './api.ts'
import type { NewRecord } from './jobs.ts'
import { writeRows } from './labelRows.ts'
import { checkModelPath, checkRowsPath } from './paths.ts'
import { eventIn } from './process.ts'
import type { JobRecord } from './records.ts'

export const samplingSchema = z
  .strictObject({
    maxNewTokens: z.number().int().min(1).max(100_000).default(256),
    temperature: z.number().min(0).max(10).default(1),
    topP: z.number().gt(0).max(1).default(1),
    seed: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(42),
    chat: z.boolean().default(false),
  })
  .prefault({})

/** What is done with the output of a job when it has ended. */
export const afterSchema = z.discriminatedUnion('what', [
  z.object({ what: z.literal('tasks'), project: z.union([z.number(), z.string()]), source: z.string() }),
  z.object({ what: z.literal('scores'), project: z.number(), model: z.string(), tasks: z.array(z.number()) }),
  z.object({ what: z.literal('predictions'), project: z.number(), judge: z.string() }),
  z.object({ what: z.literal('retest'), retest: z.number() }),
])
export type After = z.output<typeof afterSchema>

type Model = { model: string; adapter?: string }

/** `attune generate`: every value is a word of its own. */
export const generateArgv = (
  { model, adapter }: Model,
  data: string,
  samples: number,
  sampling: Sampling,
): string[] => [
  'generate',
  ...flag('model', model),
  ...(adapter === undefined ? [] : flag('adapter', adapter)),
  ...flag('data', data),
  ...flag('num-return-sequences', samples),
  ...flag('max-new-tokens', sampling.maxNewTokens),
  ...flag('temperature', sampling.temperature),
  ...flag('top-p', sampling.topP),
  ...flag('seed', sampling.seed),
  sampling.chat ? '--chat' : '--no-chat',
]

const flag = (name: string, value: string | number): string[] =>
  String(value).startsWith('-') ? [`--${name}=${value}`] : [`--${name}`, String(value)]

export const modelTitle = (model: string): string =>
  model.startsWith('attune-runs/')
    ? model.slice('attune-runs/'.length)
    : /^[\w.-]+\/[\w.-]+$/.test(model)
      ? model
      : basename(model)

export const generateJob = async (
  root: string,
  {
    model,
    data,
    samples,
    project,
    sampling,
  }: { model: string; data: string; samples: number; project: number | string; sampling: Sampling },
): Promise<NewRecord> => {
  await checkModelPath(root, model)
  await checkRowsPath(root, data)
  return {
    kind: 'generate',
    title: `${samples} answers of ${modelTitle(model)} to each prompt of ${basename(data)}`,
    argv: generateArgv({ model }, data, samples, sampling),
    ...(typeof project === 'number' && { project }),
    after: { what: 'tasks', project, source: modelTitle(model) } satisfies After,
  }
}

export const scoreJob = async (labels: Labels, root: string, model: string, project: number): Promise<NewRecord> => {
  await checkModelPath(root, model)
  const { name } = readProject(labels.db, project)
  const tasks = (await collected(allTasks(labels, project))).filter(
    ({ responses }) => responses.length > 1 && responses.every(({ text }) => text.length > 0),
  )
  if (!tasks.length) throw badInput('no-tasks', `no task of ${name} has two responses to score`)
  const rows = tasks.map(({ prompt, responses }) => ({
    prompt,
    responses: responses.map(({ text }) => text),
    // A ranking has ranks; rewards do not depend on them
    ranks: responses.map((_, i) => i + 1),
  }))
  return {
    kind: 'score',
    title: `rewards of ${modelTitle(model)} for ${name}`,
    argv: ['score', ...flag('model', model), ...flag('data', await writeRows(root, `tasks-${project}`, rows))],
    project,
    expected: rows.length,
    after: { what: 'scores', project, model: modelTitle(model), tasks: tasks.map(({ id }) => id) } satisfies After,
  }
}

export const judgeJob = async (labels: Labels, root: string, model: string, project: number): Promise<NewRecord> => {
  if (!/^https?:\/\//.test(model)) await checkModelPath(root, model)
  const { name } = readProject(labels.db, project)
  const tasks = (await collected(allTasks(labels, project))).filter(({ responses }) => responses.length === 2)
  if (!tasks.length) throw badInput('no-tasks', `no task of ${name} has two responses to compare`)
  const rows = tasks.map(({ id, prompt, responses }) => ({
    id,
    prompt,
    responses: responses.map(({ text }) => text),
    ranks: [1, 2],
  }))
  return {
    kind: 'judge',
    title: `verdicts of ${modelTitle(model)} for ${name}`,
    argv: ['judge', ...flag('judge', model), ...flag('data', await writeRows(root, `pairs-${project}`, rows))],
    project,
    expected: rows.length,
    after: { what: 'predictions', project, judge: modelTitle(model) } satisfies After,
  }
}

/** Does what follows a job, with what it printed. */
export const finishJob = async (
  labels: Labels,
  record: JobRecord,
  printed: string,
  endRetest: (retest: number) => Promise<void>,
): Promise<void> => {
  const after = afterSchema.parse(record.after)
  if (after.what === 'retest') return endRetest(after.retest)
  if (after.what === 'tasks') {
    const tasks = await tasksIn(printed, after.source)
    if (!tasks.length) throw runFailure('no-answers', 'the model wrote no answers')
    const project =
      typeof after.project === 'number'
        ? after.project
        : makeProject(labels, {
            name: after.project,
            settings: { mode: tasks[0].responses.length === 2 ? 'pair' : 'rank' },
          })
    addRows(labels, project, tasks)
    record.project = project
  } else if (after.what === 'scores') {
    const lines = await linesIn(printed)
    if (lines.length !== after.tasks.length)
      throw runFailure('bad-scores', `${lines.length} rows were scored of ${after.tasks.length}; score them again`)
    const scores = lines.map(({ rewards }, i) => {
      if (!Array.isArray(rewards))
        throw badInput('no-reward-model', `${after.model} gives no rewards; choose a reward model`)
      return { task: after.tasks[i], scores: rewards.map((reward) => (typeof reward === 'number' ? reward : null)) }
    })
    setScores(labels, after.project, after.model, scores)
    labels.live.publish({ topic: `project/${after.project}` })
  } else {
    const values = (await linesIn(printed)).flatMap(
      ({ id, verdict }): [number, { preference: number; ranks: number[] }][] => {
        const said = typeof verdict === 'string' ? verdicts[verdict] : undefined
        return typeof id === 'number' && said ? [[id, said]] : []
      },
    )
    setPredictions(labels, after.project, after.judge, new Map(values))
  }
}

/** What a judge says of tasks is shown to people as a start. */
const setPredictions = (
  { db, live }: Labels,
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

const collected = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

const verdicts: Readonly<Record<string, { preference: number; ranks: number[] }>> = {
  A: { preference: -1, ranks: [1, 2] },
  B: { preference: 1, ranks: [2, 1] },
  tie: { preference: 0, ranks: [1, 1] },
}

/** The results among the lines of a job: those that are no events. */
export const linesIn = async (path: string): Promise<Record<string, unknown>[]> => {
  const found: Record<string, unknown>[] = []
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    const value = eventIn(line)
    if (value && value.event === undefined) found.push(value)
  }
  return found
}

/** What a line of attune generate says, as a response of a task. */
export const answerOf = ({ completion, finish_reason }: Record<string, unknown>, source: string) => ({
  text: String(completion),
  source,
  ...(isCutOff(finish_reason) && { cutOff: true as const }),
})

/** Answers by their prompts. Equal answers of a prompt are one; a prompt with a single answer stays a task. */
const tasksIn = async (path: string, source: string): Promise<TaskRow[]> => {
  const tasks = new Map<string, TaskRow>()
  for (const line of await linesIn(path)) {
    const { prompt, completion } = line
    if (typeof completion !== 'string') continue
    const key = JSON.stringify(prompt)
    const task = tasks.get(key) ?? tasks.set(key, { prompt: prompt as Text, responses: [] }).get(key)!
    if (!task.responses.some(({ text }) => text === completion)) task.responses.push(answerOf(line, source))
  }
  return [...tasks.values()]
}
