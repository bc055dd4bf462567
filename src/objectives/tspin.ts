/**
 * T-SPIN (arXiv 2601.08198): self-play without a reference model. The data's completion should beat the model's own,
 * and the model's own should beat that of the initial model; the second term keeps a gradient when the first has
 * vanished.
 */
import type { Tensor } from '../tensor/tensor.ts'
import type { Objective, Window } from './objective.ts'

/**
 * Mean over B of -l(alpha u) - weight l(alpha v), u = log pi(data) - log pi(own), v = log pi(own) - log pi(initial),
 * l = log sigmoid.
 * @param logps [B, K] sums under the policy
 * @param ranks [B, K] whose completion it is: 1 the data's, 2 the model's own, 3 the initial model's, 0 padding. Without a 3 there is no v
 * @param alpha temperature of the rewards alpha log pi
 */
export const tspin = (
  { logps, ranks, window }: { logps: Tensor; ranks: Tensor; window?: Pick<Window, 'rows'> },
  { alpha, weight }: { alpha: number; weight: number },
): Objective => {
  const of = (rank: number) => ranks.eq(rank).where(logps, 0).sum(-1)
  const [data, own, initial] = [1, 2, 3].map(of)
  const hasInitial = ranks.eq(3).cast('f32').sum(-1)
  const current = data.sub(own).mul(alpha).logSigmoid().neg()
  const historical = own.sub(initial).mul(alpha).logSigmoid().neg().mul(hasInitial)
  const each = current.add(historical.mul(weight))
  const counted = hasInitial.sum().max(1)
  const advantage = own.sub(initial).mul(hasInitial).sum().div(counted).mul(alpha)
  return {
    loss: window ? each.sum().div(window.rows) : each.mean(),
    metrics: { 'rewards/historical': advantage },
  }
}
