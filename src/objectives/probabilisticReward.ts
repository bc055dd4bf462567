/**
 * A reward model that answers with a distribution over the scores 1..K: which score, and how sure.
 * Peculiar: P(w > l) is a sum over all pairs i > j, taken in logs, so that a pair the model is certain to have the
 * wrong way round still has a gradient.
 */
import { iota, type Tensor } from '../tensor/tensor.ts'

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
