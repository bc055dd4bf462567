/**
 * Sampling from a part of a row of logits: the likeliest tokens, or the sums of blocks of ids. The token is the one that
 * the whole row would have given, but for the rounding of a sum; where a part cannot decide, it says so. Which part is
 * read depends on the options and the logits of the row alone.
 */
import type { Candidates } from './candidates.ts'
import { hasLogitsProcessors, type SamplingOptions, warpCandidates } from './sampling.ts'

/** `first`: the likeliest token. `top`: the likeliest tokens. `blocks`: the sums of all blocks, then one block. `row`: all logits. */
export type LogitsNeeded = 'first' | 'top' | 'blocks' | 'row'

/** @param width how many of the likeliest tokens are known */
export const logitsNeeded = (o: SamplingOptions, width: number): LogitsNeeded => {
  if (hasLogitsProcessors(o)) return 'row'
  if (o.temperature === 0) return 'first'
  if (o.topH || (o.typicalP ?? 1) < 1) return 'row'
  if (o.topK) return o.topK < width ? 'top' : 'row'
  if ((o.topP ?? 1) < 1 || o.minP) return 'top'
  return o.epsilonCutoff ? 'row' : 'blocks'
}

/**
 * The candidates for sampling, where all of them are among the likeliest tokens. undefined where the limit falls between
 * tokens of equal probability or behind the last that is known: then the whole row decides.
 * @param top logits of `ids`, largest first
 * @param mass sum over all tokens of exp((logit - top[0]) / temperature)
 */
export const candidatesFromTop = (
  ids: Float32Array,
  top: Float32Array,
  mass: number,
  o: SamplingOptions,
): Candidates | undefined => {
  const end = endOf(top, mass, o)
  if (end === undefined || end >= top.length || top[end] === top[end - 1]) return undefined
  // These are all that top-k, or without it top-p, leaves; the other limits go on from there
  const order = Array.from({ length: end }, (_, i) => i).sort((a, b) => ids[a] - ids[b])
  const left = {
    ids: Uint32Array.from(order, (i) => ids[i]),
    logits: Float64Array.from(order, (i) => top[i]),
  }
  return warpCandidates(left, o.topK ? { ...o, topK: undefined } : { ...o, topP: undefined })
}

/** How many of the likeliest tokens the first limit keeps; undefined where the known ones do not reach it. */
const endOf = (top: Float32Array, mass: number, { temperature: T, topK, topP = 1, minP }: SamplingOptions) => {
  if (topK) return topK
  if (topP === 1) {
    const end = top.findIndex((l) => (l - top[0]) / T < Math.log(minP!))
    return end < 0 ? undefined : end
  }
  let above = 0
  const end = top.findIndex((l) => {
    if (above >= topP) return true
    above += Math.exp((l - top[0]) / T) / mass
    return false
  })
  return end < 0 ? undefined : end
}

/** The block in which the cumulative probability passes `uniform`, and how far into the block that is. */
export const drawBlock = (blocks: Float32Array, uniform: number): { block: number; rest: number } => {
  let rest = uniform * sum(blocks)
  for (let block = 0; block < blocks.length; block++) {
    if (blocks[block] > rest) return { block, rest }
    rest -= blocks[block]
  }
  // Rounding left the sum short
  const block = blocks.findLastIndex((part) => part > 0)
  return { block, rest: blocks[block] }
}

/** The token of a block's logits at which exp((logit - most) / temperature) sum to more than `rest`. */
export const drawWithin = (block: Float32Array, rest: number, most: number, temperature: number): number => {
  let before = 0
  let last = 0
  for (let i = 0; i < block.length; i++) {
    const weight = Math.exp((block[i] - most) / temperature)
    if (weight > 0) last = i
    before += weight
    if (before > rest) return i
  }
  return last
}

export const sum = (values: Float32Array) => values.reduce((a, b) => a + b, 0)
