/** Rewards and other values of completions: their layout, means over prompts, and standardization. */
import { deviation, mean } from '../../statistics/summary.ts'

/** [prompts][samples] one value for each completion; a reward is NaN where the judge failed. */
export type PerCompletion<T = number> = readonly (readonly T[])[]

/** [runs][prompts][samples] of a policy: one run for each training seed, all of the same prompts. */
export type Runs = readonly PerCompletion[]

/** Mean and standard deviation of a judge's rewards of the base model. */
export type Scale = { mean: number; std: number }

/** Of all rewards that are numbers; undefined where they do not vary. */
export const scaleOf = (runs: Runs): Scale | undefined => {
  const values = runs.flat(2).filter(Number.isFinite)
  const std = deviation(values)
  return std > 0 ? { mean: mean(values), std } : undefined
}

/** Rewards in standard deviations of the base model's rewards, from their mean. */
export const standardized = (rewards: PerCompletion, { mean: centre, std }: Scale): PerCompletion =>
  rewards.map((row) => row.map((reward) => (reward - centre) / std))

/** [prompts] the mean over all completions of all runs, of those that have a number; NaN where none has. */
export const promptMeans = (runs: Runs): number[] =>
  (runs[0] ?? []).map((_, i) => mean(runs.flatMap((run) => run[i]).filter(Number.isFinite)))

/** How many completions have no number. */
export const countFailed = (runs: Runs): number => runs.flat(2).filter((x) => !Number.isFinite(x)).length

/** The share of the rewards that have the commonest value: near 1 a standard deviation is that of a few exceptions. NaN of none. */
export const commonestShare = (runs: Runs): number => {
  const values = runs.flat(2).filter(Number.isFinite)
  const counts = new Map<number, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return Math.max(0, ...counts.values()) / values.length
}
