/**
 * From a row of logits to the next token, in the order of transformers: bias and penalties (its LogitsProcessors,
 * penalties.ts), then temperature, top-k, top-p and the like (its LogitsWarpers, candidates.ts), then the draw.
 */
import { badInput } from '../util/fault.ts'
import { rng } from '../util/rng.ts'
import {
  allCandidates,
  type Candidates,
  keepEpsilon,
  keepLikeliest,
  keepMinP,
  keepTopH,
  keepTopK,
  keepTopP,
  keepTypical,
  probabilities,
  scaleTemperature,
  withoutBanned,
} from './candidates.ts'
import { addBias, ban, banWords, penalizeGenerated, penalizeRepetition } from './penalties.ts'

/** A token and its log-probability by the model's own distribution, in nats. */
export type ScoredToken = { id: number; logp: number }
/** `tops`: the likeliest tokens in its place, likeliest first, where they are asked for. */
export type SampledToken = ScoredToken & { tops?: ScoredToken[] }

export type SamplingOptions = {
  /** 0 takes the likeliest token. */
  temperature: number
  /** Keeps the k likeliest tokens, and those as likely as the last of them. */
  topK?: number
  /** Keeps the fewest likeliest tokens that have this much probability together. */
  topP?: number
  /** Removes tokens less likely than this part of the likeliest (Nguyen et al. 2024). */
  minP?: number
  /** Keeps the tokens whose surprise is nearest the entropy until they have this much probability (Meister et al. 2022). */
  typicalP?: number
  /** Removes tokens less likely than this, but never the likeliest (Hewitt et al. 2022). */
  epsilonCutoff?: number
  /** Keeps the likeliest tokens until they have this share of the entropy. */
  topH?: number
  /** Logits of tokens that were seen are divided by it where positive, multiplied where negative (Keskar et al. 2019). */
  repetitionPenalty?: number
  /** Subtracted from the logit of each token that was generated, once. */
  presencePenalty?: number
  /** Subtracted from the logit of each token that was generated, as often as it was. */
  frequencyPenalty?: number
  /** Sequences of token ids that never come. */
  badWords?: readonly (readonly number[])[]
  /** Generated tokens before which no end token comes. */
  minNewTokens?: number
  /** Added to logits, by token id. */
  logitBias?: ReadonlyMap<number, number>
}

/** A lower temperature is taken as 0, greedy: no two logits that differ would both be sampled, and dividing by it overflows. */
const leastTemperature = 1e-10

/** Checks options, and takes tiny temperatures as 0. Faults: 'bad-option' for one that is not a number, or a temperature below 0. */
export const checkedOptions = <O extends SamplingOptions>(options: O): O => {
  for (const [name, value] of Object.entries(options))
    if (typeof value === 'number' && Number.isNaN(value)) throw badInput('bad-option', `${name} is not a number`)
  if (options.temperature < 0) throw badInput('bad-option', 'temperature is below 0')
  return options.temperature < leastTemperature ? { ...options, temperature: 0 } : options
}

/** The tokens before a row of logits. */
export type History = {
  /** Prompt and all that was generated. */
  seen: readonly number[]
  promptLength: number
  eosIds: ReadonlySet<number>
}

/** Whether logits are changed by the tokens before them or by a table of biases. */
export const hasLogitsProcessors = (o: SamplingOptions): boolean =>
  Boolean(
    o.presencePenalty ||
      o.frequencyPenalty ||
      o.badWords?.length ||
      o.minNewTokens ||
      o.logitBias?.size ||
      (o.repetitionPenalty ?? 1) !== 1,
  )

/** Logits after bias, penalties and bans; the row itself where there are none. */
export const processLogits = (
  row: Float32Array | Float64Array,
  o: SamplingOptions,
  { seen, promptLength, eosIds }: History,
) => {
  if (!hasLogitsProcessors(o)) return row
  const logits = Float64Array.from(row)
  if (o.logitBias) addBias(logits, o.logitBias)
  if (o.repetitionPenalty) penalizeRepetition(logits, o.repetitionPenalty, seen)
  const { presencePenalty: presence = 0, frequencyPenalty: frequency = 0 } = o
  if (presence || frequency) penalizeGenerated(logits, { presence, frequency }, seen.slice(promptLength))
  if (o.badWords) banWords(logits, o.badWords, seen, eosIds)
  if (seen.length - promptLength < (o.minNewTokens ?? 0)) for (const id of eosIds) ban(logits, id)
  return logits
}

/** The tokens that temperature, top-k, top-p and the like leave, with scaled logits. */
export const warpCandidates = (all: Candidates, o: SamplingOptions): Candidates => {
  if (o.temperature === 0) return keepLikeliest(all)
  let left = o.temperature === 1 ? all : scaleTemperature(all, o.temperature)
  if (o.topH) left = keepTopH(left, o.topH)
  if (o.topK) left = keepTopK(left, o.topK)
  if (o.topP !== undefined && o.topP < 1) left = keepTopP(left, o.topP)
  if (o.minP) left = keepMinP(left, o.minP)
  if (o.typicalP !== undefined && o.typicalP < 1) left = keepTypical(left, o.typicalP)
  if (o.epsilonCutoff) left = keepEpsilon(left, o.epsilonCutoff)
  return left
}

/** The tokens of a whole row that can be sampled; none, where every token is banned. */
export const candidatesOf = (
  row: Float32Array | Float64Array,
  options: SamplingOptions,
  history: History,
): Candidates => {
  const all = allCandidates(processLogits(row, options, history))
  const left = hasLogitsProcessors(options) ? withoutBanned(all) : all
  return left.ids.length ? warpCandidates(left, options) : left
}

/** @param uniform in [0, 1) @returns the token where the cumulative probability passes it */
const draw = ({ ids, logits }: Candidates, uniform: number): number => {
  const probs = probabilities(logits)
  let sum = 0
  for (let i = 0; i < probs.length; i++) {
    sum += probs[i]
    if (sum > uniform) return ids[i]
  }
  // Rounding left the sum below 1
  return ids[probs.findLastIndex((prob) => prob > 0)]
}

/** Names one random number: the same key always gives the same number, whatever else is sampled. */
export type DrawKey = { seed: number; row: number; sample: number; position: number }

export const uniformOf = ({ seed, row, sample, position }: DrawKey): number => rng(seed, row, sample).uniform(position)

/** The sampled token, which depends on the candidates and the key alone; greedy takes the first of equals. undefined: no candidates. */
export const sampleToken = (left: Candidates, { temperature }: SamplingOptions, key: DrawKey): number | undefined =>
  temperature === 0 ? left.ids[0] : draw(left, uniformOf(key))
