/** Scores of a pair ranker: of each source with two candidates the scores of both. Rows of similar lengths share a pass. */
import { packTexts } from '../data/encoderBatch.ts'
import type { Pair } from '../data/pairText.ts'
import { encoderText, passesByLength } from './hiddenStates.ts'
import type { Model } from './model.ts'
import { readPasses } from './readPasses.ts'
import { scoreCount } from './scoreHead.ts'

/** The texts of pairs with their markers as targets, three each. Faults: those of `encoderText`. */
export const pairRows = (model: Model, pairs: readonly Pair[]) =>
  pairs.map(({ ids, markers }) => ({ ...encoderText(model, { ids }), targets: markers }))

/** [pair] the scores of the first and of the second candidate; of a head with several outputs their means. */
export const pairScores = async (model: Model, pairs: readonly Pair[]): Promise<[number, number][]> => {
  const texts = pairRows(model, pairs)
  const tasks = scoreCount(model)
  const scores: [number, number][] = pairs.map(() => [0, 0])
  const groups = passesByLength(texts.map(({ ids }) => ids.length))
  const passes = groups.map((numbers) => ({
    batch: packTexts(numbers.map((n) => texts[n])),
    names: ['scores'] as const,
  }))
  let g = 0
  for await (const [values] of readPasses(model, passes)) {
    const mean = (row: number) => values.subarray(row * tasks, (row + 1) * tasks).reduce((a, b) => a + b, 0) / tasks
    for (const [i, n] of groups[g++].entries()) scores[n] = [mean(3 * i + 1), mean(3 * i + 2)]
  }
  return scores
}
