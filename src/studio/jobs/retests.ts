/**
 * The blind re-test after a training: the model before and the model after it answer prompts that were held out, people say
 * blind which answer is the better, and the win rate says whether the training helped.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { openRows } from '../../data/openRows.node.ts'
import type { Text } from '../../data/rows.ts'
import type { JudgedPair } from '../../feedback/winRate/judgements.ts'
import { winRates } from '../../feedback/winRate/winRates.ts'
import { requireRun } from '../../runs/find.node.ts'
import { startName } from '../../runs/modelName.node.ts'
import { readInfo } from '../../runs/run.node.ts'
import { wilson } from '../../statistics/intervals.ts'
import { badInput, runFailure } from '../../util/fault.ts'
import { diskFault, writeWhole } from '../../util/files.node.ts'
import { percent, plural } from '../../util/format.ts'
import { parseJson } from '../../util/json.ts'
import type { VoteRecord } from '../labels/api.ts'
import { addRows, allTasks, currentValues, makeProject } from '../labels/forParts.ts'
import type { Labels } from '../labels/labels.ts'
import { plainText } from '../labels/tasks.ts'
import { answerOf, generateArgv, linesIn } from './answers.ts'
import type { Job, Retest, RetestResult, Sampling } from './api.ts'
import type { Jobs } from './jobs.ts'
import { writeRows } from './labelRows.ts'
import { pathBelow } from './paths.ts'

const recordSchema = z.object({
  run: z.string(),
  base: z.string(),
  source: z.number().optional(),
  /** Of the base, of the trained model. */
  jobs: z.array(z.number()),
  created: z.string(),
  project: z.number().optional(),
  problem: z.string().optional(),
  /** Prompts whose two answers are alike: ties that nobody is asked about. */
  alike: z.number().default(0),
})
type Stored = z.output<typeof recordSchema>

export type Retests = {
  list(source?: number): Promise<Retest[]>
  get(id: number): Promise<Retest>
  add(given: { run: string; prompts: number; sampling: Sampling; source?: number }): Promise<Retest>
  forget(id: number): Promise<void>
  /** Called when one of its jobs has ended well: the last one makes the project. */
  jobEnded(id: number, job: number): Promise<void>
}

export const openRetests = async (root: string, labels: Labels, jobs: Jobs): Promise<Retests> => {
  const folder = join(root, '.attune', 'retests')
  const retests = new Map<number, Stored>()
  for (const name of await readdir(folder).catch(() => [])) {
    const [, id] = /^(\d+)\.json$/.exec(name) ?? []
    const record = id === undefined ? undefined : await readRecord(join(folder, name))
    if (record) retests.set(Number(id), record)
  }
  const need = (id: number): Stored => {
    const record = retests.get(id)
    if (!record) throw badInput('no-retest', `there is no re-test ${id}`)
    return record
  }
  const write = async (id: number, record: Stored) => {
    retests.set(id, record)
    await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error) => {
      throw diskFault(error, folder)
    })
    await writeWhole(join(folder, `${id}.json`), [Buffer.from(JSON.stringify(record))])
    labels.live.publish({ topic: 'retests' })
  }
  const jobsOf = ({ jobs: ids }: Stored) =>
    jobs
      .list()
      .filter(({ id }) => ids.includes(id))
      .reverse()
  const shown = async (id: number): Promise<Retest> => {
    const { alike, ...record } = need(id)
    const own = jobsOf(need(id))
    const problem = record.problem ?? problemOf(labels, record, own, alike)
    const result =
      problem || (record.project === undefined && alike === 0)
        ? undefined
        : await resultOf(labels, record.project, alike)
    const state = problem ? 'failed' : !result ? 'writing' : result.labelled < result.tasks ? 'labelling' : 'done'
    return { id, ...record, jobs: own, state, ...(problem && { problem }), ...(result && { result }) }
  }

  return {
    list: (source) =>
      Promise.all(
        [...retests]
          .filter(([, record]) => source === undefined || record.source === source)
          .reverse()
          .map(([id]) => shown(id)),
      ),
    get: shown,
    async add({ run, prompts, sampling, source }) {
      const { dir, base, config, places, method, held } = await trainedRun(root, run)
      const asked = await promptsOf(root, held, prompts, config.chat === true)
      const data = await writeRows(
        root,
        'retest',
        asked.map((prompt) => ({ prompt })),
      )
      const id = Math.max(0, ...retests.keys()) + 1
      const record: Stored = {
        run,
        base: startName({ config, places }),
        jobs: [],
        created: new Date().toISOString(),
        alike: 0,
        ...(source !== undefined && { source }),
      }
      await write(id, record)
      // Rows that were read as a chat hold turns already
      for (const [model, who] of [
        [base, `${record.base}, before`],
        [{ model: dir }, `${run}, after ${method}`],
      ] as const) {
        const job = await jobs.add({
          kind: 'generate',
          title: `answers of ${who}`,
          argv: generateArgv(model, data, 1, sampling),
          expected: asked.length,
          after: { what: 'retest', retest: id },
        })
        record.jobs.push(job.id)
      }
      await write(id, record)
      return shown(id)
    },
    async forget(id) {
      need(id)
      retests.delete(id)
      await rm(join(folder, `${id}.json`), { force: true })
      labels.live.publish({ topic: 'retests' })
    },
    async jobEnded(id, ended) {
      const record = retests.get(id)
      if (!record || record.project !== undefined || record.jobs.length < 2) return
      if (jobsOf(record).some((job) => job.id !== ended && job.state !== 'done')) return
      const [before, after] = await Promise.all(record.jobs.map((job) => linesIn(jobs.printed(job))))
      if (before.length !== after.length) throw runFailure('bad-answers', 'the two models answered different prompts')
      const pairs = before.map((line, i) => ({
        prompt: line.prompt as Text,
        responses: [answerOf(line, record.base), answerOf(after[i], record.run)],
      }))
      const different = pairs.filter(({ responses: [a, b] }) => a.text !== b.text)
      const alike = pairs.length - different.length
      if (!different.length) return write(id, { ...record, alike })
      const project = makeProject(labels, {
        name: `Re-test of ${record.run}`,
        guidelines: `Which answer is the better one? One is of the model before the training ${record.run}, the other of the model after it. The order is drawn anew for each task.`,
        settings: { mode: 'pair', blind: true, order: 'random', edits: false, spans: false, seed: id },
      })
      addRows(labels, project, different)
      await write(id, { ...record, project, alike })
    },
  }
}

const readRecord = async (path: string): Promise<Stored | undefined> => {
  try {
    return recordSchema.parse(parseJson(await readFile(path, 'utf8'), () => new Error('no record')))
  } catch {
    return undefined
  }
}

/** Why there will be no result. */
const problemOf = (
  { db }: Labels,
  { project }: Pick<Stored, 'project'>,
  jobs: readonly Job[],
  alike: number,
): string | undefined => {
  if (project !== undefined)
    return db.get('SELECT 1 FROM project WHERE id = ?', project) ? undefined : 'its project was deleted'
  if (alike > 0) return undefined
  const ended = jobs.find(({ state }) => state === 'failed' || state === 'stopped' || state === 'ended')
  return ended && (ended.problem ?? `the job "${ended.title}" has ${ended.state}`)
}

/** A run whose model writes answers, with the model that it began from and the files of its held-out rows. */
const trainedRun = async (root: string, run: string) => {
  const dir = await pathBelow(
    root,
    await requireRun(join(root, run), join(root, 'attune-runs')).catch(() =>
      requireRun(run, join(root, 'attune-runs')),
    ),
  )
  const { config, places = {}, method } = await readInfo(join(root, dir))
  if (method === 'reward')
    throw badInput('no-answers', `${run} is a reward model, which writes no answers; train a model with it first`)
  const place = (key: 'model' | 'adapter') => {
    const path = places[key]
    return typeof path === 'string' ? path : config[key] === undefined ? undefined : String(config[key])
  }
  const held = [config.evalData ?? []].flat().map(String)
  if (!held.length)
    throw badInput(
      'no-held-out',
      `${run} was trained without held-out rows (--eval-data), so there are no prompts to test it on`,
    )
  return { dir, method, config, places, held, base: { model: place('model')!, adapter: place('adapter') } }
}

/** Different prompts of files of rows, in their order. */
const promptsOf = async (root: string, files: readonly string[], most: number, chat: boolean): Promise<Text[]> => {
  const below = await Promise.all(files.map(async (file) => join(root, await pathBelow(root, file))))
  const rows = await openRows(below, { as: 'prompt', chat })
  try {
    const prompts = new Map<string, Text>()
    for (let i = 0; i < rows.length && prompts.size < most; i++) {
      const { prompt } = await rows.row(i)
      prompts.set(JSON.stringify(prompt), prompt)
    }
    return [...prompts.values()]
  } finally {
    await rows.close()
  }
}

/** @param alike prompts with two equal answers */
const resultOf = async (labels: Labels, project: number | undefined, alike: number): Promise<RetestResult> => {
  const judged: JudgedPair[] = []
  let tasks = 0
  for await (const { id, responses, votes } of project === undefined ? [] : judgedTasks(labels, project)) {
    tasks++
    const shares = votes.flatMap(({ value }) => shareOf(value))
    if (!shares.length) continue
    const lengths = responses.map(({ text }) => [...plainText(text)].length) as [number, number]
    const preferred = shares.reduce((a, b) => a + b, 0) / shares.length
    judged.push({ item: String(id), a: 'before', b: 'after', preferred, lengths, baseline: true })
  }
  const labelled = judged.length + alike
  const counts = { tasks: tasks + alike, labelled, wins: 0, ties: alike, losses: 0 }
  if (!judged.length)
    return {
      ...counts,
      meaning: tasks
        ? 'Nothing is labelled yet.'
        : 'Both models gave the same answer to every prompt: on these the training changed nothing.',
    }
  const [{ n_wins, n_draws, n_wins_base, win_rate }] = winRates(judged)
  const wins = (win_rate / 100) * judged.length + alike / 2
  const { share, low, high } = wilson(wins, labelled)
  return {
    ...counts,
    ...{ wins: n_wins, ties: n_draws + alike, losses: n_wins_base },
    ...{ winRate: share, low, high },
    meaning: meaningOf(share, low, high, labelled),
  }
}

/** All tasks with what counts of each: the decision of an adjudicator, else everybody's first vote. */
async function* judgedTasks(labels: Labels, project: number) {
  const said = new Map<number, VoteRecord[]>()
  for await (const { task, votes, adjudication } of currentValues(labels, project))
    said.set(task, adjudication ? [adjudication] : votes.filter(({ kind, repeat }) => kind === 'vote' && !repeat))
  for await (const { id, responses } of allTasks(labels, project)) yield { id, responses, votes: said.get(id) ?? [] }
}

/** From 0, the first stored answer is better, to 1; what was called equally bad is a tie. */
const shareOf = ({
  preference,
  ranks,
  bothBad,
}: {
  preference?: number
  ranks?: (number | null)[]
  bothBad?: boolean
}): number[] => {
  if (bothBad) return [0.5]
  if (preference !== undefined) return [(Math.sign(preference) + 1) / 2]
  if (!ranks) return []
  const [a, b] = ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY)
  return [(Math.sign(a - b) + 1) / 2]
}

const meaningOf = (share: number, low: number, high: number, labelled: number): string => {
  const range = `${percent(low)} to ${percent(high)}`
  if (low > 0.5)
    return `The training helped: its answers win ${percent(share)} of the comparisons, and with 95 % certainty more than half (${range}).`
  if (high < 0.5)
    return `The training made it worse: its answers win only ${percent(share)} of the comparisons, and with 95 % certainty less than half (${range}).`
  const distance = Math.abs(share - 0.5)
  const needed = distance > 0 ? Math.ceil((0.25 * 1.96 ** 2) / distance ** 2) : undefined
  const more =
    needed !== undefined && needed > labelled && needed < 2000
      ? ` If it stays at ${percent(share)}, about ${plural(needed - labelled, 'more label')} would settle it.`
      : ''
  return `Not settled: ${percent(share)} of ${plural(labelled, 'comparison')} is within what chance gives (${range} holds one half).${more}`
}
