/** Metrics of a rollout and its rewards, by TRL's names. Failed rewards are left out of all of them. */

import type { Rollout } from '../../generate/completionSampler.ts'
import type { RolloutRewards } from '../../rewards/rewards.ts'
import { deviation, mean } from '../../statistics/summary.ts'
import { chunks } from '../trainer/collate.ts'

const withoutFailed = (rewards: readonly number[]) => rewards.filter((reward) => !Number.isNaN(reward))

/** NaN, which no event keeps, where there is nothing to take a mean of. */
export const rolloutMetrics = (
  { samples, perPrompt }: Rollout,
  { rewards, by }: RolloutRewards,
): Record<string, number> => {
  const groups = chunks(rewards, perPrompt).map(withoutFailed)
  const bySource = Object.entries(by).flatMap(([name, values]) => [
    [`rewards/${name}/mean`, mean(withoutFailed(values))],
    [`rewards/${name}/std`, deviation(withoutFailed(values))],
  ])
  const failed = rewards.length - withoutFailed(rewards).length
  return {
    reward: mean(withoutFailed(rewards)),
    reward_std: perPrompt > 1 ? mean(groups.map(deviation)) : deviation(withoutFailed(rewards)),
    ...(perPrompt > 1 && {
      frac_reward_zero_std: mean(groups.map((group) => Number(group.every((reward) => reward === group[0])))),
    }),
    ...Object.fromEntries(bySource),
    ...(failed && { 'rewards/failed': failed }),
    ...completionMetrics(samples),
  }
}

const completionMetrics = (samples: Rollout['samples']): Record<string, number> => {
  const lengths = samples.map(({ ids }) => ids.length)
  const terminated = samples.filter(({ finish_reason }) => finish_reason === 'eos').map(({ ids }) => ids.length)
  return {
    'completions/mean_length': mean(lengths),
    'completions/min_length': Math.min(...lengths),
    'completions/max_length': Math.max(...lengths),
    'completions/clipped_ratio': 1 - terminated.length / samples.length,
    'completions/mean_terminated_length': mean(terminated),
    'completions/repetition': mean(samples.map(({ ids }) => repetition(ids))),
  }
}

/** The share of a completion's 4-grams that occurred in it before. */
const repetition = (ids: readonly number[]): number => {
  const fourGrams = ids.slice(3).map((_, t) => ids.slice(t, t + 4).join())
  return fourGrams.length ? 1 - new Set(fourGrams).size / fourGrams.length : 0
}
