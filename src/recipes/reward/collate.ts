/** Rankings to the micro-batches of a reward model: a token tree for each prompt, scored at the last token of each response. */
import { packs } from '../../data/batch.ts'
import type { RankedExample } from '../../data/examples.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { floats, rankedTree } from '../trainer/collate.ts'

/** A response's part of the margins, whose differences are by how much one is to beat another: a pair's margin is the first's. */
const marginOf = ({ ratings, margin }: RankedExample, k: number, from: 'auto' | 'ratings' | 'none'): number => {
  if (from === 'ratings') return isRated(ratings) ? ratings![k]! : 0
  return from === 'auto' && k === 0 ? (margin ?? 0) : 0
}

/**
 * Arrays, best response first: `ranks`, `lengths` (tokens), `margins`, `ratings` [B, K]; `rated`, `prob` [B];
 * `windowRows` [], the rows of the step; `bias` [].
 * @param bias is added to every reward
 */
export const rewardBatches = (
  microBatches: readonly RankedExample[][],
  { bias, margins }: { bias: number; margins: 'auto' | 'ratings' | 'none' },
): MicroBatch[] => {
  const common = { windowRows: floats([microBatches.flat().length], []), bias: floats([bias], []) }
  return microBatches.map((examples) => {
    const K = Math.max(...examples.map(({ responses }) => responses.length))
    const grid = (value: (example: RankedExample, k: number) => number) =>
      floats(
        examples.flatMap((example) =>
          Array.from({ length: K }, (_, k) => (k < example.responses.length ? value(example, k) : 0)),
        ),
        [examples.length, K],
      )
    const arrays: MicroBatch['arrays'] = {
      ...common,
      ranks: grid(({ ranks }, k) => ranks[k] ?? -1),
      lengths: grid(({ responses }, k) => responses[k].length),
      ratings: grid(({ ratings }, k) => ratings?.[k] ?? 0),
      rated: floats(examples.map(({ ratings }) => Number(isRated(ratings)))),
      margins: grid((example, k) => marginOf(example, k, margins)),
      prob: floats(examples.map(({ prob }) => prob ?? 1)),
    }
    return { packs: packs(examples.map(rankedTree), K, 'last'), arrays, weight: examples.length }
  })
}

/** Every response has a rating. */
const isRated = (ratings: RankedExample['ratings']): boolean => ratings?.every((rating) => rating !== null) ?? false
