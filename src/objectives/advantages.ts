/**
 * Advantages from rewards: GRPO's, RLOO's and REINFORCE's, in plain numbers, between a rollout and its update. A
 * reward of NaN failed: it is left out of every mean and deviation, and its advantage is 0.
 */
import { deviation, mean as meanOf, sum, variance } from '../statistics/summary.ts'

/** What the difference from a group's mean is divided by: the standard deviation of the group, of the batch, or nothing. */
export type RewardScale = 'group' | 'batch' | 'none'

/** Added to a standard deviation, so that equal rewards are not divided by 0. */
const spreadEps = 1e-4

type Groups = readonly (readonly number[])[]

const notFailed = (rewards: readonly number[]) => rewards.filter((reward) => !Number.isNaN(reward))

const each = (groups: Groups, of: (reward: number, group: number[]) => number) =>
  groups.map((rewards) => {
    const group = notFailed(rewards)
    return rewards.map((reward) => (Number.isNaN(reward) ? 0 : of(reward, group)))
  })

/**
 * GRPO (arXiv 2402.03300, sec. 4.1.2): (R - mean of the group) / (deviation + 1e-4); `none` divides by nothing (Dr. GRPO,
 * arXiv 2503.20783), `batch` by the deviation of all rewards (REINFORCE++, arXiv 2501.03262).
 * @param groups rewards by prompt and sample; NaN where the reward failed
 */
export const groupAdvantages = (groups: Groups, scale: RewardScale): number[][] => {
  const all = deviation(notFailed(groups.flat()))
  const spread = (group: number[]) => (scale === 'batch' ? all : deviation(group)) + spreadEps
  return each(groups, (reward, group) => (reward - meanOf(group)) / (scale === 'none' ? 1 : spread(group)))
}

/**
 * RLOO (arXiv 2402.14740, eq. 8): R_i less the mean of the prompt's other samples; 0 where there is no other.
 * @param groups rewards by prompt and sample; NaN where the reward failed
 */
export const leaveOneOut = (groups: Groups): number[][] =>
  each(groups, (reward, group) => {
    if (group.length < 2) return 0
    return reward - (sum(group) - reward) / (group.length - 1)
  })

/** (x - mean) / spread, both computed over the masked-in values; elsewhere 0. */
const rescaled = (
  rows: Groups,
  mask: (i: number, j: number) => boolean,
  spreadOf: (kept: readonly number[]) => number,
  keepMean = false,
): number[][] => {
  const kept = rows.flatMap((row, i) => row.filter((_, j) => mask(i, j)))
  const [mean, spread] = [meanOf(kept), spreadOf(kept)]
  const shift = keepMean ? mean : 0
  return rows.map((row, i) => row.map((x, j) => (mask(i, j) ? (x - mean) / spread + shift : 0)))
}

/** (A - mean) / (deviation + 1e-4) over a whole batch (TRL's normalize_advantages); those of failed rewards stay 0. */
export const normalized = (advantages: Groups, failed: (i: number, j: number) => boolean): number[][] =>
  rescaled(
    advantages,
    (i, j) => !failed(i, j),
    (kept) => deviation(kept) + spreadEps,
  )

/**
 * R - b against a moving baseline (Williams 1992), divided by 1 + sigma where the reward model gives its uncertainty.
 * @param sigmas standard deviation of each reward; left out where there is none
 */
export const baselineAdvantages = (
  rewards: readonly number[],
  baseline: number,
  sigmas?: readonly number[],
): number[] => rewards.map((reward, i) => (Number.isNaN(reward) ? 0 : (reward - baseline) / (1 + (sigmas?.[i] ?? 0))))

/**
 * Whitening: (x - mean) / sqrt(var + 1e-8), var with n - 1, over the masked-in values; elsewhere 0. `keepMean` adds the mean
 * back, for rewards, whose level matters.
 * @param mask rows of 1 and 0, like values
 */
export const whiten = (
  values: Groups,
  { mask, keepMean = false }: { mask: Groups; keepMean?: boolean },
): number[][] => {
  return rescaled(
    values,
    (i, j) => mask[i][j] > 0,
    (kept) => Math.sqrt(variance(kept) + 1e-8),
    keepMean,
  )
}
