/**
 * From a row of logits to the next token: the transforms of transformers' LogitsProcessors, in its order (repetition
 * penalty, temperature, top-k, top-p, min-p), in float64. Peculiar: a transform works in place and removes a token by
 * setting its logit to -Infinity; only tokens that can still be kept are ever sorted.
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

const removed = Number.NEGATIVE_INFINITY

/** @param seen ids of the prompt and of what was generated */
export const penalizeRepetition = (logits: Float64Array, penalty: number, seen: Iterable<number>) => {
  for (const id of new Set(seen)) logits[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty
}

export const scaleTemperature = (logits: Float64Array, temperature: number) => {
  for (let i = 0; i < logits.length; i++) logits[i] /= temperature
}

export const keepTopK = (logits: Float64Array, k: number) => {
  if (k >= logits.length) return
  const least = kthLargest(logits, k)
  for (let i = 0; i < logits.length; i++) if (logits[i] < least) logits[i] = removed
}

/** By a heap of the k largest so far, the least of them on top. */
const kthLargest = (values: Float64Array, k: number): number => {
  const heap = values.slice(0, k).sort()
  for (let i = k; i < values.length; i++) {
    const value = values[i]
    if (!(value > heap[0])) continue
    let at = 0
    for (;;) {
      const child = 2 * at + 1
      if (child >= k) break
      const least = child + 1 < k && heap[child + 1] < heap[child] ? child + 1 : child
      if (heap[least] >= value) break
      heap[at] = heap[least]
      at = least
    }
    heap[at] = value
  }
  return heap[0]
}

export const keepTopP = (logits: Float64Array, p: number) => {
  const probs = probabilities(logits)
  // all tokens up to this probability have less than 1 - p together, and the likeliest is not among them
  const negligible = (1 - p) / 2 / logits.length
  const kept: number[] = []
  let below = 0
  for (let i = 0; i < probs.length; i++) {
    if (probs[i] > negligible) kept.push(i)
    else {
      below += probs[i]
      logits[i] = removed
    }
  }
  kept.sort((a, b) => probs[a] - probs[b] || a - b)
  for (const i of kept.slice(0, -1)) {
    below += probs[i]
    if (below > 1 - p) return
    logits[i] = removed
  }
}

export const keepMinP = (logits: Float64Array, minP: number) => {
  // p < minP * max p, as logits
  const least = largest(logits) + Math.log(minP)
  for (let i = 0; i < logits.length; i++) if (logits[i] < least) logits[i] = removed
}

const largest = (values: ArrayLike<number>): number => {
  let top = removed
  for (let i = 0; i < values.length; i++) if (values[i] > top) top = values[i]
  return top
}

/** softmax */
export const probabilities = (logits: ArrayLike<number>): Float64Array => {
  const top = largest(logits)
  const probs = new Float64Array(logits.length)
  let sum = 0
  for (let i = 0; i < probs.length; i++) sum += probs[i] = Math.exp(logits[i] - top)
  for (let i = 0; i < probs.length; i++) probs[i] /= sum
  return probs
}

/** Index of the first of the largest. */
const likeliest = (logits: ArrayLike<number>): number => {
  let best = 0
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i
  return best
}

/** @param uniform in [0, 1) @returns the token where the cumulative probability passes it */
const draw = (logits: Float64Array, uniform: number): number => {
  const probs = probabilities(logits)
  let [sum, last] = [0, 0]
  for (let i = 0; i < probs.length; i++) {
    if (probs[i] === 0) continue
    sum += probs[i]
    last = i
    if (sum > uniform) return i
  }
  // rounding left the sum below 1
  return last
}

/** The row after all transforms but the choice; -Infinity where a token cannot be chosen. */
export const transformed = (row: ArrayLike<number>, options: SamplingOptions, seen: Iterable<number>): Float64Array => {
  const logits = Float64Array.from(row)
  const { temperature, topK, topP, minP, repetitionPenalty } = options
  if (repetitionPenalty !== undefined && repetitionPenalty !== 1) penalizeRepetition(logits, repetitionPenalty, seen)
  if (temperature === 0) return logits
  if (temperature !== 1) scaleTemperature(logits, temperature)
  if (topK) keepTopK(logits, topK)
  if (topP !== undefined && topP < 1) keepTopP(logits, topP)
  if (minP) keepMinP(logits, minP)
  return logits
}

/** Which number of the stream decides. */
export type Draw = { seed: number; row: number; sample: number; position: number }

/** Depends on the row and the draw alone, never on what else is in the batch. */
export const sample = (
  row: ArrayLike<number>,
  options: SamplingOptions,
  seen: Iterable<number>,
  { seed, row: stream, sample: substream, position }: Draw,
): number => {
  const logits = transformed(row, options, seen)
  return options.temperature === 0 ? likeliest(logits) : draw(logits, rng(seed, stream, substream).uniform(position))
}
