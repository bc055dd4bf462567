/**
 * T-SPIN (arXiv 2601.08198): self-play without a reference. The data's answer is to beat the model's own, and its own is to
 * beat that of the model it all began with, which stays a signal when the first has vanished.
 */
import type { Tensor } from '../tensor/tensor.ts'
import type { Objective, Window } from './objective.ts'

/**
 * Mean over B of -l(alpha u) - weight l(alpha v), u = log pi(data) - log pi(own), v = log pi(own) - log pi(first), l the log
 * of the logistic function.
 * @param logps [B, K] sums under the policy
 * @param ranks [B, K] who answered: 1 the data, 2 the model, 3 the first model, 0 nobody. Without a 3 there is no v
 * @param alpha temperature of the rewards alpha log pi
 */
export const tspin = (
  { logps, ranks, window }: { logps: Tensor; ranks: Tensor; window?: Pick<Window, 'rows'> },
  { alpha, weight }: { alpha: number; weight: number },
): Objective => {
  const of = (rank: number) => ranks.eq(rank).where(logps, 0).sum(-1)
  const [data, own, first] = [1, 2, 3].map(of)
  const hasFirst = ranks.eq(3).cast('f32').sum(-1)
  const current = data.sub(own).mul(alpha).logSigmoid().neg()
  const historical = own.sub(first).mul(alpha).logSigmoid().neg().mul(hasFirst)
  const each = current.add(historical.mul(weight))
  const counted = hasFirst.sum().max(1)
  const advantage = own.sub(first).mul(hasFirst).sum().div(counted).mul(alpha)
  return {
    loss: window ? each.sum().div(window.rows) : each.mean(),
    metrics: { 'rewards/historical': advantage },
  }
}
