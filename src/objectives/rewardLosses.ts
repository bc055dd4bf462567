/**
 * Losses of reward models on rankings, each a value per prompt that the caller averages. All pairs of a prompt are one
 * element of the batch (Ouyang et al. 2022, eq. 1), so a prompt with nine responses weighs as much as one with two.
 * Computed from differences of rewards.
 */
import type { Tensor } from '../tensor/tensor.ts'

/** Sorts behind every rank. */
const behind = 1e9
/** Far below any reward; exp() of it is 0. */
const never = -1e30

/**
 * -log softmax(r)[best] (Ziegler et al. 2019, eq. 1).
 * @param rewards [B, K]   @param best [B] i64   @param present [B, K] bool: where there is a response
 * @returns       [B] nats
 */
export const bestOfN = (rewards: Tensor, best: Tensor, present?: Tensor): Tensor => {
  const r = present ? present.where(rewards, never) : rewards
  const chosen = r.takeAlong(best.reshape([best.shape[0], 1])).reshape(best.shape)
  return r.logsumexp().sub(chosen)
}

/** The pairs of each list that the ranks order. `ordered` [B, K, K]: i ranks above j; `better` [B, K, 1], `worse` [B, 1, K]. */
export const orderedPairs = (x: Tensor, ranks: Tensor) => {
  const row = (y: Tensor) => y.reshape([...y.shape, 1])
  const column = (y: Tensor) => y.reshape([y.shape[0], 1, y.shape[1]])
  const present = ranks.eq(0).not()
  const place = ranks.gt(0).where(ranks, behind)
  const ordered = row(place).lt(column(place)).and(row(present)).and(column(present))
  return { ordered, better: row(x), worse: column(x) }
}

export type PairOptions = {
  /** Weight of (r_i + r_j)^2, which keeps the mean reward near 0. */
  center?: number
  /** eps: the probability that an order is wrong. */
  labelSmoothing?: number
  /** [B, K] whose differences are the margins by which the better is to win: ratings. */
  margins?: Tensor
  /** [B] P(a better response is the better one); 1 where it is left out. */
  prob?: Tensor
}

/**
 * The mean over the pairs of each list that its ranks order, i above j, of -p l(d) - (1 - p) l(-d) + center (r_i + r_j)^2;
 * 0 without any. d = r_i - r_j - (m_i - m_j), l = log sigmoid, p = prob (1 - 2 eps) + eps (Stiennon et al. 2020, eq. 1;
 * margins: Llama 2, eq. 2; centring: arXiv 2312.09244).
 * @param rewards [B, K]
 * @param ranks   [B, K] f32: 1 is best, equal ranks tie and are no pair, -1 is unranked and below all ranked, 0 is no response
 * @returns       [B] nats
 */
export const rankedPairs = (
  rewards: Tensor,
  ranks: Tensor,
  { center = 0, labelSmoothing = 0, margins, prob }: PairOptions = {},
): Tensor => {
  const { ordered, better, worse } = orderedPairs(rewards, ranks)
  const rated = margins && orderedPairs(margins, ranks)
  const raw = better.sub(worse)
  const d = rated ? raw.sub(rated.better.sub(rated.worse)) : raw
  const each = orderLoss(ordered.where(d, 0), labelSmoothing, prob?.reshape([prob.shape[0], 1, 1]))
  const all = center === 0 ? each : each.add(better.add(worse).square().mul(center))
  return ordered.where(all, 0).sum([1, 2]).div(pairCount(ordered))
}

const orderLoss = (d: Tensor, labelSmoothing: number, prob?: Tensor): Tensor => {
  const right = d.logSigmoid().neg()
  if (!prob && labelSmoothing === 0) return right
  const wrong = d.neg().logSigmoid().neg()
  if (!prob) return right.mul(1 - labelSmoothing).add(wrong.mul(labelSmoothing))
  const p = prob.mul(1 - 2 * labelSmoothing).add(labelSmoothing)
  return right.mul(p).add(wrong.mul(p.neg().add(1)))
}

const pairCount = (ordered: Tensor): Tensor => ordered.cast('f32').sum([1, 2]).max(1)

/** Over the pairs of all lists that the ranks order: the share whose rewards are in that order, and the mean margin. Scalars. */
export const rankedAccuracy = (rewards: Tensor, ranks: Tensor): { accuracy: Tensor; margin: Tensor } => {
  const { ordered, better, worse } = orderedPairs(rewards, ranks)
  const count = ordered.cast('f32').sum().max(1)
  const right = ordered.and(better.gt(worse)).cast('f32').sum()
  return { accuracy: right.div(count), margin: ordered.where(better.sub(worse), 0).sum().div(count) }
}

/**
 * PairRanker (arXiv 2306.02561, eq. 1): -z_1 l(s_1) - z_2 l(s_2).
 * @param scores [B, 2] of the two candidates   @param quality [B, 2] z, by a metric   @returns [B] nats
 */
export const pairRanker = (scores: Tensor, quality: Tensor): Tensor => scores.logSigmoid().mul(quality).sum(-1).neg()
