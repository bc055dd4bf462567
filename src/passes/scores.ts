/**
 * Scores of a reward model: its score head read at the last token of each response, or at every token. The last token is
 * found by counting, not by a padding id, so it is right where padding and the end of a text share an id.
 */
import type { Tree } from '../data/batch.ts'
import { type ScoreDistribution, scoreDistribution } from '../objectives/probabilisticReward.ts'
import type { Model } from './model.ts'
import type { PassPlan } from './readPasses.ts'
import { scoreCount } from './scoreHead.ts'
import { readTokenStats, tokenStatsPlans } from './tokenStats.ts'

/**
 * The scores of each response, read at its last token (at the prompt's, where it is empty): [tree][branch][num_labels].
 * A prompt passes once for all its responses, trees share passes; nothing of the language head is computed.
 */
export const scoresOf = async (model: Model, trees: readonly Tree[]): Promise<number[][][]> => {
  const { scores } = await readTokenStats(model, trees, ['scores'], { aim: 'last' })
  return scores.map(({ branches }) => branches)
}

/** The scores after each token of each response, [tree][branch][token][num_labels]: those of all its prefixes, in one pass. */
export const scoresAlong = async (model: Model, trees: readonly Tree[]): Promise<number[][][][]> => {
  const outputs = scoreCount(model)
  const { scores } = await readTokenStats(model, trees, ['scores'], { aim: 'each' })
  return scores.map(({ branches }) => branches.map((values) => rowsOf(values, outputs)))
}

const rowsOf = (values: readonly number[], width: number): number[][] =>
  Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width))

/** A score; of a head with N outputs the expected score of 1..N, its standard deviation, and the distribution. */
export type Reward = { reward: number } & Partial<ScoreDistribution>

export const rewardOf = (scores: readonly number[]): Reward =>
  scores.length === 1 ? { reward: scores[0] } : scoreDistribution(scores)

/** The reward of each response: [tree][branch]. */
export const rewardsOf = async (model: Model, trees: readonly Tree[]): Promise<Reward[][]> =>
  (await scoresOf(model, trees)).map((branches) => branches.map(rewardOf))

/** The passes of `rewardsOf`: a plan gives the rewards of the next trees. */
export function* rewardPlans(trees: readonly Tree[]): Generator<PassPlan<Reward[][]>> {
  for (const { passes, join } of tokenStatsPlans(trees, ['scores'], { aim: 'last' }))
    yield { passes, join: (values) => join(values).scores.map(({ branches }) => branches.map(rewardOf)) }
}
