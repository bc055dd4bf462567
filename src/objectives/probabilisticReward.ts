/**
 * The probabilistic reward model: a distribution over the scores 1..K for each response. P(w > l) is a sum over all
 * pairs of scores i > j, computed in logs, so that a pair which the model has the wrong way round with certainty still
 * has a gradient.
 */
import { mulDims } from '../tensor/dim.ts'
import { iota, type Tensor } from '../tensor/tensor.ts'
import { orderedPairs } from './rewardLosses.ts'

/** Far below any log-probability; exp() of it is 0. */
const never = -1e30

/** 1..K as f32 [K]. */
const scores = (logits: Tensor): Tensor => iota(logits.shape[1]).cast('f32').add(1)

/**
 * log P(w > l) = log sum_{i > j} p_w(i) p_l(j), p = softmax; equal scores count for neither.
 * @param winner [B, K] logits   @param loser [B, K] logits   @returns [B] nats; its negative is the loss
 */
export const logWins = (winner: Tensor, loser: Tensor): Tensor => {
  const [B, K] = winner.shape
  const score = iota(K)
  const above = score.reshape([K, 1]).gt(score.reshape([1, K]))
  const each = winner
    .logSoftmax()
    .reshape([B, K, 1])
    .add(loser.logSoftmax().reshape([B, 1, K]))
  const inner = above.where(each, never).logsumexp()
  return inner.logsumexp()
}

/**
 * The mean over the pairs of each list that its ranks order of p log P(i > j) + (1 - p) log P(j > i), with
 * p = prob (1 - 2 eps) + eps; 0 without any.
 * @param logits [B, K, N]
 * @param ranks  [B, K] f32: 1 is best, equal ranks tie and are no pair, -1 is unranked and below all ranked, 0 is no response
 * @param prob   [B] P(a better response is the better one); 1 where it is left out   @param labelSmoothing eps
 * @returns      [B] nats
 */
export const rankedWins = (
  logits: Tensor,
  ranks: Tensor,
  { prob, labelSmoothing = 0 }: { prob?: Tensor; labelSmoothing?: number } = {},
): Tensor => {
  const [B, K, N] = logits.shape
  const pairs = mulDims(B, mulDims(K, K))
  const side = (shape: Tensor['shape']) => logits.reshape(shape).broadcastTo([B, K, K, N]).reshape([pairs, N])
  const [first, second] = [side([B, K, 1, N]), side([B, 1, K, N])]
  const wins = (winner: Tensor, loser: Tensor) => logWins(winner, loser).reshape([B, K, K])
  const { ordered } = orderedPairs(ranks, ranks)
  const mean = (x: Tensor) =>
    ordered
      .where(x, 0)
      .sum([1, 2])
      .div(ordered.cast('f32').sum([1, 2]).max(1))
  const right = mean(wins(first, second))
  if (!prob && labelSmoothing === 0) return right
  const wrong = mean(wins(second, first))
  const p = prob ? prob.mul(1 - 2 * labelSmoothing).add(labelSmoothing) : undefined
  if (!p) return right.mul(1 - labelSmoothing).add(wrong.mul(labelSmoothing))
  return right.mul(p).add(wrong.mul(p.neg().add(1)))
}

/** R = sum_k k p(k), and the distribution's standard deviation. @param logits [B, K]   @returns [B] each */
export const expectedReward = (logits: Tensor): { reward: Tensor; sigma: Tensor } => {
  const p = logits.softmax()
  const k = scores(logits)
  const reward = p.mul(k).sum(-1)
  const apart = k.sub(reward.reshape([logits.shape[0], 1]))
  return { reward, sigma: apart.square().mul(p).sum(-1).sqrt() }
}

export type ScoreDistribution = { reward: number; sigma: number; probs: number[] }

/** The same of one response in plain numbers. @param logits K of them */
export const scoreDistribution = (logits: ArrayLike<number>): ScoreDistribution => {
  const all = Array.from(logits)
  const largest = Math.max(...all)
  const weights = all.map((x) => Math.exp(x - largest))
  const total = weights.reduce((a, b) => a + b, 0)
  const probs = weights.map((x) => x / total)
  const reward = probs.reduce((sum, p, k) => sum + p * (k + 1), 0)
  const variance = probs.reduce((sum, p, k) => sum + p * (k + 1 - reward) ** 2, 0)
  return { reward, sigma: Math.sqrt(variance), probs }
}

/** P(w > l) of two distributions over the same scores. */
export const winProbability = (winner: readonly number[], loser: readonly number[]): number => {
  let [below, total] = [0, 0]
  for (const [i, p] of winner.entries()) {
    total += p * below
    below += loser[i]
  }
  return total
}
