/**
 * From rewards to advantages, in plain numbers, between a rollout and its update. Peculiar: a reward that is NaN has
 * failed. It stands in no mean and no deviation, and its advantage is 0, so it moves nothing.
 */
import { deviation, mean as meanOf } from '../util/statistics.ts'

/** What the difference from a group's mean is divided by: the deviation in the group, in the batch, or nothing. */
export type RewardScale = 'group' | 'batch' | 'none'

/** Added to a standard deviation, so that equal rewards divide nothing by 0. */
const spreadEps = 1e-4

const scored = (rewards: readonly number[]) => rewards.filter((reward) => !Number.isNaN(reward))

const each = (groups: readonly (readonly number[])[], of: (reward: number, group: number[]) => number) =>
  groups.map((rewards) => {
    const group = scored(rewards)
    return rewards.map((reward) => (Number.isNaN(reward) ? 0 : of(reward, group)))
  })

/**
 * GRPO (arXiv 2402.03300, sec. 4.1.2): (R - mean of the group) / (deviation + 1e-4); `none` divides by nothing (Dr. GRPO,
 * arXiv 2503.20783), `batch` by the deviation of all rewards (REINFORCE++, arXiv 2501.03262).
 * @param groups rewards by prompt and sample; NaN where the reward failed
 */
export const groupAdvantages = (groups: readonly (readonly number[])[], scale: RewardScale): number[][] => {
  const all = deviation(scored(groups.flat()))
  const spread = (group: number[]) => (scale === 'batch' ? all : deviation(group)) + spreadEps
  return each(groups, (reward, group) => (reward - meanOf(group)) / (scale === 'none' ? 1 : spread(group)))
}

/**
 * RLOO (arXiv 2402.14740, eq. 8): R_i less the mean of the prompt's other samples; 0 where there is no other.
 * @param groups rewards by prompt and sample; NaN where the reward failed
 */
export const leaveOneOut = (groups: readonly (readonly number[])[]): number[][] =>
  each(groups, (reward, group) => {
    if (group.length < 2) return 0
    const others = group.reduce((a, b) => a + b, 0) - reward
    return reward - others / (group.length - 1)
  })

/** (A - mean) / (deviation + 1e-4) over all of a batch (TRL's normalize_advantages); failed ones stay 0. */
export const normalized = (advantages: readonly (readonly number[])[], failed: (i: number, j: number) => boolean) => {
  const kept = advantages.flatMap((group, i) => group.filter((_, j) => !failed(i, j)))
  const [mean, spread] = [meanOf(kept), deviation(kept) + spreadEps]
  return advantages.map((group, i) => group.map((a, j) => (failed(i, j) ? 0 : (a - mean) / spread)))
}

/**
 * R - b against a moving baseline (Williams 1992), divided by 1 + sigma where the reward says how unsure it is.
 * @param sigmas standard deviation of each reward; left out for level 1
 */
export const baselineAdvantages = (
  rewards: readonly number[],
  baseline: number,
  sigmas?: readonly number[],
): number[] => rewards.map((reward, i) => (Number.isNaN(reward) ? 0 : (reward - baseline) / (1 + (sigmas?.[i] ?? 0))))

/**
 * (x - mean) / sqrt(var + 1e-8), var with n - 1, over what the mask keeps; elsewhere 0. `keepMean` adds the mean back:
 * so for rewards, whose level means something, and not for advantages.
 * @param mask rows of 1 and 0, like values; all of them where it is left out
 */
export const whiten = (
  values: readonly (readonly number[])[],
  { mask, keepMean = false }: { mask?: readonly (readonly number[])[]; keepMean?: boolean } = {},
): number[][] => {
  const counts = (i: number, j: number) => mask === undefined || mask[i][j] > 0
  const kept = values.flatMap((row, i) => row.filter((_, j) => counts(i, j)))
  const mean = meanOf(kept)
  const scale = Math.sqrt(deviation(kept) ** 2 + 1e-8)
  const shift = keepMean ? mean : 0
  return values.map((row, i) => row.map((x, j) => (counts(i, j) ? (x - mean) / scale + shift : 0)))
}
