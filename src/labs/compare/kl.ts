/**
 * KL(policy || base) estimated from the policy's own completions (Schulman 2020, "Approximating KL divergence"), the reward
 * of two policies at equal KL, and best-of-n of the base model as the baseline.
 */
import { type KlEstimator, klEstimate } from '../../objectives/kl.ts'
import { expectedBest } from '../../recipes/bestOfN.ts'
import type { Interval } from '../../statistics/intervals.ts'
import {
  bootstrapInterval,
  type Clusters,
  type Draws,
  meanInterval,
  meanOver,
  picked,
} from '../../statistics/resampling.ts'
import type { Runs } from './rewards.ts'

type CompletionKl = { k1: number; k3: number }

/**
 * KL estimates of one completion, in nats: the sums over its tokens of log pi - log ref (k1, which may be negative) and of
 * exp(log ref - log pi) - 1 + log pi - log ref (k3, which cannot). The mean of either over completions is the KL over whole
 * completions, because every token follows tokens that the policy itself sampled.
 * @param logps of the tokens under the policy   @param refLogps under the base model
 */
export const completionKl = (logps: readonly number[], refLogps: readonly number[]): CompletionKl => {
  const sum = (estimator: KlEstimator) =>
    logps.reduce((total, logp, t) => total + klEstimate(logp, refLogps[t], estimator), 0)
  return { k1: sum('k1'), k3: sum('k3') }
}

/** A checkpoint or the final model of a run as a point of reward against KL. */
export type PathPoint = {
  /** 'step 20', or 'end' for the final model. */
  name: string
  /** [prompts] nats. */
  kl: readonly number[]
  /** By judge, [prompts] in standard deviations of the base model's rewards, from their mean. */
  rewards: ReadonlyMap<string, readonly number[]>
}

/** The points of a run by step; the last is its final model. */
export type TrainingPath = readonly PathPoint[]

/** Indices of the prompts that every one of these lists has a number for. */
const knownInAll = (lists: readonly (readonly number[])[]): number[] =>
  (lists[0] ?? []).flatMap((_, i) => (lists.every((list) => Number.isFinite(list[i])) ? [i] : []))

export type AtEqualKl = {
  /** Mean reward of the farther policy at the KL of the nearer one, less the nearer one's reward. */
  difference: Interval
  /** Checkpoints of the farther policy before its final model. */
  between: number
  /** KL of both, nats. */
  kl: readonly [farther: Interval, nearer: Interval]
}

/**
 * The reward that the farther policy had where its KL was that of the nearer one. Between the points of a run, which begins
 * at the base model (KL 0, reward 0), reward is interpolated linearly over the square root of the KL, which is how it
 * begins for every way of optimizing (Gao, Schulman and Hilton 2022). Undefined where the interval of the difference in
 * KL does not exclude 0, and where a KL is not known.
 */
export const rewardAtEqualKl = (
  far: readonly TrainingPath[],
  near: readonly TrainingPath[],
  judge: string,
  draws: Draws,
  clusters?: Clusters,
): AtEqualKl | undefined => {
  if ([...far, ...near].some((path) => path.length === 0)) return undefined
  const ofJudge = (path: TrainingPath) => path.map(({ kl, rewards }) => ({ kl, reward: rewards.get(judge) ?? [] }))
  const [farPaths, nearEnds] = [far.map(ofJudge), near.map((path) => ofJudge(path).slice(-1))]
  const rows = knownInAll([...farPaths, ...nearEnds].flat().flatMap(({ kl, reward }) => [kl, reward]))
  if (rows.length < 2) return undefined
  const kept = (path: (typeof farPaths)[number]) =>
    path.map(({ kl, reward }) => [meanOver(picked(kl, rows)), meanOver(picked(reward, rows))] as const)
  const [farther, nearer] = [farPaths.map(kept), nearEnds.map(kept)]
  const average = (of: (k: number) => number) => nearEnds.reduce((sum, _, k) => sum + of(k), 0) / nearEnds.length
  const over = (statistic: (draw: Uint32Array) => number) =>
    bootstrapInterval(rows.length, statistic, draws, clusters && picked(clusters, rows))
  const klOf = (paths: typeof farther) => (draw: Uint32Array) => average((k) => paths[k].at(-1)![0](draw))
  const gap = over((draw) => klOf(farther)(draw) - klOf(nearer)(draw))
  if (!(gap.low > 0)) return undefined
  return {
    difference: over((draw) =>
      average((k) => rewardAt(farther[k], nearer[k][0][0](draw), draw) - nearer[k][0][1](draw)),
    ),
    between: Math.min(...farPaths.map((path) => path.length - 1)),
    kl: [over(klOf(farther)), over(klOf(nearer))],
  }
}

/** The points of a run, each as two statistics of resampled prompts. */
type Statistics = readonly (readonly [kl: (draw: Uint32Array) => number, reward: (draw: Uint32Array) => number])[]

/** Linear between the points, over the root of the KL; beyond the last point its reward. */
const rewardAt = (path: Statistics, kl: number, draw: Uint32Array): number => {
  const root = (x: number) => Math.sqrt(Math.max(0, x))
  const points = [[0, 0], ...path.map(([far, reward]) => [root(far(draw)), reward(draw)])]
  const x = root(kl)
  // KL may fall again during training; the first point that reaches this KL counts
  const next = points.findIndex(([at]) => at >= x)
  if (next <= 0) return next === 0 ? 0 : points.at(-1)![1]
  const [[x0, y0], [x1, y1]] = [points[next - 1], points[next]]
  return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0)
}

/**
 * Best-of-n of the base model's completions by a judge, for each n up to the number of samples: the baseline for any
 * training. The reward is the mean over all choices of n completions (by order statistics); the KL is at most
 * log n - (n - 1) / n (Beirami et al. 2024).
 * @param rewards of the base model under the judge, standardized
 */
export const bestOfN = (
  rewards: Runs,
  draws: Draws,
  clusters?: Clusters,
): { n: number; kl: number; reward: Interval }[] => {
  const all = (rewards[0] ?? []).map((_, i) => rewards.flatMap((run) => run[i]).filter(Number.isFinite))
  const rows = all.flatMap(({ length }, i) => (length > 0 ? [i] : []))
  const known = picked(all, rows)
  const most = Math.min(...known.map(({ length }) => length))
  return Array.from({ length: Number.isFinite(most) ? most : 0 }, (_, i) => i + 1).map((n) => {
    const values = known.map((row) => expectedBest(row, n))
    const reward = meanInterval(values, draws, clusters && picked(clusters, rows))
    return { n, kl: Math.log(n) - (n - 1) / n, reward }
  })
}
