/**
 * Moving baselines for REINFORCE. The baseline of a batch is computed from earlier batches only, so it is independent
 * of the batch's samples and the gradient stays unbiased; it begins at 0. The state is plain data, for checkpoints.
 */
import { mean, sum } from '../statistics/summary.ts'

/**
 * mean: of all earlier rewards. ema: b <- m b + (1 - m) mean(batch). ema_first: the same, but the first batch sets b.
 * window: the mean of the last w rewards.
 */
export type BaselineKind = 'mean' | 'ema' | 'ema_first' | 'window'

export type BaselineOptions = {
  kind: BaselineKind
  /** m of ema and ema_first. */
  momentum: number
  /** w of window, in rewards. */
  window: number
}

export type BaselineState = { value: number; seen: number; sum: number; recent: number[] }

export const initialBaseline: BaselineState = { value: 0, seen: 0, sum: 0, recent: [] }

/** The state after a batch. Failed rewards (NaN) are left out; a batch of failed rewards changes nothing. */
export const updateBaseline = (
  state: BaselineState,
  rewards: readonly number[],
  options: BaselineOptions,
): BaselineState => {
  const batch = rewards.filter((reward) => !Number.isNaN(reward))
  if (batch.length === 0) return state
  const total = sum(batch)
  const recent = options.kind === 'window' ? [...state.recent, ...batch].slice(-options.window) : []
  const next = { seen: state.seen + batch.length, sum: state.sum + total, recent }
  return { ...next, value: baselineAfter(state, next, total / batch.length, options) }
}

const baselineAfter = (
  before: BaselineState,
  after: Omit<BaselineState, 'value'>,
  batchMean: number,
  { kind, momentum }: BaselineOptions,
): number => {
  if (kind === 'mean') return after.sum / after.seen
  if (kind === 'window') return mean(after.recent)
  if (kind === 'ema_first' && before.seen === 0) return batchMean
  return momentum * before.value + (1 - momentum) * batchMean
}
