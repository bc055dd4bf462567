/**
 * KL(pi || ref) from samples of pi, token by token, and the controller that holds it near a target.
 * Peculiar: as estimates of the value k1, k2 and k3 all do (k3 with the least variance); their gradients differ. k1 in the
 * reward is unbiased, k2 in the loss has KL's gradient, k3 in the loss that of KL(ref || pi) (Schulman 2020).
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
  /** Sums over the response. */
  kl: number
  nonScore: number
}

/**
 * PPO's rewards of one response (Ziegler et al. 2019): -beta kl_t on each token, and the score on the last of them.
 * A score less for a response that never ended is the caller's to take off. Hand in real tokens alone.
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
  /** Samples over which the coefficient may double or halve, roughly. */
  horizon: number
}

/**
 * beta (1 + clip(kl / target - 1, -0.2, 0.2) n / horizon) after a batch of n responses (Ziegler et al. 2019, sec. 2.2).
 * @param kl mean over the batch of the responses' sums
 */
export const adaptedKl = (beta: number, kl: number, samples: number, { target, horizon }: AdaptiveKl): number => {
  const error = Math.min(0.2, Math.max(-0.2, kl / target - 1))
  return beta * (1 + (error * samples) / horizon)
}
