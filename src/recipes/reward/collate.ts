/** Rankings to the micro-batches that a reward model reads: a tree for each prompt, its responses' ends the targets. */
import { packs } from '../../data/batch.ts'
import type { RankedExample } from '../../data/examples.ts'
import type { MicroBatch } from '../../train/micro.ts'
import { floats, rankedTree } from '../trainer/collate.ts'

/** What a response's rating adds to the margins: a pair's own margin is the first response's. */
const marginOf = ({ ratings, margin }: RankedExample, k: number, from: 'auto' | 'ratings' | 'none'): number => {
  if (from === 'ratings') return isRated(ratings) ? ratings![k]! : 0
  return from === 'auto' && k === 0 ? (margin ?? 0) : 0
}

/**
 * Arrays, best response first: `ranks`, `lengths` (tokens), `margins`, `ratings` [B, K]; `rated`, `prob` [B].
 * @param bias is added to every reward
 */
export const rewardBatches = (
  micros: readonly RankedExample[][],
  { bias, margins }: { bias: number; margins: 'auto' | 'ratings' | 'none' },
): MicroBatch[] => {
  const common = { windowRows: floats([micros.flat().length], []), bias: floats([bias], []) }
  return micros.map((examples) => {
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
