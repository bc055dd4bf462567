/**
 * Two policies under one judge: win rate, difference of rewards, and both at equal length.
 *
 * Which policy is preferred is decided by win rates, because they mean the same whatever the scale of a judge is.
 * Differences of rewards are in standard deviations of the base model's own rewards under that judge.
 */

import { clusteredError } from '../../statistics/clusters.ts'
import { type Interval, tInterval, wilson } from '../../statistics/intervals.ts'
import { linearRegression } from '../../statistics/regression.ts'
import {
  bootstrapInterval,
  type Clusters,
  type Draws,
  meanInterval,
  picked,
  signFlipTest,
} from '../../statistics/resampling.ts'
import { mean, standardError } from '../../statistics/summary.ts'
import { promptMeans, type Runs, type Scale } from './rewards.ts'

/** Shares of pairs of completions, in [0, 1]. */
export type Outcome = { wins: number; ties: number; losses: number }

/**
 * Every completion of a prompt by policy a against every one by policy b. Undefined where the judge failed on all of one.
 * @param a rewards of the completions of a   @param b those of b
 */
export const outcome = (a: readonly number[], b: readonly number[]): Outcome | undefined => {
  let [wins, ties, losses] = [0, 0, 0]
  for (const x of a)
    for (const y of b) {
      wins += Number(x > y)
      ties += Number(x === y)
      losses += Number(x < y)
    }
  const all = wins + ties + losses
  return all ? { wins: wins / all, ties: ties / all, losses: losses / all } : undefined
}

/** Win rate and difference at equal length: the intercepts of regressions on the difference of lengths. */
type AtEqualLength = {
  winRate: Interval
  difference?: Interval
  /** How much the win rate rises with a hundred characters more. */
  slope: number
  /** One policy's completions are longer on every prompt, so that equal length is an extrapolation. */
  beyond: boolean
}

export type Comparison = {
  a: string
  b: string
  judge: string
  /** Prompts on which both have a reward. */
  prompts: number
  /** How many clusters these are in, where prompts are drawn by clusters: what the interval and the test rest on. */
  clusters?: number
  outcome: Outcome
  /** How often a completion of a has the higher reward than one of b; a tie counts one half. */
  winRate: Interval
  /** Of the win rate, by the sign-flip test: of this test alone, and corrected for all tests of the question (Holm). */
  p: number
  corrected: number
  /** Mean reward of a less that of b, in standard deviations of the base model's rewards. */
  difference?: Interval
  /** By how many characters the completions of a are longer. */
  longer: Interval
  controlled?: AtEqualLength
  /** The lowest win rate above one half that a test on so many prompts finds in four of five comparisons. */
  detectable: number
  /** The win rate over training seeds, where there are several: what can be said of the method and not only of these runs. */
  seeds?: Interval
}

/** One of the two policies, under one judge. */
export type JudgedPolicy = { name: string; rewards: Runs; lengths: Runs }

/** @param clusters of all prompts */
type PairOptions = { draws: Draws; clusters?: Clusters; scale?: Scale }

/** Wins less losses, -1 to 1, as a win rate, 0 to 1. */
const asRate = ({ value, low, high }: Interval): Interval => {
  const rate = (x: number) => Math.min(1, Math.max(0, (1 + x) / 2))
  return { value: rate(value), low: rate(low), high: rate(high) }
}

/** A two-sided test at 5 % finds a difference of so many standard errors in 80 % of samples: 1.96 + 0.84. */
const detectableErrors = 2.8

/** @param judge its name   @returns with `corrected` equal to p, until all tests of the question are corrected together */
export const comparePair = (
  a: JudgedPolicy,
  b: JudgedPolicy,
  judge: string,
  { draws, clusters: ofAll, scale }: PairOptions,
): Comparison => {
  const all = outcomes(a.rewards, b.rewards)
  const kept = all.flatMap((each, i) => (each ? [i] : []))
  const clusters = ofAll && picked(ofAll, kept)
  const scores = kept.map((i) => all[i]!.wins - all[i]!.losses)
  /** Of each prompt that both have a reward for: the mean of a less that of b. */
  const differenceOf = (key: 'rewards' | 'lengths') => {
    const [meansA, meansB] = [promptMeans(a[key]), promptMeans(b[key])]
    return kept.map((i) => meansA[i] - meansB[i])
  }
  const longer = differenceOf('lengths')
  const differences = scale && differenceOf('rewards').map((x) => x / scale.std)
  const share = (key: keyof Outcome) => mean(kept.map((i) => all[i]![key]))
  const winRate = winRateOf(scores, draws, clusters)
  const p = kept.length > 1 ? signFlipTest(scores, draws, clusters) : Number.NaN
  return {
    a: a.name,
    b: b.name,
    judge,
    prompts: kept.length,
    ...(clusters && { clusters: new Set(clusters).size }),
    p,
    corrected: p,
    outcome: { wins: share('wins'), ties: share('ties'), losses: share('losses') },
    winRate,
    difference: differences && meanInterval(differences, draws, clusters),
    longer: meanInterval(longer, draws, clusters),
    controlled: atEqualLength({ longer, scores, differences, winRate }, draws, clusters),
    detectable: (1 + detectableErrors * (clusters ? clusteredError(scores, clusters) : standardError(scores))) / 2,
    ...(a.rewards.length > 1 && { seeds: overSeeds(a.rewards, b.rewards) }),
  }
}

/** [prompts] over all runs of both. */
const outcomes = (a: Runs, b: Runs) =>
  a[0].map((_, i) =>
    outcome(
      a.flatMap((run) => run[i]),
      b.flatMap((run) => run[i]),
    ),
  )

const areAlike = (scores: readonly number[]) => scores.length > 1 && scores.every((score) => score === scores[0])

/** Where every prompt has the same score, resampling has no spread; Wilson's interval of counted votes has. */
const winRateOf = (scores: readonly number[], draws: Draws, clusters: Clusters): Interval => {
  if (!areAlike(scores)) return asRate(meanInterval(scores, draws, clusters))
  const units = clusters ? new Set(clusters).size : scores.length
  const { share, low, high } = wilson((units * (1 + scores[0])) / 2, units)
  return { value: share, low, high }
}

/**
 * Undefined for fewer than four prompts, and where the lengths do not vary. Where every prompt has the same score, length changes
 * nothing about it, and the win rate is that of all prompts, with its interval.
 */
const atEqualLength = (
  {
    longer,
    scores,
    differences,
    winRate,
  }: {
    longer: readonly number[]
    scores: readonly number[]
    differences: readonly number[] | undefined
    winRate: Interval
  },
  draws: Draws,
  clusters: Clusters,
): AtEqualLength | undefined => {
  const { slope } = linearRegression(longer, scores)
  if (longer.length < 4 || !Number.isFinite(slope)) return undefined
  const intercept = (ys: readonly number[]) =>
    bootstrapInterval(
      longer.length,
      (rows) => linearRegression(picked(longer, rows), picked(ys, rows)).intercept,
      draws,
      clusters,
    )
  return {
    winRate: areAlike(scores) ? winRate : asRate(intercept(scores)),
    difference: differences && intercept(differences),
    slope: (100 * slope) / 2,
    beyond: longer.every((x) => x > 0) || longer.every((x) => x < 0),
  }
}

/** The win rate of each run of a against the run of b at the same place: runs of the same training seed. */
const overSeeds = (a: Runs, b: Runs): Interval => {
  const rates = a.map((run, k) => {
    const known = outcomes([run], [b[k]]).filter((each) => each !== undefined)
    return mean(known.map(({ wins, ties }) => wins + ties / 2))
  })
  const { value, low, high } = tInterval(rates)
  return { value, low: Math.max(0, low), high: Math.min(1, high) }
}
