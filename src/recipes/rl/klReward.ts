/** KL(policy || reference) of sampled completions, and as a penalty in their rewards. */
import { mean } from '../../statistics/summary.ts'

type Logps = readonly (readonly number[])[]

/**
 * sum_t (log pi - log ref) of each sample, in nats: the k1 estimate of its KL.
 * @param logps [samples][tokens]   @param refLogps [samples][tokens]
 */
export const sampleKls = (logps: Logps, refLogps: Logps): number[] =>
  logps.map((tokens, i) => tokens.reduce((sum, logp, t) => sum + logp - refLogps[i][t], 0))

/**
 * R - klCoef sum_t (log pi - log ref): the KL penalty as part of the reward, whose gradient is unbiased.
 * @returns with the metric `kl`, the mean over samples; the rewards as they are where `klCoef` is 0
 */
export const klPenalizedRewards = (
  rewards: readonly number[],
  klCoef: number,
  logps: Logps | undefined,
  refLogps: Logps | undefined,
): { rewards: number[]; metrics: Record<string, number> } => {
  if (klCoef === 0 || !logps || !refLogps) return { rewards: [...rewards], metrics: {} }
  const kls = sampleKls(logps, refLogps)
  return { rewards: rewards.map((reward, i) => reward - klCoef * kls[i]), metrics: { kl: mean(kls) } }
}
