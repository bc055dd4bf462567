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
import { contradicts } from '../../data/preference.ts'
import type { Ranking, Sft, Unpaired } from '../../data/rows.ts'
import { answered, type Sequence } from '../check/rowSigns.ts'
import { bestFirst } from './collate.ts'
import type { ExampleRule } from './dataset.ts'

type Reading = { encoder: Encoder; limits: Limits }

export const textRule = ({ encoder, limits }: Reading, options: TextOptions): ExampleRule<Sft, TextExample> => ({
  example: (row, count) => textExample(encoder, row, limits, options, count),
  ids: ({ ids }) => [ids],
  sequences: textSequence,
  method: 'sft',
})

export const unpairedRule = ({ encoder, limits }: Reading): ExampleRule<Unpaired, UnpairedExample> => ({
  example: (row, count) => unpairedExample(encoder, row, limits, count),
  ids: ({ prompt, completion }) => [prompt, completion],
  sequences: ({ label, prompt, completion }) => [answered(label ? 'good' : 'bad', prompt, completion)],
  method: 'kto',
})

/** Nothing comes before the first token, so it is never learnt. */
const textSequence = ({ ids, targets }: TextExample): Sequence[] => [
  { name: 'text', ids, targets: Uint8Array.from(targets).fill(0, 0, 1) },
]

/** Best first. */
const rankedSequences = ({ prompt, responses, ranks }: RankedExample): Sequence[] =>
  responses.map((response, k) => {
    const name = responses.length === 2 && ranks[0] !== ranks[1] ? ['chosen', 'rejected'][k] : `rank ${ranks[k] ?? '-'}`
    return answered(name, prompt, response)
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
  sequences: rankedSequences,
  method: 'dpo',
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
  sequences: rankedSequences,
  method: 'reward',
})

/** No two responses differ in rank; or, where the best is to be told from the rest, several are the best. */
const isTie = ({ ranks }: RankedExample, oneBest: boolean): boolean => {
  const best = Math.min(...ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY))
  const first = ranks.filter((rank) => (rank ?? Number.POSITIVE_INFINITY) === best).length
  return oneBest ? first > 1 : first === ranks.length
}
