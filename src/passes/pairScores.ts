/** Scores of a pair ranker: of each source with two candidates the scores of both. Rows of similar lengths share a pass. */
import { packTexts } from '../data/encoderBatch.ts'
import type { Pair } from '../data/pairText.ts'
import { targetStates } from './head.ts'
import { encoderText, passesByLength } from './hiddenStates.ts'
import { place } from './layout.ts'
import type { Model } from './model.ts'
import { scoreCount, scorePass } from './scoreHead.ts'
import { forward } from './stack.ts'

/** The texts of pairs with their markers as targets, three each. Faults: those of `encoderText`. */
export const pairRows = (model: Model, pairs: readonly Pair[]) =>
  pairs.map(({ ids, markers }) => ({ ...encoderText(model, { ids }), targets: markers }))

/** [pair] the scores of the first and of the second candidate; of a head with several outputs their means. */
export const pairScores = async (model: Model, pairs: readonly Pair[]): Promise<[number, number][]> => {
  const texts = pairRows(model, pairs)
  const tasks = scoreCount(model)
  const scores: [number, number][] = pairs.map(() => [0, 0])
  for (const numbers of passesByLength(texts.map(({ ids }) => ids.length))) {
    const placed = place(model, packTexts(numbers.map((n) => texts[n])))
    const { hidden } = forward(model, placed, 'none')
    const h = targetStates(model, hidden, placed)
    const made = scorePass(model, h)
    const reading = model.backend.read(made)
    model.backend.free([hidden, h, made, ...placed.handles])
    const values = await reading
    const mean = (row: number) => values.subarray(row * tasks, (row + 1) * tasks).reduce((a, b) => a + b, 0) / tasks
    for (const [i, n] of numbers.entries()) scores[n] = [mean(3 * i + 1), mean(3 * i + 2)]
  }
  return scores
}
