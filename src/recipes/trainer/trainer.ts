/**
 * What all recipes do alike around their own lines: the loop over examples with its run folder's checkpoints and
 * evaluations, and the result on disk. A recipe gives the parts that make it what it is.
 */

import { readState } from '../../checkpoint/state.node.ts'
import type { Adapter } from '../../models/lora.ts'
import { type ScheduleName, schedule } from '../../optim/schedules.ts'
import type { EndEvent } from '../../runs/events.ts'
import type { Run } from '../../runs/run.node.ts'
import { type Progress, train } from '../../train/loop.ts'
import type { LossFunction } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { restoreState } from '../../train/state.ts'
import { evaluate } from '../../train/step.ts'
import type { Counts, ExampleStream } from '../../train/stream.ts'
import { sha256Files } from '../../util/sha256.node.ts'
import { requireRoom, resumeTraining, saveCheckpoint } from './checkpoints.ts'
import type { DatasetSettings, Examples } from './dataset.ts'
import { rowWarnings } from './dataWarnings.ts'
import { microBatches, microBatchTokens } from './microBatches.ts'
import { type Policy, planFor } from './policy.ts'
import type { TrainEvent } from './recipe.ts'
import type { Reference } from './reference.ts'
import { writeResult } from './result.ts'
import { droppedRows, surveyed } from './survey.ts'

/** The settings of a recipe that the loop and the data read. */
export type TrainerSettings = DatasetSettings & {
  evalEvery?: number
  bestMetric: string
  patience?: number
  output: string
  resume: boolean
  saveEvery: number
  keep: number
  saveDtype: 'float32' | 'bfloat16' | 'float16'
  memory: 'auto' | 'fast' | 'low'
  maxSteps?: number
  batchSize: number
  gradAccum: number
  learningRate: number
  schedule: ScheduleName
  scheduleOption: Partial<Record<string, number>>
  warmupSteps: number
  maxGradNorm: number
}

export type TrainerParts<E extends object> = {
  policy: Policy
  examples: Examples<E>
  settings: TrainerSettings
  run: Run
  signal: AbortSignal
  loss: LossFunction
  head?: { labelSmoothing?: number }
  /** Micro-batches of one step. */
  collate(micros: E[][]): Promise<MicroBatch[]>
  /** Tokens of an example as users count them: prompts with each response. */
  tokens(example: E): number
  /** Its values must be there before training changes the model. */
  reference?: Reference
  /** The losses' names. */
  objective?: string
  /** Held-out measures of its own, made anew for each evaluation from the scores of its batches. */
  heldOut?: () => {
    see(batch: MicroBatch, scores: Float32Array): void
    measures(): Record<string, number>
  }
  /** Evaluate before the first step too. */
  evalFirst?: boolean
  /** Texts that lie beside the result, by file name; the last evaluation was of its weights. */
  beside?(): Promise<Readonly<Record<string, string>>>
}

/** One evaluation: the loss's measures, and the recipe's own in their place. */
const evaluateHeld = async <E extends object>(parts: TrainerParts<E>): Promise<Record<string, number>> => {
  const own = parts.heldOut?.()
  const trainer = { model: parts.policy.model, loss: parts.loss, head: parts.head ?? {} }
  const measured = await evaluate(trainer, evalBatches(parts), own?.see)
  const more = Object.entries(own?.measures() ?? {}).map(([name, value]) => [`eval_${name}`, value])
  return { ...measured, ...Object.fromEntries(more) }
}

/** Trains, from the beginning or the newest checkpoint, to the result on disk. */
export async function* runTrainer<E extends object>(parts: TrainerParts<E>): AsyncGenerator<TrainEvent> {
  const { policy, examples, settings } = parts
  const stepRows = settings.batchSize * settings.gradAccum
  const totalSteps = Math.min(
    settings.maxSteps ?? Number.POSITIVE_INFINITY,
    Math.ceil((examples.train.length * settings.epochs) / stepRows),
  )
  const { state, progress, warnings } = await resumeTraining(parts.run, settings.resume, policy)
  yield* warnings
  // What can be wrong with any row is found before the run's folder is written to
  yield* surveyed([examples.train, examples.eval], parts.signal)
  await requireRoom(parts.run, policy, settings, totalSteps - progress.step, examples.eval !== undefined)
  if (!state) policy.plan = await planOf(parts, stepRows)
  yield {
    ...(await startEvent(parts, progress.step, totalSteps)),
    ...(parts.objective && { objective: parts.objective }),
  }
  if (!state) yield* [...examples.warnings, ...rowWarnings(examples.train)]
  if (parts.reference?.frozen) yield* referenceAhead(parts, progress, totalSteps, stepRows)
  if (state) await restoreState(policy.backend, policy.arenas, state.file)
  let evaluated = false
  const end = yield* train({
    ...settings,
    trainer: { ...policy, loss: parts.loss, head: parts.head ?? {} },
    progress: state || !parts.evalFirst ? progress : { ...progress, evalDue: examples.eval !== undefined },
    totalSteps,
    rowsPerEpoch: examples.train.length,
    learningRate: schedule(settings.schedule, { ...settings, ...settings.scheduleOption, totalSteps }),
    next: (position) => {
      evaluated = false
      return nextStep(parts, position, stepRows)
    },
    evaluate:
      examples.eval &&
      (() => {
        evaluated = true
        return evaluateHeld(parts)
      }),
    evalEvery: settings.evalEvery ?? Math.max(1, Math.ceil(examples.train.length / stepRows)),
    save: (at) => saveCheckpoint(parts.run, policy, settings, at),
    signal: parts.signal,
  })
  const trouble = parts.reference?.trouble()
  if (trouble) yield { event: 'warning', code: 'cache', message: trouble }
  const beside = async (restored: boolean) => {
    if (examples.eval && (restored || !evaluated)) await evaluateHeld(parts)
    return parts.beside!()
  }
  yield await finishRun({ ...parts, beside: parts.beside && beside }, end)
}

/** By the largest micro-batch of the first steps. */
const planOf = async <E extends object>(parts: TrainerParts<E>, stepRows: number) => {
  const { policy, examples, settings } = parts
  const { examples: first } = await examples.train.take(0, 8 * stepRows)
  const micros = microsOf(parts, first)
  const tokens = (micro: readonly E[]) => micro.reduce((n, example) => n + tokensOf(parts, example), 0)
  const B = Math.max(...micros.map((micro) => micro.length))
  const T = Math.max(...first.map((example) => tokensOf(parts, example)))
  return planFor(policy, settings.memory, { N: Math.max(...micros.map(tokens)), B, T })
}

/** Tokens that go through the model: a prompt once. */
const tokensOf = <E extends object>({ examples }: TrainerParts<E>, example: E) =>
  examples.ids(example).reduce((n, { length }) => n + length, 0)

/** A step's examples as they are computed at once. */
const microsOf = <E extends object>(parts: TrainerParts<E>, examples: readonly E[]): E[][] => {
  const { policy, settings, loss } = parts
  return microBatches(
    examples,
    settings.batchSize,
    (example) => tokensOf(parts, example),
    microBatchTokens(policy, loss),
  )
}

/** Makes every batch that is still to come, for the sake of the reference values that this computes and keeps. */
async function* referenceAhead<E extends object>(
  parts: TrainerParts<E>,
  from: Progress,
  totalSteps: number,
  stepRows: number,
): AsyncGenerator<TrainEvent> {
  const total = totalSteps - from.step + Math.ceil((parts.examples.eval?.length ?? 0) / parts.settings.batchSize)
  let [position, done] = [from.position, 0]
  const progress = (): TrainEvent => ({ event: 'progress', phase: 'reference', done: ++done, total })
  for (let step = from.step; step < totalSteps && !parts.signal.aborted; step++) {
    const taken = await nextStep(parts, position, stepRows)
    if (!taken) break
    position = taken.position
    yield progress()
  }
  if (parts.examples.eval) for await (const _ of evalBatches(parts)) yield progress()
  if (!parts.signal.aborted) parts.reference!.complete()
}

type Found = Pick<ExampleStream<never>, 'length' | 'found'>

/** @param examples surveyed, so that what is not used is known */
export const startEvent = async (
  {
    policy,
    examples,
  }: { policy: Policy; examples: { train: Found; eval?: Found; dropped: Examples<never>['dropped']; files: string[] } },
  step: number,
  totalSteps: number,
): Promise<TrainEvent> => ({
  event: 'start',
  step,
  total_steps: totalSteps,
  rows: examples.train.length,
  ...(examples.eval && { eval_rows: examples.eval.length }),
  dropped: droppedRows(examples.dropped.train, examples.train),
  ...(examples.eval && evalDropped(droppedRows(examples.dropped.eval, examples.eval))),
  ...policy.counts,
  ...(policy.adapter && { adapter: shapeOf(policy.adapter) }),
  plan: policy.plan,
  engine: policy.backend.description,
  // Policy, value model and rewards may be of one folder
  model_files: [...new Map(policy.files.map((file) => [file.absolute, file])).values()],
  data_files: await sha256Files(examples.files),
})

/** What the adapter is that is trained, whoever made it. */
const shapeOf = ({ r, alpha, dropout, targets }: Adapter) => ({ r, alpha, dropout, modules: [...targets.keys()] })

const evalDropped = (dropped: Counts) => Object.keys(dropped).length > 0 && { eval_dropped: dropped }

const nextStep = async <E extends object>(parts: TrainerParts<E>, position: number, count: number) => {
  const { examples, collate, tokens } = parts
  const taken = await examples.train.take(position, count)
  if (taken.examples.length === 0) return undefined
  const batches = await collate(microsOf(parts, taken.examples))
  return {
    batches,
    rows: taken.rows,
    position: taken.position,
    tokens: taken.examples.reduce((n, example) => n + tokens(example), 0),
  }
}

async function* evalBatches<E extends object>({
  examples,
  settings,
  collate,
  signal,
}: TrainerParts<E>): AsyncGenerator<MicroBatch> {
  for (let position = 0; !signal.aborted; ) {
    const taken = await examples.eval!.take(position, settings.batchSize)
    if (taken.examples.length === 0) return
    position = taken.position
    yield* await collate([taken.examples])
  }
}

type Finishing = Pick<TrainerParts<never>, 'policy' | 'run'> & {
  settings: Pick<TrainerSettings, 'patience' | 'saveDtype'>
  /** Texts beside the result. @param restored the best step's weights took the place of the last one's */
  beside?: (restored: boolean) => Promise<Readonly<Record<string, string>>>
}
type Ended = { progress: Progress; stopped: EndEvent['stopped'] }

export const finishRun = async (parts: Finishing, { progress, stopped }: Ended): Promise<TrainEvent> => {
  const { policy, settings, run } = parts
  const best = progress.best?.step
  const restored = settings.patience !== undefined && best !== undefined && best !== progress.step
  if (restored) {
    await restoreState(policy.backend, policy.arenas, (await readState(`${run.checkpoints}/step-${best}`)).file)
  }
  const output =
    stopped === 'interrupted'
      ? run.dir
      : await writeResult(policy, run.dir, settings.saveDtype, await parts.beside?.(restored))
  return {
    event: 'end',
    steps: progress.step,
    output,
    stopped,
    peak_memory: process.resourceUsage().maxRSS * 1024,
    ...(best !== undefined && { best_step: best }),
  }
}
