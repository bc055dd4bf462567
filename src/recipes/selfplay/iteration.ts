/**
 * One iteration of self-play, in phases: answers, lists with the snapshot's log-probs, training, evaluation. Peculiar: a
 * phase looks only at what lies in the run's folder; what is complete there is not made again, and what a phase says is
 * said from its files, so the log of a run that was resumed is the log of one that never stopped.
 */

import { dirname, join } from 'node:path'
import { z } from 'zod'
import { samplingSeed } from '../../generate/completionSampler.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { WarningEvent } from '../../runs/events.ts'
import type { Run } from '../../runs/run.node.ts'
import type { LineFile } from '../../store/lines.node.ts'
import type { EvalEvent, Progress } from '../../train/loop.ts'
import type { LossFunction } from '../../train/loss.ts'
import { badInput } from '../../util/fault.ts'
import { diskFault, makeFolders, writeWhole } from '../../util/files.node.ts'
import type { Resources } from '../../util/resources.ts'
import { readSealed, sealedFile } from '../../util/sealed.node.ts'
import type { Iteration } from '../trainer/checkpoints.ts'
import { countWarnings } from '../trainer/dataset.ts'
import type { Policy } from '../trainer/policy.ts'
import type { TrainEvent } from '../trainer/recipe.ts'
import { logpSums } from '../trainer/reference.ts'
import { completeRows, openCompletions, type RowCompletion } from './completions.ts'
import type { HelperModels } from './helperModels.ts'
import type { EqualRule, List } from './lists.ts'
import { type ListSources, makeLists, openLists } from './makeLists.ts'
import { measuresOf } from './metrics.ts'
import type { SelfPlayRows } from './rows.ts'
import { evaluateLists, stepsOf, type TrainingSettings, trainIteration, valueAt } from './training.ts'

export type SelfPlaySettings = TrainingSettings & {
  beta: readonly number[]
  mixIterations: boolean
  onEqual: EqualRule
  historic: boolean
  /** T-SPIN, with this weight of the historical advantage. */
  triplet?: number
  maxNewTokens: number
  temperature: number
  topP: number
  exactMatch: boolean
}

export type SelfPlayContext = {
  settings: SelfPlaySettings
  run: Run
  policy: Policy
  signal: AbortSignal
  tokenization: Tokenization
  rows: SelfPlayRows
  evalRows?: SelfPlayRows
  helpers: HelperModels
  /** The objective of an iteration, counted from 1. */
  loss(iteration: number): LossFunction
  /** Closes a file when the run ends. */
  own: Resources['own']
}

/** Without held-out rows so many of those trained on are measured. */
const measuredRows = 256

export const measuredOf = ({ rows, evalRows }: SelfPlayContext): SelfPlayRows =>
  evalRows ?? { ...rows, length: Math.min(rows.length, measuredRows) }

const pathOf = ({ run }: SelfPlayContext, iteration: number, name: string) =>
  join(run.dir, 'iterations', String(iteration), name)

const interrupted = Symbol('interrupted')
type Phase<T> = AsyncGenerator<TrainEvent, T | typeof interrupted>

/** Own answers of an iteration; its model must be there unless they are complete. */
const openOwn = async (
  play: SelfPlayContext,
  rows: SelfPlayRows,
  iteration: number,
): Promise<LineFile<RowCompletion>> =>
  play.own(
    await openCompletions(pathOf(play, iteration, `${rows.name}-answers.jsonl`), rows, play.settings.maxNewTokens),
  )

async function* answerPhase(play: SelfPlayContext, rows: SelfPlayRows, iteration: number): Phase<void> {
  const { settings, policy, tokenization, signal } = play
  const seed = samplingSeed('selfPlay', settings.seed, iteration, rows.name === 'train' ? 1 : 2)
  const file = await openOwn(play, rows, iteration)
  yield* completeRows(policy.model, tokenization, rows, file, { ...settings, seed }, signal)
  if (file.length < rows.length) return interrupted
}

const comparisonOf = async (play: SelfPlayContext, rows: SelfPlayRows, number: number): Promise<ListSources> => {
  const { settings, helpers, tokenization, evalRows } = play
  const mixed = settings.mixIterations && rows.name === 'train' && number > 1
  const sources = mixed ? [number, number - 1] : [number]
  return {
    ...{ tokenization, rows, helpers: helpers.list, onEqual: settings.onEqual, byRole: settings.triplet !== undefined },
    own: await Promise.all(sources.map(async (from) => ({ from, answers: await openOwn(play, rows, from) }))),
    first: settings.historic && number > 1 ? await openOwn(play, rows, 1) : undefined,
    measured: rows.name === 'held' ? rows.length : evalRows ? 0 : measuredOf(play).length,
  }
}

const openListsOf = async (play: SelfPlayContext, rows: SelfPlayRows, number: number) => {
  const comparison = await comparisonOf(play, rows, number)
  const file = play.own(await openLists(pathOf(play, number, `${rows.name}-lists.jsonl`), comparison))
  return { comparison, file, total: rows.length * comparison.own.length }
}

async function* listPhase(play: SelfPlayContext, rows: SelfPlayRows, number: number): Phase<void> {
  const { comparison, file, total } = await openListsOf(play, rows, number)
  yield* makeLists(play.policy.model, comparison, file, play.signal)
  if (file.length < total) return interrupted
}

/** Greedy answers to the rows that are measured, and which part of them is what the data says. */
async function* matchPhase(play: SelfPlayContext, iteration: number): Phase<Record<string, number>> {
  const { settings, policy, tokenization, signal } = play
  if (!settings.exactMatch) return {}
  const rows = measuredOf(play)
  const file = play.own(await openCompletions(pathOf(play, iteration, 'greedy.jsonl'), rows, settings.maxNewTokens))
  const greedy = { temperature: 0, maxNewTokens: settings.maxNewTokens, seed: settings.seed }
  yield* completeRows(policy.model, tokenization, rows, file, greedy, signal)
  if (file.length < rows.length) return interrupted
  let right = 0
  for (let i = 0; i < rows.length; i++) {
    const { completion } = await rows.row(i)
    const { ids, text } = await file.read(i)
    const isIds = Array.isArray(completion)
    const ended = (list: readonly unknown[] = []) => list.filter((id) => !tokenization.eosIds.has(id as number)).join()
    right += Number(isIds ? ended(ids) === ended(completion) : text?.trim() === completion.trim())
  }
  return { eval_exact_match: right / rows.length }
}

const resultPath = (play: SelfPlayContext, iteration: number) => pathOf(play, iteration, 'evaluation.json')

const resultSchema = z.record(z.string(), z.number())

/** Undefined where it is to be made, which also a damaged one is. */
const knownResult = async (play: SelfPlayContext, iteration: number): Promise<Record<string, number> | undefined> =>
  resultSchema.safeParse(await readSealed(resultPath(play, iteration))).data

/**
 * What the model says of an iteration's measured lists. Iteration 0 is the model before training, on the lists of the
 * first: there its log-probs are those of the snapshot.
 */
async function* evaluationPhase(play: SelfPlayContext, iteration: number, step: number): Phase<EvalEvent> {
  const known = await knownResult(play, iteration)
  if (known) return evalEvent(known, iteration, step)
  const { settings, policy } = play
  const of = Math.max(1, iteration)
  const { file } = await openListsOf(play, measuredOf(play), of)
  const lists: List[] = []
  for (let i = 0; i < measuredOf(play).length; i++) lists.push(await file.read(i))
  const measured = lists.filter(({ refs }) => refs.length)
  const trees = measured.map(({ prompt, replies }) => ({ trunk: prompt, branches: replies }))
  const logps =
    iteration === 0 || !trees.length ? measured.map(({ refs }) => refs) : await logpSums(policy.model, trees)
  const scale = { beta: valueAt(settings.beta, of), referenceFree: settings.triplet !== undefined }
  const training = { policy, settings, loss: play.loss(of), reference: !scale.referenceFree }
  const compared = measured.filter(({ dropped }) => !dropped)
  const evaluated = compared.length ? await evaluateLists(training, compared) : { eval_loss: 0 }
  const match = yield* matchPhase(play, iteration)
  if (match === interrupted) return interrupted
  const scored = measured.map((list, i) => ({ list, logps: logps[i] }))
  const all = { ...evaluated, ...(scored.length ? measuresOf(scored, scale) : {}), ...match }
  const result = Object.fromEntries(Object.entries(all).filter(([, value]) => Number.isFinite(value)))
  const path = resultPath(play, iteration)
  await makeFolders(dirname(path)).catch((error) => {
    throw diskFault(error, path)
  })
  await writeWhole(path, sealedFile(path, result))
  return evalEvent(result, iteration, step)
}

const evalEvent = (result: Record<string, number>, iteration: number, step: number): EvalEvent => ({
  event: 'eval',
  step,
  iteration,
  eval_loss: result.eval_loss,
  ...result,
})

/** Lines to train on, and what was odd about the others. */
const survey = async (file: LineFile<List>, total: number): Promise<{ lines: number[]; warnings: WarningEvent[] }> => {
  const lines: number[] = []
  const counts = new Map<string, number>()
  for (let i = 0; i < total; i++) {
    const { dropped, odd } = await file.read(i)
    for (const what of dropped ? [dropped, ...odd] : odd) counts.set(what, (counts.get(what) ?? 0) + 1)
    if (!dropped) lines.push(i)
  }
  return { lines, warnings: countWarnings(counts, oddities) }
}

const oddities: Record<string, string> = {
  equal: 'rows not trained on: all their answers are equal, so there is nothing to tell apart',
  'prompt-too-long': 'rows not used: the prompt leaves no room for an answer',
  'empty-prompt': 'rows not used: the prompt is empty',
  'helper-empty': 'rows not used: a helper had no answer to them',
  'helper-cut': 'answers of helpers were cut at --max-new-tokens',
}

/** Answers and lists of an iteration, and for the first the measures before any training. */
async function* preparation(play: SelfPlayContext, number: number, step: number): Phase<void> {
  const sets = play.evalRows ? [play.rows, play.evalRows] : [play.rows]
  if (number === 1 && !(yield* play.helpers.prepare(sets, play.signal))) return interrupted
  for (const rows of sets) {
    for (const phase of [answerPhase, listPhase])
      if ((yield* phase(play, rows, number)) === interrupted) return interrupted
  }
  if (number > 1) return
  const before = yield* evaluationPhase(play, 0, step)
  if (before === interrupted) return interrupted
  yield before
}

export type IterationResult = { progress: Progress; stopped?: 'interrupted' | 'converged'; evaluation?: EvalEvent }

/** @param progress of the iteration: its own steps. @returns it, and why the run ends here, if it does */
export async function* runIteration(
  play: SelfPlayContext,
  iteration: Iteration,
  progress: Progress,
): AsyncGenerator<TrainEvent, IterationResult> {
  const { policy, settings, rows, signal } = play
  const { number, start } = iteration
  const fresh = progress.step === 0
  if (fresh && (yield* preparation(play, number, start)) === interrupted) return { progress, stopped: 'interrupted' }
  const { file, total } = await openListsOf(play, rows, number)
  if (file.length < total) throw lostLines(pathOf(play, number, `${rows.name}-lists.jsonl`))
  const { lines, warnings } = await survey(file, total)
  if (fresh) yield* warnings
  if (fresh) yield* sampled(play, number, start)
  if (lines.length === 0) return { progress, stopped: 'converged' }
  if (signal.aborted) return { progress, stopped: 'interrupted' }
  if (fresh)
    for (const { state } of policy.arenas) for (const handle of Object.values(state)) policy.backend.zero(handle)
  const trained = yield* trainIteration(
    {
      ...{ policy, run: play.run, settings, signal, file, lines, iteration },
      ...{ loss: play.loss(number), reference: settings.triplet === undefined },
      later: laterSteps(settings, number, rows.length),
    },
    progress,
  )
  if (trained.interrupted) return { progress: trained.progress, stopped: 'interrupted' }
  const evaluation = yield* evaluationPhase(play, number, start + trained.progress.step)
  if (evaluation === interrupted) return { progress: trained.progress, stopped: 'interrupted' }
  yield evaluation
  return { progress: trained.progress, evaluation }
}

const lostLines = (file: string) =>
  badInput('bad-run', 'has lost lines, or some are not what was written; begin a new run', { file })

/** Steps of the iterations after this one, at most. */
export const laterSteps = (settings: SelfPlaySettings, number: number, rows: number): number => {
  let steps = 0
  for (let n = number + 1; n <= settings.iterations; n++)
    steps += stepsOf(settings, settings.mixIterations && n > 1 ? 2 * rows : rows)
  return steps
}

/** One answer of the iteration, to be looked at. */
async function* sampled(play: SelfPlayContext, number: number, step: number): AsyncGenerator<TrainEvent> {
  const file = await openOwn(play, play.rows, number)
  const { prompt } = await play.rows.row(0)
  const { text } = await file.read(0)
  if (text !== undefined && typeof prompt === 'string')
    yield { event: 'sample', step, iteration: number, prompt, completion: text } as TrainEvent
}
