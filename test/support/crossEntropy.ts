/** Log-probs of labels computed from whole logits, the reference for the chunked language head. */
import type { Tensor } from '../../src/tensor/tensor.ts'

/**
 * (1 - eps) log p[label] + eps mean_v log p[v] (Szegedy et al. 2016, eq. 7).
 * @param logits [N, V]     @param labels [N] i64; a label below 0 is read as 0 and needs weight 0
 * @returns      [N] nats
 */
export const labelLogps = (logits: Tensor, labels: Tensor, labelSmoothing = 0): Tensor => {
  const logps = logits.logSoftmax()
  const known = labels.lt(0).where(0, labels).reshape([labels.shape[0], 1])
  const label = logps.takeAlong(known).reshape(labels.shape)
  return labelSmoothing === 0 ? label : label.mul(1 - labelSmoothing).add(logps.mean(-1).mul(labelSmoothing))
}
