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

/** The place in the smoothed losses by which most of the fall was made; the first where they only rise. */
export const kneeOf = (losses: readonly number[], start: number): number => {
  const fall = start - Math.min(...losses)
  return Math.max(
    0,
    losses.findIndex((loss) => loss <= start - mostOfFall * fall),
  )
}

/** What a range test says. */
export type SuggestedRate = {
  /** Of one significant digit; undefined where no rate lowered the loss. */
  rate?: number
  /** The rate by which the loss had made nine tenths of its fall. */
  knee: number
  /** By how much the loss fell, at most. */
  fall: number
}

const mostOfFall = 0.9
/** The part of the loss that it must fall by: less is no more than noise. */
const leastFall = 0.005

/**
 * A tenth of the rate at the knee. The lowest loss itself says less: DPO's falls to 0 and stays there, while the model breaks. A
 * tenth, since a run makes many steps at its rate, and the test has made one.
 */
export const suggestRate = ({ tried, start }: RangeTest): SuggestedRate => {
  const losses = smoothed(tried.map(({ change }) => start + change))
  const knee = tried[kneeOf(losses, start)].learning_rate
  const fall = start - Math.min(...losses)
  return { ...(fall > leastFall * Math.abs(start) && { rate: Number((knee / 10).toPrecision(1)) }), knee, fall }
}
