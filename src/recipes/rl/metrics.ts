/** What a rollout looks like in numbers, by the names that TRL gives them. Peculiar: failed rewards are in none of them. */

import type { Rollout } from '../../generate/completionSampler.ts'
import type { RolloutRewards } from '../../rewards/rewards.ts'
import { deviation, mean } from '../../statistics/summary.ts'
import { chunks } from '../trainer/collate.ts'

const there = (values: readonly number[]) => values.filter((value) => !Number.isNaN(value))

/** NaN, which no event keeps, where there is nothing to measure. */
export const rolloutMetrics = (
  { samples, perPrompt }: Rollout,
  { rewards, by }: RolloutRewards,
): Record<string, number> => {
  const groups = chunks(rewards, perPrompt).map(there)
  const sources = Object.entries(by).flatMap(([name, values]) => [
    [`rewards/${name}/mean`, mean(there(values))],
    [`rewards/${name}/std`, deviation(there(values))],
  ])
  const failed = rewards.length - there(rewards).length
  return {
    reward: mean(there(rewards)),
    reward_std: perPrompt > 1 ? mean(groups.map(deviation)) : deviation(there(rewards)),
    ...(perPrompt > 1 && {
      frac_reward_zero_std: mean(groups.map((group) => Number(group.every((reward) => reward === group[0])))),
    }),
    ...Object.fromEntries(sources),
    ...(failed && { 'rewards/failed': failed }),
    ...lengthMeasures(samples),
  }
}

const lengthMeasures = (samples: Rollout['samples']): Record<string, number> => {
  const lengths = samples.map(({ ids }) => ids.length)
  const ended = samples.filter(({ finish_reason }) => finish_reason === 'eos').map(({ ids }) => ids.length)
  return {
    'completions/mean_length': mean(lengths),
    'completions/min_length': Math.min(...lengths),
    'completions/max_length': Math.max(...lengths),
    'completions/clipped_ratio': 1 - ended.length / samples.length,
    'completions/mean_terminated_length': mean(ended),
    'completions/repetition': mean(samples.map(({ ids }) => repeated(ids))),
  }
}

/** Share of its runs of four tokens that stood in it before. */
const repeated = (ids: readonly number[]): number => {
  const runs = ids.slice(3).map((_, t) => ids.slice(t, t + 4).join())
  return runs.length ? 1 - new Set(runs).size / runs.length : 0
}

/** Of each sample sum_t (log pi - log ref): nats between the policies. */
export const sampleKls = (logps: readonly (readonly number[])[], refLogps: readonly (readonly number[])[]): number[] =>
  logps.map((tokens, i) => tokens.reduce((sum, logp, t) => sum + logp - refLogps[i][t], 0))
