/**
 * KTO (arXiv 2402.01306, eq. 7) and APO-zero on unpaired responses (arXiv 2408.06266): each response is only good or bad.
 * Peculiar: the reference point z is the batch's estimate of KL(pi || ref), from responses rotated by one inside the
 * batch; it is clamped at 0 and no gradient flows through it.
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
  /** [S] log-prob sums of the responses under the policy and the reference. */
  logps: Tensor
  refLogps: Tensor
  /** [S] f32: 1 desirable, 0 undesirable. */
  labels: Tensor
  /** [S] the same of each prompt with another's response; only `kto` reads them. */
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
    const good = batch.labels.gt(0)
    const ratio = batch.logps.sub(batch.refLogps)
    const z = referencePoint(options.lossType, batch)
    const advantage = ratio.sub(z).mul(beta)
    const value = good.where(advantage, advantage.neg()).sigmoid()
    const each = good.where(scalar(desirableWeight), undesirableWeight).mul(value.neg().add(1))
    const loss = batch.window ? each.sum().div(batch.window.rows) : each.mean()
    return { loss, metrics: { kl: z, ...metrics(good, ratio.mul(beta), batch.logps) } }
  }

const referencePoint = (lossType: KtoOptions['lossType'], { klLogps, refKlLogps }: KtoBatch): Tensor =>
  lossType === 'kto' && klLogps && refKlLogps ? klLogps.sub(refKlLogps).mean().max(0).stopGradient() : scalar(0)

const metrics = (good: Tensor, rewards: Tensor, logps: Tensor): Record<string, Tensor> => {
  const over = (side: Tensor, x: Tensor) => side.where(x, 0).sum().div(side.cast('f32').sum())
  const [chosen, rejected] = [over(good, rewards), over(good.not(), rewards)]
  return {
    'rewards/chosen': chosen,
    'rewards/rejected': rejected,
    'rewards/margins': chosen.sub(rejected),
    'logps/chosen': over(good, logps),
    'logps/rejected': over(good.not(), logps),
  }
}
