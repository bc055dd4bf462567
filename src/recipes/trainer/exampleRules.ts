/**
 * How each method that learns from rows turns one into an example, or says why it is dropped. The methods train by these
 * rules, and `attune check` shows what comes of them.
 */
import {
  type Encoder,
  type Limits,
  type RankedExample,
  rankedExample,
  scoredExample,
  type TextExample,
  type TextOptions,
  textExample,
  type UnpairedExample,
  unpairedExample,
} from '../../data/examples.ts'
import type { Ranking, Sft, Unpaired } from '../../data/rows.ts'
import { bestFirst } from './collate.ts'
import type { ExampleRule } from './dataset.ts'

type Reading = { encoder: Encoder; limits: Limits }

export const textRule = ({ encoder, limits }: Reading, options: TextOptions): ExampleRule<Sft, TextExample> => ({
  example: (row, count) => textExample(encoder, row, limits, options, count),
  ids: ({ ids }) => [ids],
})

export const unpairedRule = ({ encoder, limits }: Reading): ExampleRule<Unpaired, UnpairedExample> => ({
  example: (row, count) => unpairedExample(encoder, row, limits, count),
  ids: ({ prompt, completion }) => [prompt, completion],
})

const rankedIds = ({ prompt, responses }: RankedExample) => [prompt, ...responses]

/** @param listwise the loss also learns from rows whose responses have one rank */
export const preferenceRule = (
  { encoder, limits }: Reading,
  listwise: boolean,
): ExampleRule<Ranking, RankedExample> => ({
  example: (row, count) => {
    const example = rankedExample(encoder, row, limits, count)
    if (typeof example === 'string') return example
    return isTie(example, false) && !listwise ? 'tie' : bestFirst(example)
  },
  ids: rankedIds,
})

/**
 * @param oneBest the best response is to be told from the rest
 * @param byRatings margins are differences of ratings
 */
export const rewardRule = (
  { encoder, limits }: Reading,
  { oneBest, byRatings }: { oneBest: boolean; byRatings: boolean },
): ExampleRule<Ranking, RankedExample> => ({
  example: (row, count) => {
    const example = scoredExample(encoder, row, limits, count)
    if (typeof example === 'string') return example
    if (byRatings && contradicts(example)) return 'contradiction'
    return isTie(example, oneBest) ? 'tie' : bestFirst(example)
  },
  ids: rankedIds,
})

/** A response is rated above one that it is ranked below: the margin of the pair would contradict its order. */
export const contradicts = ({ ranks, ratings = [] }: Pick<RankedExample, 'ranks' | 'ratings'>): boolean =>
  ratings.some((rating, i) =>
    ratings.some((other, j) => rating !== null && other !== null && rating > other && ranks[i]! > (ranks[j] ?? 0)),
  )

/** No two responses differ in rank; or, where the best is to be told from the rest, several are the best. */
const isTie = ({ ranks }: RankedExample, oneBest: boolean): boolean => {
  const best = Math.min(...ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY))
  const first = ranks.filter((rank) => (rank ?? Number.POSITIVE_INFINITY) === best).length
  return oneBest ? first > 1 : first === ranks.length
}
