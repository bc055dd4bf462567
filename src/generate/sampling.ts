/**
 * From a row of logits to the next token: the transforms of transformers' LogitsProcessors, in its order (repetition
 * penalty, temperature, top-k, top-p, min-p), in float64. Peculiar: what a transform removes leaves the list, so after
 * the first cut the work is small; of a whole vocabulary nothing is ever sorted.
 */
import { rng } from '../util/rng.ts'

export type SamplingOptions = {
  /** 0 takes the likeliest token. */
  temperature: number
  /** Keeps the k likeliest tokens, and those as likely as the last of them. */
  topK?: number
  /** Keeps the fewest likeliest tokens that have this much probability together. */
  topP?: number
  /** Removes tokens less likely than this part of the likeliest (Nguyen et al. 2024). */
  minP?: number
  /** Logits of tokens that were seen are divided by it where positive, multiplied where negative (Keskar et al. 2019). */
  repetitionPenalty?: number
}

/** Tokens that can still be chosen, by ascending id. */
export type Candidates = { ids: Uint32Array; logits: Float64Array }

export const allCandidates = (row: Float32Array | Float64Array): Candidates => {
  const ids = new Uint32Array(row.length)
  for (let i = 0; i < ids.length; i++) ids[i] = i
  return { ids, logits: new Float64Array(row) }
}

const atLeast = ({ ids, logits }: Candidates, least: number): Candidates => {
  let count = 0
  for (let i = 0; i < logits.length; i++) {
    if (logits[i] < least) continue
    ids[count] = ids[i]
    logits[count++] = logits[i]
  }
  return { ids: ids.subarray(0, count), logits: logits.subarray(0, count) }
}

/** On all candidates. @param seen ids of the prompt and of what was generated */
export const penalizeRepetition = (all: Candidates, penalty: number, seen: Iterable<number>): Candidates => {
  const { logits } = all
  for (const id of new Set(seen)) logits[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty
  return all
}

export const scaleTemperature = (left: Candidates, temperature: number): Candidates => {
  const { logits } = left
  for (let i = 0; i < logits.length; i++) logits[i] /= temperature
  return left
}

export const keepTopK = (left: Candidates, k: number): Candidates =>
  k >= left.logits.length ? left : atLeast(left, kthLargest(left.logits, k))

/** By a heap of the k largest so far, the least of them on top. */
const kthLargest = (values: Float64Array, k: number): number => {
  const heap = values.slice(0, k).sort()
  for (let i = k; i < values.length; i++) if (values[i] > heap[0]) replaceLeast(heap, values[i])
  return heap[0]
}

const replaceLeast = (heap: Float64Array, value: number) => {
  let at = 0
  for (;;) {
    const child = 2 * at + 1
    if (child >= heap.length) break
    const least = child + 1 < heap.length && heap[child + 1] < heap[child] ? child + 1 : child
    if (heap[least] >= value) break
    heap[at] = heap[least]
    at = least
  }
  heap[at] = value
}

export const keepTopP = (left: Candidates, p: number): Candidates => {
  const probs = probabilities(left.logits)
  // All tokens up to this probability have less than 1 - p together, and the likeliest is not among them
  const negligible = (1 - p) / 2 / probs.length
  const rest: number[] = []
  let below = 0
  for (let i = 0; i < probs.length; i++) {
    if (probs[i] > negligible) rest.push(i)
    else below += probs[i]
  }
  rest.sort((a, b) => probs[a] - probs[b] || a - b)
  const first = rest.findIndex((i, n) => n === rest.length - 1 || (below += probs[i]) > 1 - p)
  return pick(left, rest.slice(first))
}

const pick = ({ ids, logits }: Candidates, index: readonly number[]): Candidates => {
  const order = Uint32Array.from(index).sort()
  return {
    ids: order.map((i) => ids[i]),
    logits: Float64Array.from(order, (i) => logits[i]),
  }
}

export const keepMinP = (left: Candidates, minP: number): Candidates =>
  // p < minP * max p, as logits
  atLeast(left, largest(left.logits) + Math.log(minP))

const largest = (values: Float64Array): number => {
  let top = Number.NEGATIVE_INFINITY
  for (let i = 0; i < values.length; i++) if (values[i] > top) top = values[i]
  return top
}

/** softmax */
export const probabilities = (logits: Float64Array): Float64Array => {
  const top = largest(logits)
  const probs = new Float64Array(logits.length)
  let sum = 0
  for (let i = 0; i < probs.length; i++) sum += probs[i] = Math.exp(logits[i] - top)
  for (let i = 0; i < probs.length; i++) probs[i] /= sum
  return probs
}

/** What is left of a row after all transforms. */
export const candidates = (
  row: Float32Array | Float64Array,
  { temperature, topK, topP, minP, repetitionPenalty = 1 }: SamplingOptions,
  seen: Iterable<number>,
): Candidates => {
  let left = allCandidates(row)
  if (repetitionPenalty !== 1) left = penalizeRepetition(left, repetitionPenalty, seen)
  if (temperature === 0) return atLeast(left, largest(left.logits))
  if (temperature !== 1) left = scaleTemperature(left, temperature)
  if (topK) left = keepTopK(left, topK)
  if (topP !== undefined && topP < 1) left = keepTopP(left, topP)
  if (minP) left = keepMinP(left, minP)
  return left
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

/** Which number of the stream decides. */
export type Draw = { seed: number; row: number; sample: number; position: number }

/** Depends on the row and the draw alone, never on what else is in the batch. Of equals, greedy takes the first. */
export const sample = (
  row: Float32Array | Float64Array,
  options: SamplingOptions,
  seen: Iterable<number>,
  { seed, row: stream, sample: substream, position }: Draw,
): number => {
  const left = candidates(row, options, seen)
  return options.temperature === 0 ? left.ids[0] : draw(left, rng(seed, stream, substream).uniform(position))
}
