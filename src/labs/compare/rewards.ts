/**
 * Two policies under one judge. Peculiar: which of the two is preferred is decided by win rates, for they mean the same
 * whatever a judge's scale is; differences are in standard deviations of the SFT policy's own rewards under that judge.
 */

import { type Interval, tInterval, wilson } from '../../statistics/intervals.ts'
import { linearRegression } from '../../statistics/regression.ts'
import { bootstrapInterval, type Draws, meanInterval, picked, signFlipTest } from '../../statistics/resampling.ts'
import { deviation, mean, standardError } from '../../statistics/summary.ts'

/** Of each prompt the values of its answers; NaN where a judge failed. */
export type Answers<T = number> = readonly (readonly T[])[]

/** A policy as it is compared: one run, or one for each training seed; the runs answered the same prompts. */
export type Runs<T = number> = readonly Answers<T>[]

/** Mean and deviation of all rewards that are numbers; undefined where they do not vary. */
export type Scale = { mean: number; std: number }

export const scaleOf = (runs: Runs): Scale | undefined => {
  const values = runs.flat(2).filter(Number.isFinite)
  const std = deviation(values)
  return std > 0 ? { mean: mean(values), std } : undefined
}

/** In standard deviations of the SFT policy's rewards, from their mean. */
export const standardised = (answers: Answers, { mean: centre, std }: Scale): Answers =>
  answers.map((row) => row.map((reward) => (reward - centre) / std))

/** Of each prompt the mean over all answers of all runs that have a number; NaN where none has. */
export const promptMeans = (runs: Runs): number[] =>
  (runs[0] ?? []).map((_, i) => mean(runs.flatMap((run) => run[i]).filter(Number.isFinite)))

export const countFailed = (runs: Runs): number => runs.flat(2).filter((x) => !Number.isFinite(x)).length

export type Outcome = { wins: number; ties: number; losses: number }

/** Shares of a prompt's pairs of answers, one from each policy, that each wins; undefined where a judge failed on all. */
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

type Controlled = {
  /** At equal length. */
  winRate: Interval
  difference?: Interval
  /** Of the win rate by a hundred characters. */
  slope: number
  /** One policy's answers are longer on every prompt, so that equal length is a guess beyond what was seen. */
  beyond: boolean
}

export type Comparison = {
  a: string
  b: string
  judge: string
  /** Prompts on which both have a reward. */
  prompts: number
  outcome: Outcome
  /** How often an answer of a is preferred to one of b, ties one half. */
  winRate: Interval
  /** Of the win rate: by itself, and corrected for all tests of the question. */
  p: number
  corrected: number
  /** Mean reward of a less that of b, in standard deviations of the SFT policy's rewards. */
  difference?: Interval
  /** Characters by which answers of a are longer. */
  longer: Interval
  controlled?: Controlled
  /** The least win rate above a half that so many prompts would show in four of five comparisons. */
  detectable: number
  /** Over training seeds, where there are several; whoever tells of the method and not of these runs needs it. */
  seeds?: Interval
}

export type Side = { name: string; rewards: Runs; lengths: Runs }

type PairOptions = { draws: Draws; scale?: Scale }

/** A score of -1 to 1 as a win rate. */
const asRate = ({ value, low, high }: Interval): Interval => {
  const rate = (x: number) => Math.min(1, Math.max(0, (1 + x) / 2))
  return { value: rate(value), low: rate(low), high: rate(high) }
}

/** @param judge its name. `corrected` is p until `holm` has seen all tests. */
export const comparePair = (a: Side, b: Side, judge: string, options: PairOptions): Comparison => {
  const { draws, scale } = options
  const found = outcomes(a.rewards, b.rewards)
  const kept = found.flatMap((each, i) => (each ? [i] : []))
  const scores = kept.map((i) => found[i]!.wins - found[i]!.losses)
  const of = (runs: Runs) => {
    const means = promptMeans(runs)
    return kept.map((i) => means[i])
  }
  const [lengthsA, lengthsB] = [of(a.lengths), of(b.lengths)]
  const longer = lengthsA.map((x, i) => x - lengthsB[i])
  const [rewardsA, rewardsB] = [of(a.rewards), of(b.rewards)]
  const differences = scale && rewardsA.map((x, i) => (x - rewardsB[i]) / scale.std)
  const share = (key: keyof Outcome) => mean(kept.map((i) => found[i]![key]))
  const p = kept.length > 1 ? signFlipTest(scores, draws) : Number.NaN
  return {
    ...{ a: a.name, b: b.name, judge, prompts: kept.length, p, corrected: p },
    outcome: { wins: share('wins'), ties: share('ties'), losses: share('losses') },
    winRate: winRateOf(scores, draws),
    difference: differences && meanInterval(differences, draws),
    longer: meanInterval(longer, draws),
    controlled: controlledFor(longer, scores, differences, draws),
    // Found in 80 % of samples at the level of 5 %: 1.96 + 0.84 standard errors
    detectable: (1 + 2.8 * standardError(scores)) / 2,
    ...(a.rewards.length > 1 && { seeds: overSeeds(a.rewards, b.rewards) }),
  }
}

const outcomes = (a: Runs, b: Runs) =>
  a[0].map((_, i) =>
    outcome(
      a.flatMap((run) => run[i]),
      b.flatMap((run) => run[i]),
    ),
  )

/** Prompts that all came out alike say nothing by resampling; as counted votes they do. */
const winRateOf = (scores: readonly number[], draws: Draws): Interval => {
  const alike = scores.length > 1 && scores.every((score) => score === scores[0])
  if (!alike) return asRate(meanInterval(scores, draws))
  const { share, low, high } = wilson((scores.length * (1 + scores[0])) / 2, scores.length)
  return { value: share, low, high }
}

/** Both regressed on how much longer the answers are, with intervals of what is left at equal length. */
const controlledFor = (
  longer: readonly number[],
  scores: readonly number[],
  differences: readonly number[] | undefined,
  draws: Draws,
): Controlled | undefined => {
  const { slope } = linearRegression(longer, scores)
  if (longer.length < 4 || !Number.isFinite(slope)) return undefined
  const left = (ys: readonly number[]) =>
    bootstrapInterval(
      longer.length,
      (rows) => linearRegression(picked(longer, rows), picked(ys, rows)).intercept,
      draws,
    )
  return {
    winRate: asRate(left(scores)),
    difference: differences && left(differences),
    slope: (100 * slope) / 2,
    beyond: longer.every((x) => x > 0) || longer.every((x) => x < 0),
  }
}

/** Run by run, in the order in which they were given: the same training seeds stand at the same places. */
const overSeeds = (a: Runs, b: Runs): Interval => {
  const rates = a.map((run, k) => {
    const found = outcomes([run], [b[k]]).filter((each) => each !== undefined)
    return mean(found.map(({ wins, ties }) => wins + ties / 2))
  })
  const { value, low, high } = tInterval(rates)
  return { value, low: Math.max(0, low), high: Math.min(1, high) }
}
