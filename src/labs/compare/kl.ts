/**
 * How far a policy has moved from the SFT policy, and what it got for it: KL(policy || SFT) from the policy's own answers,
 * reward against it as a path, and the same reward at equal distance. Schulman 2020, "Approximating KL divergence".
 */
import { type KlEstimator, klEstimate } from '../../objectives/kl.ts'
import { expectedBest } from '../../recipes/bestOfN.ts'
import type { Interval } from '../../statistics/intervals.ts'
import { bootstrapInterval, type Draws, meanOver, picked } from '../../statistics/resampling.ts'
import type { Runs } from './rewards.ts'

type Divergence = { k1: number; k3: number }

/**
 * Of one answer, in nats: the sum over its tokens of log pi - log ref (k1, which may be negative), and of
 * exp(log ref - log pi) - 1 + log pi - log ref (k3, which cannot). Both have the divergence over whole answers as their
 * mean, for at each token it is the policy's own beginning that is gone on with.
 */
export const divergenceOf = (logps: readonly number[], refLogps: readonly number[]): Divergence => {
  const sum = (estimator: KlEstimator) =>
    logps.reduce((total, logp, t) => total + klEstimate(logp, refLogps[t], estimator), 0)
  return { k1: sum('k1'), k3: sum('k3') }
}

/** Where a policy was at a checkpoint or at its end: of each prompt the mean divergence, and the mean reward by judge. */
export type Stop = {
  /** 'step 20'; 'end'. */
  name: string
  /** Nats. */
  kl: readonly number[]
  /** In standard deviations of the SFT policy's rewards, from their mean. */
  rewards: ReadonlyMap<string, readonly number[]>
}

/** From near to far as training went; the last is the policy itself. */
export type Path = readonly Stop[]

/** Of the prompts that every one of these lists has a number for. */
const common = (lists: readonly (readonly number[])[]): number[] =>
  (lists[0] ?? []).flatMap((_, i) => (lists.every((list) => Number.isFinite(list[i])) ? [i] : []))

export type AtEqualKl = {
  /** Mean reward of the farther policy's path where it was as far as the other one is, less the other's. */
  difference: Interval
  /** Points of the path between the SFT policy and the end. */
  between: number
  /** Divergence of both, nats. */
  kl: readonly [farther: Interval, nearer: Interval]
}

/**
 * The farther policy's reward at the nearer one's distance. Between the points of a path, the SFT policy's at 0 being the
 * first, reward is taken as a straight line over the root of the divergence, as it begins for every way of optimising
 * (Gao, Schulman and Hilton 2022). Undefined where `far` is not farther beyond doubt, or where a divergence is
 * not known.
 */
export const atEqualKl = (
  far: readonly Path[],
  near: readonly Path[],
  judge: string,
  draws: Draws,
): AtEqualKl | undefined => {
  if ([...far, ...near].some((path) => path.length === 0)) return undefined
  const ofJudge = (path: Path) => path.map((stop) => ({ kl: stop.kl, reward: stop.rewards.get(judge) ?? [] }))
  const [ways, ends] = [far.map(ofJudge), near.map((path) => ofJudge(path).slice(-1))]
  const rows = common([...ways, ...ends].flat().flatMap(({ kl, reward }) => [kl, reward]))
  if (rows.length < 2) return undefined
  const kept = (path: (typeof ways)[number]) =>
    path.map(({ kl, reward }) => [meanOver(picked(kl, rows)), meanOver(picked(reward, rows))] as const)
  const [farther, nearer] = [ways.map(kept), ends.map(kept)]
  const average = (of: (k: number) => number) => ends.reduce((sum, _, k) => sum + of(k), 0) / ends.length
  const over = (statistic: (draw: Uint32Array) => number) => bootstrapInterval(rows.length, statistic, draws)
  const klOf = (paths: typeof farther) => (draw: Uint32Array) => average((k) => paths[k].at(-1)![0](draw))
  const gap = over((draw) => klOf(farther)(draw) - klOf(nearer)(draw))
  if (!(gap.low > 0)) return undefined
  return {
    difference: over((draw) =>
      average((k) => rewardAt(farther[k], nearer[k][0][0](draw), draw) - nearer[k][0][1](draw)),
    ),
    between: Math.min(...ways.map((path) => path.length - 1)),
    kl: [over(klOf(farther)), over(klOf(nearer))],
  }
}

type Statistics = readonly (readonly [kl: (draw: Uint32Array) => number, reward: (draw: Uint32Array) => number])[]

const rewardAt = (path: Statistics, kl: number, draw: Uint32Array): number => {
  const root = (x: number) => Math.sqrt(Math.max(0, x))
  const points = [[0, 0], ...path.map(([far, reward]) => [root(far(draw)), reward(draw)])]
  const x = root(kl)
  // A path may turn back; where it first comes so far counts
  const next = points.findIndex(([at]) => at >= x)
  if (next <= 0) return next === 0 ? 0 : points.at(-1)![1]
  const [[x0, y0], [x1, y1]] = [points[next - 1], points[next]]
  return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0)
}

/**
 * The best of n of the SFT policy's own answers by a judge, for n up to the answers there are: what any training has to
 * beat. The mean over all choices of n among them (by order statistics); its divergence is at most log n - (n - 1) / n
 * (Beirami et al. 2024).
 * @param rewards of the SFT policy under the judge, standardised
 */
export const bestOfN = (rewards: Runs, draws: Draws): { n: number; kl: number; reward: Interval }[] => {
  const known = (rewards[0] ?? [])
    .map((_, i) => rewards.flatMap((run) => run[i]).filter(Number.isFinite))
    .filter(({ length }) => length > 0)
  const most = Math.min(...known.map(({ length }) => length))
  return Array.from({ length: Number.isFinite(most) ? most : 0 }, (_, i) => i + 1).map((n) => {
    const values = known.map((row) => expectedBest(row, n))
    const reward = bootstrapInterval(values.length, meanOver(values), draws)
    return { n, kl: Math.log(n) - (n - 1) / n, reward }
  })
}
