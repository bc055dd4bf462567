/**
 * Supervised fine-tuning: the negative log-likelihood of the counted tokens. The sum is divided by the number of
 * targets in the whole accumulation window, so the losses of the micro-batches add up to the step's loss, however it
 * is split.
 */
import type { Tensor } from '../tensor/tensor.ts'
import type { Objective } from './objective.ts'

/** `dft` weighs each token by its own probability, detached (dynamic fine-tuning, arXiv 2508.05629, eq. 9). */
export type SftLoss = 'nll' | 'dft'

export type SftBatch = {
  /** [N] nats, a counted token each; smoothed already where smoothing is asked for. */
  logps: Tensor
  /** [N] 1, or 0 for padding. */
  weights: Tensor
  /** [] targets in the accumulation window. */
  numItems: Tensor
}

/** -sum(w logp) / numItems, the step's share of this micro-batch; a window without targets is 0. */
export const sftLoss = ({ logps, weights, numItems }: SftBatch, { lossType }: { lossType: SftLoss }): Objective => {
  const each = lossType === 'dft' ? logps.mul(logps.exp().stopGradient()) : logps
  const counted = weights.gt(0).where(each.mul(weights), 0)
  return { loss: counted.sum().div(numItems.max(1)).neg(), metrics: {} }
}
