/** Gradient clipping by the global norm, as torch.nn.utils.clip_grad_norm_; the squares are summed slice by slice. */
import type { Tensor } from '../tensor/tensor.ts'

/** [] of one slice [n]. */
export const sumOfSquares = (grad: Tensor): Tensor => grad.square().sum()

/** The L2 norm over all slices together. */
export const globalNorm = (sums: Iterable<number>): number => {
  let total = 0
  for (const sum of sums) total += sum
  return Math.sqrt(total)
}

/**
 * What to multiply every gradient by: min(1, maxNorm / (norm + 1e-6)). A maxNorm of 0 or less clips nothing. A norm
 * of NaN gives NaN: the caller checks it first.
 */
export const clipScale = (norm: number, maxNorm: number): number =>
  maxNorm > 0 ? Math.min(1, maxNorm / (norm + 1e-6)) : 1
