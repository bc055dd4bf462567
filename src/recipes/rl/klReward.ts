/** Parts that methods credit samples with. */
import { mean } from '../../statistics/summary.ts'
import { sampleKls } from './metrics.ts'

/** R - coef sum_t (log pi - log ref): the KL penalty as part of the reward, whose gradient is unbiased (k1). */
export const klPenalizedRewards = (
  rewards: readonly number[],
  coef: number,
  logps: readonly (readonly number[])[] | undefined,
  refLogps: readonly (readonly number[])[] | undefined,
): { rewards: number[]; measures: Record<string, number> } => {
  if (coef === 0 || !logps || !refLogps) return { rewards: [...rewards], measures: {} }
  const kls = sampleKls(logps, refLogps)
  return { rewards: rewards.map((reward, i) => reward - coef * kls[i]), measures: { kl: mean(kls) } }
}
