/**
 * What a reward model says of responses: the score head at the last token of each branch, or at every one. Peculiar: the
 * place is counted, not told from a padding id, so it is right where padding and the end of a text share an id.
 */
import { type Aim, packs, passesOf, type Tree } from '../data/batch.ts'
import { type ScoreDistribution, scoreDistribution } from '../objectives/probabilisticReward.ts'
import type { Model } from './model.ts'
import { scoreCount } from './scoreHead.ts'
import { targetStats } from './stats.ts'

/** Tokens of a pass, roughly. */
const passTokens = 4096

/** Scores of each tree's branches at the tokens that are aimed at: [tree][branch][token][num_labels]. */
const scoresAt = async (model: Model, trees: readonly Tree[], aim: Aim): Promise<number[][][][]> => {
  const labels = scoreCount(model)
  const all: number[][][][] = []
  for (const pass of passesOf(trees, passTokens)) {
    const own: number[][][][] = pass.map(({ branches }) => branches.map(() => []))
    const K = Math.max(...pass.map(({ branches }) => branches.length))
    for (const packed of packs(pass, K, aim)) {
      const { stats, placed } = targetStats(model, packed, ['scores'])
      const read = model.backend.read(stats.scores)
      model.backend.free([stats.scores, ...placed.handles])
      const values = await read
      for (let m = 0; m < packed.targets.sequence.length; m++) {
        const s = packed.targets.sequence[m]
        own[Math.floor(s / K)][s % K].push(Array.from(values.subarray(m * labels, (m + 1) * labels)))
      }
    }
    all.push(...own)
  }
  return all
}

/**
 * The scores of each response, read at its last token (at the prompt's, where it is empty): [tree][branch][num_labels].
 * A prompt passes once for all its responses, trees share passes; nothing of the language head is computed.
 */
export const scoresOf = async (model: Model, trees: readonly Tree[]): Promise<number[][][]> =>
  (await scoresAt(model, trees, 'last')).map((branches) => branches.map(([scores]) => scores))

/** The scores after each token of each response, [tree][branch][token][num_labels]: those of all its prefixes, in one pass. */
export const scoresAlong = (model: Model, trees: readonly Tree[]): Promise<number[][][][]> =>
  scoresAt(model, trees, 'each')

/** A score; of a head with N outputs the expected score of 1..N, its standard deviation, and the distribution. */
export type Reward = { reward: number } & Partial<ScoreDistribution>

export const rewardOf = (scores: readonly number[]): Reward =>
  scores.length === 1 ? { reward: scores[0] } : scoreDistribution(scores)

/** The reward of each response: [tree][branch]. */
export const rewardsOf = async (model: Model, trees: readonly Tree[]): Promise<Reward[][]> =>
  (await scoresOf(model, trees)).map((branches) => branches.map(rewardOf))
