/**
 * KTO (arXiv 2402.01306, eq. 7) and APO-zero for unpaired data (arXiv 2408.06266): each completion is labelled
 * desirable or undesirable. The reference point z is the batch's estimate of KL(pi || ref), from each prompt with the
 * completion of another one; it is clamped at 0 and gets no gradient.
 */
import { scalar, type Tensor } from '../tensor/tensor.ts'
import type { Objective, Window } from './objective.ts'

export type KtoOptions = {
  beta: number
  lossType: 'kto' | 'apo_zero_unpaired'
  desirableWeight: number
  undesirableWeight: number
}

export type KtoBatch = {
  /** [S] log-prob sums of the completions under the policy and the reference model. */
  logps: Tensor
  refLogps: Tensor
  /** [S] f32: 1 desirable, 0 undesirable. */
  labels: Tensor
  /** [S] the same of each prompt with another prompt's completion; only `kto` reads them. */
  klLogps?: Tensor
  refKlLogps?: Tensor
  window?: Pick<Window, 'rows'>
}

/**
 * mean_i w_i (1 - sigmoid(±beta (logratio_i - z))), + for desirable. Metrics: kl (= z), rewards and logps of each
 * side, and the margin; NaN where the batch has none of a side, to be left out when steps are averaged.
 */
export const ktoLoss =
  (options: KtoOptions) =>
  (batch: KtoBatch): Objective => {
    const { beta, desirableWeight, undesirableWeight } = options
    const desirable = batch.labels.gt(0)
    const ratio = batch.logps.sub(batch.refLogps)
    const z = referencePoint(options.lossType, batch)
    const advantage = ratio.sub(z).mul(beta)
    const value = desirable.where(advantage, advantage.neg()).sigmoid()
    const each = desirable.where(scalar(desirableWeight), undesirableWeight).mul(value.neg().add(1))
    const loss = batch.window ? each.sum().div(batch.window.rows) : each.mean()
    return { loss, metrics: { kl: z, ...metrics(desirable, ratio.mul(beta), batch.logps) } }
  }

const referencePoint = (lossType: KtoOptions['lossType'], { klLogps, refKlLogps }: KtoBatch): Tensor =>
  lossType === 'kto' && klLogps && refKlLogps ? klLogps.sub(refKlLogps).mean().max(0).stopGradient() : scalar(0)

const metrics = (desirable: Tensor, rewards: Tensor, logps: Tensor): Record<string, Tensor> => {
  const over = (side: Tensor, x: Tensor) => side.where(x, 0).sum().div(side.cast('f32').sum())
  const [chosen, rejected] = [over(desirable, rewards), over(desirable.not(), rewards)]
  return {
    'rewards/chosen': chosen,
    'rewards/rejected': rejected,
    'rewards/margins': chosen.sub(rejected),
    'logps/chosen': over(desirable, logps),
    'logps/rejected': over(desirable.not(), logps),
  }
}
