/**
 * The training loop of every recipe: steps, evaluations and checkpoints until the data, the number of steps or the
 * patience for improvement end. It yields events and stores nothing itself. After an abort the current step is
 * finished and saved.
 */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { MicroBatch } from './micro.ts'
import { type Trainer, trainStep } from './step.ts'

/** The state of a run beside its arenas: with both, a stopped run continues as if it had not been stopped. */
export type Progress = {
  /** Steps done. */
  step: number
  /** Position in the order of rows. */
  position: number
  /** Tokens trained on. */
  num_tokens: number
  /** The best evaluation by `bestMetric`. */
  best?: Evaluated
  /** The newest evaluation. */
  last?: Evaluated
  /** Evaluations since the best one, for `patience`. */
  waited: number
  /** The run was stopped before the evaluation after this step. */
  evalDue?: boolean
}

/** The value of `bestMetric` after a step. */
export type Evaluated = {
  /** Steps done before it. */
  step: number
  /** The metric. */
  value: number
}

/** The progress of a new run. */
export const beginning: Progress = { step: 0, position: 0, num_tokens: 0, waited: 0 }

/** The micro-batches of one step. */
export type StepBatches = {
  /** Their gradients are added before the update. */
  batches: MicroBatch[]
  /** The rows they hold. */
  rows: readonly number[]
  /** Position in the order of rows after them. */
  position: number
  /** Their tokens. */
  tokens: number
}

/** What the loop trains, on what, and when it evaluates and saves. */
export type LoopOptions = {
  /** The parameters, their gradient and their update. */
  trainer: Trainer
  /** Where it begins: `beginning`, or that of a checkpoint. */
  progress: Progress
  /** The step at which it ends. */
  totalSteps: number
  /** Rows of an epoch. */
  rowsPerEpoch: number
  /** By the schedule. */
  learningRate(step: number): number
  /** The gradient is clipped to this norm; 0 does not clip. */
  maxGradNorm: number
  /** Of dropout. */
  seed: number
  /** The batches of the next step; undefined where the data ends. */
  next(position: number): Promise<StepBatches | undefined>
  /** May end early after an abort; its result is then ignored. */
  evaluate?(): Promise<Record<string, number>>
  /** Steps between evaluations. */
  evalEvery: number
  /** Decides which evaluation is the best; 'none' for none. */
  bestMetric: string
  /** Ends after so many evaluations without a better one. */
  patience?: number
  /** Steps between checkpoints. */
  saveEvery: number
  /** Writes a checkpoint and returns its path. */
  save(progress: Progress): Promise<string>
  /** After it aborts the current step is finished and saved. */
  signal: AbortSignal
}

/** Numbers by their published names (rewards/margins, entropy, ...) beside an event's own fields. */
export type LoggedMetrics = { [metric: string]: number | string | undefined }

/** One optimizer step. */
export type StepEvent = LoggedMetrics & {
  /** Tells it from other events. */
  event: 'step'
  /** Counted from 1. */
  step: number
  /** The step at which the run ends. */
  total_steps: number
  /** That of the step's rows. */
  loss: number
  /** The norm of the gradient before clipping. */
  grad_norm: number
  /** The one that this step used. */
  learning_rate: number
  /** Passes over the rows so far: 0.5 is half of the first. */
  epoch: number
  /** Tokens trained on since the run began, prompts included. */
  num_tokens: number
  /** How long the step took. */
  seconds?: number
  /** Tokens of the step by its seconds. */
  tokens_per_second?: number
}

/** An evaluation on held-out rows, with its metrics. */
export type EvalEvent = LoggedMetrics & {
  /** Tells it from other events. */
  event: 'eval'
  /** Steps done before it. */
  step: number
  /** The loss of the held-out rows. */
  eval_loss?: number
}
/** A checkpoint was written. */
export type CheckpointEvent = {
  /** Tells it from other events. */
  event: 'checkpoint'
  /** Steps done before it. */
  step: number
  /** Its folder. */
  path: string
}

/** What the loop tells while it trains. */
export type LoopEvent = StepEvent | EvalEvent | CheckpointEvent

/** How the loop ended. */
export type LoopEnd = {
  /** Where a later run goes on. */
  progress: Progress
  /** All steps are done, `signal` aborted, or `patience` found nothing better. */
  stopped: 'done' | 'interrupted' | 'patience'
}

/** Metrics of which less is better. */
const losses = /loss|nll|(^|[_/])kl/

/** Larger is better unless the name says otherwise. */
export const isBetter = (metric: string, value: number, than: number): boolean =>
  losses.test(metric) ? value < than : value > than

/** The evaluation whose weights are better than the last ones, if there is one. */
export const betterThanLast = (bestMetric: string, { best, last, step }: Progress): Evaluated | undefined => {
  if (!best || best.step === step) return undefined
  // Checkpoints of earlier versions do not say how the last evaluation went
  return last && !isBetter(bestMetric, best.value, last.value) ? undefined : best
}

/** The training loop: steps, evaluations and checkpoints in turn, told as events. */
export async function* train(options: LoopOptions): AsyncGenerator<LoopEvent, LoopEnd> {
  const { signal, saveEvery, totalSteps } = options
  let progress = options.progress
  let saved = progress.step
  let stopped: LoopEnd['stopped'] = 'done'
  if (isOutOfPatience(options, progress)) return { progress, stopped: 'patience' }
  if (signal.aborted) {
    // So that there is always a checkpoint to resume from
    if (saved === 0) yield { event: 'checkpoint', step: 0, path: await options.save(progress) }
    return { progress, stopped: 'interrupted' }
  }
  while (progress.evalDue || progress.step < totalSteps) {
    if (!progress.evalDue) {
      const stepped = await nextStep(options, progress)
      if (!stepped) break
      progress = stepped.progress
      yield stepped.event
    }
    const { step } = progress
    if (progress.evalDue && !signal.aborted) {
      const evaluated = await options.evaluate!()
      if (!signal.aborted) {
        yield { event: 'eval', step, ...evaluated }
        progress = withBest(options, { ...progress, evalDue: false }, evaluated)
      }
    }
    const last = step === totalSteps && !progress.evalDue
    const worn = isOutOfPatience(options, progress)
    const interrupted = signal.aborted
    const due = step > 0 && (step % saveEvery === 0 || progress.best?.step === step)
    if (last || worn || interrupted || due) {
      yield { event: 'checkpoint', step, path: await options.save(progress) }
      saved = step
    }
    if (worn || (interrupted && !last)) {
      stopped = worn ? 'patience' : 'interrupted'
      break
    }
  }
  if (saved !== progress.step) yield { event: 'checkpoint', step: progress.step, path: await options.save(progress) }
  // Where `next` ended the run, the last step is evaluated after its checkpoint, so that a resumed run evaluates it again
  if (stopped === 'done' && options.evaluate && !isEvaluated(options, progress.step) && !signal.aborted) {
    const evaluated = await options.evaluate()
    if (signal.aborted) return { progress, stopped: 'interrupted' }
    yield { event: 'eval', step: progress.step, ...evaluated }
    progress = withBest(options, progress, evaluated)
  }
  return { progress, stopped }
}

const isEvaluated = ({ evalEvery, totalSteps }: LoopOptions, step: number) =>
  step % evalEvery === 0 || step === totalSteps

const isOutOfPatience = ({ patience }: LoopOptions, { waited }: Progress) =>
  patience !== undefined && waited >= patience

const nextStep = async (
  options: LoopOptions,
  before: Progress,
): Promise<{ progress: Progress; event: LoopEvent } | undefined> => {
  const started = performance.now()
  const taken = await options.next(before.position)
  if (!taken) return undefined
  const step = before.step + 1
  const metrics = await runStep(options, taken, step)
  const progress = {
    ...before,
    step,
    position: taken.position,
    num_tokens: before.num_tokens + taken.tokens,
    evalDue: options.evaluate !== undefined && isEvaluated(options, step),
  }
  return { progress, event: stepEvent(options, progress, metrics, taken.tokens, (performance.now() - started) / 1000) }
}

const unknownMetric = (name: string, known: readonly string[]) =>
  badInput('bad-flag', `${quoted(name)} is not measured; there are ${known.join(', ')}`, {
    flag: '--best-metric',
  })

const runStep = (
  { trainer, learningRate, maxGradNorm, seed }: LoopOptions,
  { batches, rows }: StepBatches,
  step: number,
) => trainStep(trainer, batches, { step, rows, seed, maxGradNorm, learningRate: learningRate(step - 1) })

const stepEvent = (
  options: LoopOptions,
  progress: Progress,
  metrics: Record<string, number>,
  tokens: number,
  seconds: number,
): LoopEvent => ({
  event: 'step',
  step: progress.step,
  total_steps: options.totalSteps,
  ...(metrics as { loss: number; grad_norm: number; learning_rate: number }),
  epoch: progress.position / options.rowsPerEpoch,
  num_tokens: progress.num_tokens,
  seconds,
  tokens_per_second: tokens / seconds,
})

const withBest = ({ bestMetric }: LoopOptions, progress: Progress, evaluated: Record<string, number>): Progress => {
  if (bestMetric === 'none') return progress
  const value = evaluated[bestMetric]
  if (value === undefined) throw unknownMetric(bestMetric, Object.keys(evaluated))
  if (Number.isNaN(value)) return progress
  // What is measured before the first step is there to compare with: an untrained model is no result
  if (progress.step === 0) return progress
  const last = { step: progress.step, value }
  const improved = !progress.best || isBetter(bestMetric, value, progress.best.value)
  return improved ? { ...progress, best: last, last, waited: 0 } : { ...progress, last, waited: progress.waited + 1 }
}
