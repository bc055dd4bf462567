/**
 * Metrics of ranked lists: rewards and log-probs of the best and the worst responses. For pairs they are TRL's DPO
 * metrics.
 */
import type { Tensor } from '../tensor/tensor.ts'

/** Sorts behind every rank. */
const behind = 1e9

/**
 * chosen: the best-ranked response of each list; rejected: the worst-ranked, unranked ones below all others; ties are
 * averaged. accuracies: of all pairs that the ranks order, the share whose rewards are in the same order. Before the first
 * update policy and reference agree but for the rounding of two passes, and no pair is in order, as in TRL.
 * @param rewards [B, K]   @param logps [B, K]   @param ranks [B, K] f32: 1 best, -1 unranked, 0 no response
 * @param beta of rewards that are beta (logps - refLogps); 0 for rewards that no reference is taken from
 */
export const rankedMetrics = (rewards: Tensor, logps: Tensor, ranks: Tensor, beta: number): Record<string, Tensor> => {
  const present = ranks.eq(0).not()
  const place = ranks.gt(0).where(ranks, behind)
  const best = present.and(
    place.eq(
      present
        .where(place, 2 * behind)
        .neg()
        .amax(-1, true)
        .neg(),
    ),
  )
  const worst = present.and(place.eq(present.where(place, 0).amax(-1, true)))
  const [chosen, rejected] = [over(best, rewards), over(worst, rewards)]
  return {
    'rewards/chosen': chosen,
    'rewards/rejected': rejected,
    'rewards/accuracies': accuracy(rewards, logps.max(logps.neg()).mul(rounding * beta), place, present),
    'rewards/margins': chosen.sub(rejected),
    'logps/chosen': over(best, logps),
    'logps/rejected': over(worst, logps),
  }
}

/** The mean over lists of the mean over the responses where `side` holds. */
const over = (side: Tensor, x: Tensor): Tensor => side.where(x, 0).sum(-1).div(side.cast('f32').sum(-1).max(1)).mean()

/** Relative rounding error of a sum of log-probs in float32: two passes may differ by this. */
const rounding = 1e-6

/** @param slack [B, K] by how much each reward may be off */
const accuracy = (rewards: Tensor, slack: Tensor, place: Tensor, present: Tensor): Tensor => {
  const row = (x: Tensor) => x.reshape([...x.shape, 1])
  const column = (x: Tensor) => x.reshape([x.shape[0], 1, x.shape[1]])
  const ordered = row(place).lt(column(place)).and(row(present)).and(column(present))
  const right = ordered.and(row(rewards.sub(slack)).gt(column(rewards.add(slack))))
  return right.cast('f32').sum().div(ordered.cast('f32').sum().max(1))
}
