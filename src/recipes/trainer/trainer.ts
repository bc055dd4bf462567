/**
 * The trainer that methods on rows share: the survey of the rows, the loop with checkpoints and evaluations, and the result on
 * disk. A method gives its policy, its examples, its loss and how its examples become micro-batches. Methods that learn from
 * the policy's own samples have rl/trainer.ts.
 */

import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Adapter } from '../../models/lora.ts'
import { type ScheduleName, schedule } from '../../optim/schedules.ts'
import type { StartEvent } from '../../runs/events.ts'
import type { Run } from '../../runs/run.node.ts'
import { type Progress, train } from '../../train/loop.ts'
import type { LossFunction } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { evaluate } from '../../train/step.ts'
import type { Counts, ExampleStream } from '../../train/stream.ts'
import { sha256Files } from '../../util/sha256.node.ts'
import { checkedBefore } from '../check/beforeTraining.ts'
import type { RowChecks } from '../check/rowChecks.ts'
import { requireDiskSpace, resumeTraining, saveCheckpoint } from './checkpoints.ts'
import { microBatches, microBatchTokens } from './collate.ts'
import { type DatasetSettings, droppedRows, type Examples, rowWarnings, surveyRows } from './dataset.ts'
import { findLearningRate } from './findLearningRate.ts'
import { type Policy, planFor, restorePolicy } from './policy.ts'
import type { TrainEvent } from './recipe.ts'
import type { Reference } from './reference.ts'
import { finishRun } from './result.ts'
import { sampleAfter, sampleBefore } from './samples.ts'

/** The settings that the trainer and the data set read. */
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
  findLr: boolean
  optimizer: string
  schedule: ScheduleName
  scheduleOption: Partial<Record<string, number>>
  warmupSteps: number
  maxGradNorm: number
}

/** Where a batch begins in the order of rows, and whether its rows are held out. A resumed run makes the same batch at a place. */
export type BatchPlace = { position: number; held: boolean }

/** What a method gives the trainer. E is its example. */
export type TrainerSetup<E extends object> = {
  policy: Policy
  examples: Examples<E>
  settings: TrainerSettings
  run: Run
  signal: AbortSignal
  loss: LossFunction
  head?: { labelSmoothing?: number }
  /** The names of the losses, for the `start` event. */
  objective?: string
  /** Where it must be precomputed, every value is computed before training changes the model. */
  reference?: Reference
  /** The micro-batches of one step, or of a part of an evaluation. */
  collate(microBatches: E[][], place: BatchPlace): Promise<MicroBatch[]>
  /** Tokens of an example as `num_tokens` counts them: the prompt with each completion. It is asked after `collate`. */
  numTokens(example: E): number
  /** Tokens of an example that go through the model, where they are more than its ids: its completion is sampled later. */
  passTokens?(example: E): number
  /** Evaluate before the first step too. */
  evaluateFirst?: boolean
  /** The method's own metrics of one evaluation, from the scores of its batches; they replace the loss's of the same names. */
  evaluation?: () => {
    addBatch(batch: MicroBatch, scores: Float32Array): void
    metrics(): Record<string, number>
  }
  /** Of a model that writes text: samples of before and after the training then stand on the run's page. */
  tokenization?: Tokenization
  /** Contents of files beside the result, by name. It is called after an evaluation of the weights that are saved. */
  resultFiles?(): Promise<Readonly<Record<string, string>>>
}

/** Trains, from the beginning or the newest checkpoint, to the result on disk. */
export async function* runTrainer<E extends object>(setup: TrainerSetup<E>): AsyncGenerator<TrainEvent> {
  const { policy, examples, settings, run, signal, loss, head = {}, reference, tokenization } = setup
  const sampling = tokenization && { run, policy, tokenization, rows: examples.sampledRows, signal }
  const stepRows = settings.batchSize * settings.gradAccum
  const totalSteps = Math.min(
    settings.maxSteps ?? Number.POSITIVE_INFINITY,
    Math.ceil((examples.train.length * settings.epochs) / stepRows),
  )
  const { state, progress, warnings } = await resumeTraining(run, settings.resume, policy)
  yield* warnings
  // A row that cannot be read is found before the run's folder is written to
  yield* surveyRows([examples.train, examples.eval], signal)
  const warnOfRuin = state || signal.aborted ? [] : checkedBefore(examples.checks, examples.train)
  if (settings.findLr) return yield* findRate(setup, stepRows)
  await requireDiskSpace(run, policy, settings, totalSteps - progress.step, examples.eval !== undefined)
  if (!state) policy.plan = await choosePlan(setup, stepRows)
  const start = await startEvent(setup, progress.step, totalSteps)
  yield { ...start, ...(setup.objective && { objective: setup.objective }) }
  if (!state) yield* [...examples.warnings, ...rowWarnings(examples.train), ...warnOfRuin]
  if (sampling && progress.step === 0) yield* sampleBefore(sampling)
  if (reference?.mustPrecompute) yield* precomputeReference(setup, reference, progress, totalSteps, stepRows)
  if (state) await restorePolicy(policy, state.file)
  let evaluated = false
  const end = yield* train({
    ...settings,
    trainer: { ...policy, loss, head, share: policy.sharing?.step({ loss, head }) },
    progress: state || !setup.evaluateFirst ? progress : { ...progress, evalDue: examples.eval !== undefined },
    totalSteps,
    rowsPerEpoch: examples.train.length,
    learningRate: schedule(settings.schedule, { ...settings, ...settings.scheduleOption, totalSteps }),
    next: (position) => {
      evaluated = false
      return nextStep(setup, position, stepRows)
    },
    evaluate:
      examples.eval &&
      (() => {
        evaluated = true
        return evaluateRows(setup)
      }),
    evalEvery: settings.evalEvery ?? Math.max(1, Math.ceil(examples.train.length / stepRows)),
    save: (at) => saveCheckpoint(run, policy, settings, at),
    signal,
  })
  const failure = reference?.cacheFailure()
  if (failure) yield { event: 'warning', code: 'cache', message: failure }
  const resultFiles = async (restored: boolean) => {
    if (examples.eval && (restored || !evaluated)) await evaluateRows(setup)
    return setup.resultFiles!()
  }
  yield* finishRun(
    {
      policy,
      run,
      settings,
      resultFiles: setup.resultFiles && resultFiles,
      afterwards: sampling && (() => sampleAfter(sampling)),
    },
    end,
  )
}

/** --find-lr: nothing is written, and the model is not used afterwards. */
async function* findRate<E extends object>(setup: TrainerSetup<E>, stepRows: number): AsyncGenerator<TrainEvent> {
  const { policy, settings, signal, loss, head = {} } = setup
  policy.plan = await choosePlan(setup, stepRows)
  yield* findLearningRate({
    ...settings,
    trainer: { ...policy, loss, head },
    next: (position) => nextStep(setup, position, stepRows),
    signal,
  })
}

// Steps and evaluations

/** Tokens of an example that go through the model: a prompt once. */
const passTokens = <E extends object>({ examples, passTokens: own }: TrainerSetup<E>, example: E) =>
  own?.(example) ?? examples.ids(example).reduce((n, { length }) => n + length, 0)

/** The examples of a step by micro-batch. */
const splitStep = <E extends object>(setup: TrainerSetup<E>, examples: readonly E[]): E[][] => {
  const { policy, settings, loss } = setup
  const tokens = (example: E) => passTokens(setup, example)
  return microBatches(examples, settings.batchSize, tokens, microBatchTokens(policy, loss))
}

const nextStep = async <E extends object>(setup: TrainerSetup<E>, position: number, count: number) => {
  const { examples, collate, numTokens } = setup
  const taken = await examples.train.take(position, count)
  if (taken.examples.length === 0) return undefined
  return {
    batches: await collate(splitStep(setup, taken.examples), { position, held: false }),
    rows: taken.rows,
    position: taken.position,
    tokens: taken.examples.reduce((n, example) => n + numTokens(example), 0),
  }
}

async function* evalBatches<E extends object>({
  examples,
  settings,
  collate,
  signal,
}: TrainerSetup<E>): AsyncGenerator<MicroBatch> {
  for (let position = 0; !signal.aborted; ) {
    const taken = await examples.eval!.take(position, settings.batchSize)
    if (taken.examples.length === 0) return
    const place = { position, held: true }
    position = taken.position
    yield* await collate([taken.examples], place)
  }
}

/** One evaluation: the metrics of the loss, and the method's own. */
const evaluateRows = async <E extends object>(setup: TrainerSetup<E>): Promise<Record<string, number>> => {
  const { policy, loss, head = {}, evaluation, signal } = setup
  const own = evaluation?.()
  const share = own ? undefined : policy.sharing?.evaluation({ loss, head }, signal)
  const metrics = await evaluate({ model: policy.model, loss, head, share }, evalBatches(setup), own?.addBatch)
  const ownMetrics = Object.entries(own?.metrics() ?? {}).map(([name, value]) => [`eval_${name}`, value])
  return { ...metrics, ...Object.fromEntries(ownMetrics) }
}

/** Steps that say how large a micro-batch gets. */
const firstSteps = 8

/** The memory plan, by the largest micro-batch of the first steps. */
const choosePlan = async <E extends object>(setup: TrainerSetup<E>, stepRows: number) => {
  const { policy, examples, settings } = setup
  const { examples: first } = await examples.train.take(0, firstSteps * stepRows)
  const split = splitStep(setup, first)
  const tokens = (microBatch: readonly E[]) => microBatch.reduce((n, example) => n + passTokens(setup, example), 0)
  const N = Math.max(...split.map(tokens))
  const B = Math.max(...split.map((microBatch) => microBatch.length))
  const T = Math.max(...first.map((example) => passTokens(setup, example)))
  return planFor(policy, settings.memory, { N, B, T })
}

/** Makes every batch that is still to come, which computes and keeps all values of the reference model. */
async function* precomputeReference<E extends object>(
  setup: TrainerSetup<E>,
  reference: Reference,
  from: Progress,
  totalSteps: number,
  stepRows: number,
): AsyncGenerator<TrainEvent> {
  const { examples, settings, signal } = setup
  const total = totalSteps - from.step + Math.ceil((examples.eval?.length ?? 0) / settings.batchSize)
  let position = from.position
  let done = 0
  const progress = (): TrainEvent => ({ event: 'progress', phase: 'reference', done: ++done, total })
  for (let step = from.step; step < totalSteps && !signal.aborted; step++) {
    const taken = await nextStep(setup, position, stepRows)
    if (!taken) break
    position = taken.position
    yield progress()
  }
  if (examples.eval) for await (const _ of evalBatches(setup)) yield progress()
  if (!signal.aborted) reference.precomputed()
}

// The start of a run

type Surveyed = Pick<ExampleStream<never>, 'length' | 'found'>

/** @param examples surveyed, so that it is known which rows are not used */
export const startEvent = async (
  {
    policy,
    examples,
  }: {
    policy: Policy
    examples: {
      train: Surveyed
      eval?: Surveyed
      dropped: Examples<never>['dropped']
      files: string[]
      checks?: Pick<RowChecks, 'plainRows'>
    }
  },
  step: number,
  totalSteps: number,
): Promise<StartEvent> => ({
  event: 'start',
  step,
  total_steps: totalSteps,
  rows: examples.train.length,
  ...(examples.eval && { eval_rows: examples.eval.length }),
  ...(examples.checks && { plain_rows: examples.checks.plainRows() }),
  dropped: droppedRows(examples.dropped.train, examples.train),
  ...(examples.eval && evalDropped(droppedRows(examples.dropped.eval, examples.eval))),
  ...policy.counts,
  ...(policy.adapter && { adapter: adapterFacts(policy.adapter) }),
  plan: policy.plan,
  engine: policy.backend.description,
  // Policy, value model and reward models may be of one folder
  model_files: [...new Map(policy.files.map((file) => [file.absolute, file])).values()],
  data_files: await sha256Files(examples.files),
})

/** Shape of the adapter that is trained, new or opened. */
const adapterFacts = ({ r, alpha, dropout, targets }: Adapter) => ({ r, alpha, dropout, modules: [...targets.keys()] })

const evalDropped = (dropped: Counts) => Object.keys(dropped).length > 0 && { eval_dropped: dropped }
