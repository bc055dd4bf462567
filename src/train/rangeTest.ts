/**
 * The learning-rate range test (Smith, arXiv 1506.01186): one step each at rates that rise by a constant factor, until the loss
 * blows up. Steps see different rows, whose losses differ by more than a step changes them; so a step counts by how far its loss
 * is from that of the untrained model on the same rows. That also serves losses that begin at a constant, such as DPO's ln 2.
 */
import { mean } from '../statistics/summary.ts'
import { Fault } from '../util/fault.ts'
import type { StepBatches } from './loop.ts'
import { evaluate, type Trainer, trainStep } from './step.ts'

/** One step: `loss` is measured before its update, `change` is the loss less that of the untrained model on the same rows. */
export type RateEvent = {
  event: 'rate'
  step: number
  total_steps: number
  learning_rate: number
  loss: number
  change: number
}

export type RangeTestOptions = {
  trainer: Trainer
  /** One for each step, in their order. */
  rates: readonly number[]
  /** The batches of a step; undefined where the data ends, after which the first ones come again. */
  next(position: number): Promise<StepBatches | undefined>
  maxGradNorm: number
  seed: number
  signal: AbortSignal
}

export type RangeTest = { tried: RateEvent[]; start: number; diverged: boolean }

/** Geometric from `low` to `high`, both included. */
export const risingRates = (low: number, high: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => low * (high / low) ** (i / (count - 1)))

/** Tries the rates. The model is not worth anything afterwards. @returns undefined after an abort */
export async function* rangeTest(
  options: RangeTestOptions,
): AsyncGenerator<
  RateEvent | { event: 'progress'; phase: 'score'; done: number; total: number },
  RangeTest | undefined
> {
  const { trainer, rates, maxGradNorm, seed, signal } = options
  // Before the model changes, since a reference model may be the model itself
  const untrained: { step: StepBatches; loss: number }[] = []
  for (let position = 0; untrained.length < rates.length && !signal.aborted; ) {
    const step = await options.next(position)
    if (!step) break
    position = step.position
    untrained.push({ step, loss: await lossOf(trainer, step) })
    yield { event: 'progress', phase: 'score', done: untrained.length, total: rates.length }
  }
  const start = mean(untrained.map(({ loss }) => loss))
  const tried: RateEvent[] = []
  for (const [i, learningRate] of rates.entries()) {
    if (signal.aborted) return undefined
    const { step, loss: before } = untrained[i % untrained.length]
    const settings = { step: i + 1, rows: step.rows, seed, maxGradNorm, learningRate }
    const loss = await trainStep(trainer, step.batches, settings).then((metrics) => metrics.loss, infiniteWhereBroken)
    const event: RateEvent = {
      event: 'rate',
      step: i + 1,
      total_steps: rates.length,
      learning_rate: learningRate,
      loss,
      change: loss - before,
    }
    if (Number.isFinite(loss)) {
      tried.push(event)
      yield event
    }
    if (hasDiverged([...tried.map(({ change }) => change), ...(Number.isFinite(loss) ? [] : [loss])], start))
      return { tried, start, diverged: true }
  }
  return { tried, start, diverged: false }
}

const infiniteWhereBroken = (error: unknown): number => {
  if (error instanceof Fault && error.code === 'not-finite') return Number.POSITIVE_INFINITY
  throw error
}

/** The losses of micro-batches are shares of the step's. */
const lossOf = async ({ model, loss, head }: Trainer, { batches }: StepBatches): Promise<number> => {
  let sum = 0
  for (const batch of batches) {
    const one = (async function* () {
      yield batch
    })()
    sum += (await evaluate({ model, loss, head }, one)).eval_loss
  }
  return sum
}

/** Steps that are looked at together: a single one may have odd rows. */
const window = 3

/** The loss is twice what it was, and no accident. */
const hasDiverged = (changes: readonly number[], start: number): boolean =>
  changes.at(-1) === Number.POSITIVE_INFINITY ||
  (changes.length >= window && mean(changes.slice(-window)) > Math.max(Math.abs(start), 0.1))

// The suggestion

/** The mean of each value and its neighbours, `window` of them to each side at most. */
export const smoothed = (values: readonly number[]): number[] =>
  values.map((_, i) => mean(values.slice(Math.max(0, i - window + 1), i + window)))

/** What a range test says. */
export type SuggestedRate = {
  /** Of one significant digit; undefined where no rate lowered the loss. */
  rate?: number
  /** The rate at which the smoothed loss was lowest, and by how much it was lower than that of the untrained model. */
  lowest: number
  fall: number
}

/** The part of the loss that it must fall by: less is no more than noise. */
const leastFall = 0.005

/** A tenth of the rate at which the loss is lowest: the rule of thumb of fastai's lr_find. */
export const suggestRate = ({ tried, start }: RangeTest): SuggestedRate => {
  const changes = smoothed(tried.map(({ change }) => change))
  const at = changes.indexOf(Math.min(...changes))
  const lowest = tried[at].learning_rate
  const fall = -changes[at]
  return { ...(fall > leastFall * Math.abs(start) && { rate: oneDigit(lowest / 10) }), lowest, fall }
}

const oneDigit = (x: number): number => Number(x.toPrecision(1))
