/**
 * Calibration of a reward model: of the pairs where it is 70 % sure which response is better, is it right in 70 %? A pair
 * counts once, by the response that the model prefers, so confidences go from 1/2 to 1.
 */
import { correlation } from '../../statistics/regression.ts'
import { deviation, mean } from '../../statistics/summary.ts'
import { accuracyOf, gapSlices, type ScoredPair, type ScoredRow, scoredPairs } from './metrics.ts'

/** The file beside the model that holds the calibration. */
export const calibrationFile = 'calibration.json'

/** Pairs whose confidence lies in [from, to). */
type Bin = { from: number; to: number; pairs: number; confidence: number; accuracy: number }

export type Calibration = {
  kind: string
  rows: number
  pairs: number
  accuracy: number
  /** Standard error over prompts. */
  accuracy_se: number
  /** Mean squared distance of P(better response wins) from 1 (Brier 1950); 0.25 is a coin. */
  brier: number
  /** Mean of -log P(better response wins); ln 2 is a coin. */
  log_loss: number
  /** Expected calibration error: the mean over pairs of |accuracy - confidence| of their bin (Guo et al. 2017, eq. 3). */
  ece: number
  bins: Bin[]
  rewards: { mean: number; std: number; replies: number }
  /** Pearson's r of rewards and tokens, and how often the better response is the longer one. */
  length: { correlation: number; longer_wins: number }
  /** By the difference of ratings, where rows have them. */
  slices: { from: number; to: number; pairs: number; accuracy: number; accuracy_se: number }[]
}

const binCount = 10

const confidenceOf = ({ p }: ScoredPair) => Math.max(p, 1 - p)
/** 1 where the model prefers the better response; 1/2 where it prefers neither. */
const rightOf = ({ p }: ScoredPair) => (p === 0.5 ? 0.5 : Number(p > 0.5))

export const reliability = (pairs: readonly ScoredPair[]): Bin[] => {
  const at = (pair: ScoredPair) => Math.min(binCount - 1, Math.floor((confidenceOf(pair) - 0.5) * 2 * binCount))
  return Array.from({ length: binCount }, (_, i) => {
    const inside = pairs.filter((pair) => at(pair) === i)
    const edge = (n: number) => 0.5 + n / (2 * binCount)
    const values = inside.length
      ? { confidence: mean(inside.map(confidenceOf)), accuracy: mean(inside.map(rightOf)) }
      : { confidence: 0, accuracy: 0 }
    return { from: edge(i), to: edge(i + 1), pairs: inside.length, ...values }
  })
}

export const calibrationOf = (kind: string, rows: readonly ScoredRow[]): Calibration => {
  const pairs = scoredPairs(rows)
  const bins = reliability(pairs)
  const rewards = rows.flatMap((row) => row.rewards)
  const lengths = rows.flatMap((row) => row.lengths)
  const { accuracy, se } = accuracyOf(pairs)
  return {
    kind,
    rows: rows.length,
    pairs: pairs.length,
    accuracy,
    accuracy_se: se,
    brier: mean(pairs.map(({ p }) => (1 - p) ** 2)),
    log_loss: mean(pairs.map(({ p }) => -Math.log(Math.max(p, Number.MIN_VALUE)))),
    ece: bins.reduce((sum, bin) => sum + bin.pairs * Math.abs(bin.accuracy - bin.confidence), 0) / pairs.length,
    bins,
    rewards: { mean: mean(rewards), std: deviation(rewards), replies: rewards.length },
    length: { correlation: correlation(rewards, lengths), longer_wins: mean(pairs.map(({ longer }) => longer)) },
    slices: gapSlices(pairs).map((slice) => {
      const { accuracy: own, se: error } = accuracyOf(slice)
      return { from: slice[0].gap!, to: slice.at(-1)!.gap!, pairs: slice.length, accuracy: own, accuracy_se: error }
    }),
  }
}
