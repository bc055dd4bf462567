/**
 * KL(pi || ref) estimated from samples of pi, token by token; PPO's token rewards; and the adaptive KL controller.
 *
 * k1, k2 and k3 all estimate the value (k3 with the least variance), but their gradients differ: k1 in the reward is
 * unbiased, k2 in the loss has the gradient of KL(pi || ref), k3 in the loss that of KL(ref || pi) (Schulman 2020).
 */
import { sum } from '../statistics/summary.ts'

export type KlEstimator = 'k1' | 'k2' | 'k3'
export const klEstimators = ['k1', 'k2', 'k3'] as const satisfies readonly KlEstimator[]

/** d = logp - ref: k1 = d, k2 = d^2 / 2, k3 = exp(-d) - 1 + d. */
export const klEstimate = (logp: number, refLogp: number, estimator: KlEstimator): number => {
  const d = logp - refLogp
  if (estimator === 'k1') return d
  return estimator === 'k2' ? (d * d) / 2 : Math.expm1(-d) + d
}

export type TokenRewards = {
  /** -beta kl_t, and the score on the last token. */
  rewards: number[]
  /** Sums over the completion. */
  kl: number
  nonScore: number
}

/**
 * PPO's rewards of one completion (Ziegler et al. 2019): -beta kl_t on each token, and the score added on the last. The caller
 * subtracts any penalty for a missing end token from the score, and leaves padding out.
 * @param logps [T]   @param refLogps [T]
 */
export const tokenRewards = (
  { logps, refLogps, score }: { logps: readonly number[]; refLogps: readonly number[]; score: number },
  { beta, estimator }: { beta: number; estimator: KlEstimator },
): TokenRewards => {
  const kls = logps.map((logp, t) => klEstimate(logp, refLogps[t], estimator))
  const kl = sum(kls)
  const rewards = kls.map((x, t) => -beta * x + (t === kls.length - 1 ? score : 0))
  return { rewards, kl, nonScore: -beta * kl }
}

export type AdaptiveKl = {
  target: number
  /** The larger, the slower the coefficient changes: by at most 20 % in so many samples. */
  horizon: number
}

/**
 * beta (1 + clip(kl / target - 1, -0.2, 0.2) n / horizon) after a batch of n completions (Ziegler et al. 2019, sec. 2.2).
 * @param kl mean over the batch of the completions' KL sums
 */
export const adaptedKl = (beta: number, kl: number, samples: number, { target, horizon }: AdaptiveKl): number => {
  const error = Math.min(0.2, Math.max(-0.2, kl / target - 1))
  return beta * (1 + (error * samples) / horizon)
}
