/**
 * Metrics of a reward model on evaluation rows. They are taken over all responses or pairs at once, so batches do not change
 * them; the standard error is over prompts, since the pairs of a prompt are not independent.
 */
import { scoreDistribution, winProbability } from '../../objectives/probabilisticReward.ts'
import { correlation } from '../../statistics/regression.ts'
import { deviation, mean } from '../../statistics/summary.ts'
import type { MicroBatch } from '../../train/micro.ts'

/** The responses of a prompt as the model scores them, best first. */
export type ScoredRow = {
  rewards: number[]
  /** Of a probabilistic head: the probability of each score, and the standard deviation of the score. */
  probs?: number[][]
  sigmas?: number[]
  /** 1 is best, equal ranks tie, -1 is unranked. */
  ranks: number[]
  /** Tokens. */
  lengths: number[]
  ratings?: number[]
}

/** Rows of a batch from its scores [M, outputs]. */
export const scoredRows = ({ packs, arrays }: MicroBatch, scores: Float32Array): ScoredRow[] => {
  const [B, K] = arrays.ranks.shape
  const sequence = packs.flatMap(({ targets }) => Array.from(targets.sequence))
  const outputs = scores.length / sequence.length
  const bias = Number(arrays.bias.values[0])
  const scoreOf = new Map(sequence.map((s, m) => [s, scores.subarray(m * outputs, (m + 1) * outputs)]))
  return Array.from({ length: B }, (_, b) => {
    const cells = Array.from({ length: K }, (_, k) => b * K + k).filter((cell) => arrays.ranks.values[cell] !== 0)
    const of = (name: string) => cells.map((cell) => Number(arrays[name].values[cell]))
    const row = {
      ranks: of('ranks'),
      lengths: of('lengths'),
      ...(arrays.rated.values[b] && { ratings: of('ratings') }),
    }
    if (outputs === 1) return { ...row, rewards: cells.map((cell) => scoreOf.get(cell)![0] + bias) }
    const distributions = cells.map((cell) => scoreDistribution(scoreOf.get(cell)!))
    return {
      ...row,
      rewards: distributions.map(({ reward }) => reward),
      probs: distributions.map(({ probs }) => probs),
      sigmas: distributions.map(({ sigma }) => sigma),
    }
  })
}

/** Two responses of a prompt with different ranks. */
export type ScoredPair = {
  row: number
  /** The better response's reward less the worse one's. */
  margin: number
  /** The model's probability that the better response is the better one; equal scores count half. */
  p: number
  /** Is the better response the longer (1), the shorter (0), or neither (1/2)? */
  longer: number
  /** Difference of their ratings. */
  gap?: number
}

/** Unranked responses come behind all others. */
const placeOf = (rank: number) => (rank > 0 ? rank : Number.POSITIVE_INFINITY)

const probabilityOf = ({ rewards, probs }: ScoredRow, i: number, j: number): number => {
  if (!probs) return 1 / (1 + Math.exp(rewards[j] - rewards[i]))
  const tie = probs[i].reduce((sum, p, k) => sum + p * probs[j][k], 0)
  return winProbability(probs[i], probs[j]) + tie / 2
}

export const scoredPairs = (rows: readonly ScoredRow[]): ScoredPair[] =>
  rows.flatMap((row, r) =>
    row.ranks.flatMap((rank, i) =>
      row.ranks.flatMap((other, j): ScoredPair[] => {
        if (!(placeOf(rank) < placeOf(other))) return []
        const { rewards, lengths, ratings } = row
        const longer = (1 + Math.sign(lengths[i] - lengths[j])) / 2
        const gap = ratings && { gap: Math.abs(ratings[i] - ratings[j]) }
        return [{ row: r, margin: rewards[i] - rewards[j], p: probabilityOf(row, i, j), longer, ...gap }]
      }),
    ),
  )

const isRight = ({ margin }: ScoredPair): number => Number(margin > 0)

/** The mean over pairs, and its standard error over prompts. */
export const accuracyOf = (pairs: readonly ScoredPair[]): { accuracy: number; se: number } => {
  const accuracy = mean(pairs.map(isRight))
  const off = new Map<number, number>()
  for (const pair of pairs) off.set(pair.row, (off.get(pair.row) ?? 0) + isRight(pair) - accuracy)
  const n = off.size
  const squares = [...off.values()].reduce((sum, x) => sum + x * x, 0)
  return { accuracy, se: Math.sqrt((squares * n) / Math.max(1, n - 1)) / pairs.length }
}

/** Pairs in slices of about equal size by the gap of their ratings, smallest first; fewer where few gaps differ. */
export const gapSlices = (pairs: readonly ScoredPair[], count = 3): ScoredPair[][] => {
  const sorted = pairs.filter(({ gap }) => gap !== undefined).sort((a, b) => a.gap! - b.gap!)
  const slices: ScoredPair[][] = []
  for (const pair of sorted) {
    const full = (slices.at(-1)?.length ?? 0) >= sorted.length / count
    // Pairs of one gap stay together
    if (slices.length === 0 || (full && slices.at(-1)!.at(-1)!.gap !== pair.gap)) slices.push([])
    slices.at(-1)!.push(pair)
  }
  return slices
}

const sliceNames = ['small', 'medium', 'large']

/**
 * By TRL's names, and: `accuracy_se`, its standard error; `length_correlation`, Pearson's r of rewards and tokens; `longer_wins`,
 * how often the better response is the longer one; `accuracy/gap_*`, by the gap of the ratings.
 */
export const evaluationMetrics = (rows: readonly ScoredRow[]): Record<string, number> => {
  const pairs = scoredPairs(rows)
  const rewards = rows.flatMap((row) => row.rewards)
  const sigmas = rows.flatMap((row) => row.sigmas ?? [])
  const { accuracy, se } = accuracyOf(pairs)
  const slices = gapSlices(pairs)
  return {
    min_reward: rewards.reduce((a, b) => Math.min(a, b)),
    mean_reward: mean(rewards),
    max_reward: rewards.reduce((a, b) => Math.max(a, b)),
    reward_std: deviation(rewards),
    accuracy,
    accuracy_se: se,
    margin: mean(pairs.map(({ margin }) => margin)),
    length_correlation: correlation(
      rewards,
      rows.flatMap(({ lengths }) => lengths),
    ),
    longer_wins: mean(pairs.map(({ longer }) => longer)),
    ...(sigmas.length && { sigma: mean(sigmas) }),
    ...Object.fromEntries(slices.map((slice, i) => [`accuracy/gap_${sliceNames[i]}`, accuracyOf(slice).accuracy])),
  }
}
