/**
 * Bias, penalties and bans: transformers' LogitsProcessors, with OpenAI's presence and frequency penalties. Each changes
 * the logits [V] of one row in place.
 */

type Logits = Float32Array | Float64Array

/** Only a ban makes a logit infinite. So one token can still be sampled where every token has a very large penalty. */
const finite = (logit: number) => Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, logit))

/** Of each seen token, divides a positive logit by `penalty` and multiplies a negative one by it (Keskar et al. 2019). */
export const penalizeRepetition = (logits: Logits, penalty: number, seen: Iterable<number>) => {
  for (const id of new Set(seen)) logits[id] = finite(logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty)
}

/** Of each generated token, subtracts `presence` once, and `frequency` as many times as it was generated. */
export const penalizeGenerated = (
  logits: Logits,
  { presence, frequency }: { presence: number; frequency: number },
  generated: readonly number[],
) => {
  for (const id of new Set(generated)) logits[id] = finite(logits[id] - presence)
  for (const id of generated) logits[id] = finite(logits[id] - frequency)
}

export const addBias = (logits: Logits, bias: ReadonlyMap<number, number>) => {
  for (const [id, value] of bias) logits[id] = finite(logits[id] + value)
}

/**
 * Bans the token that would complete a word: the last one of each word whose other tokens have just been seen. A word that is
 * one end token alone is not banned, because a completion could not end without it.
 * @param words the token ids of each word   @param seen all tokens so far, prompt and completion
 */
export const banWords = (
  logits: Logits,
  words: readonly (readonly number[])[],
  seen: readonly number[],
  eosIds: ReadonlySet<number>,
) => {
  for (const word of words) {
    const last = word[word.length - 1]
    if (word.length === 1 && eosIds.has(last)) continue
    const start = seen.length - word.length + 1
    if (start >= 0 && word.slice(0, -1).every((id, i) => seen[start + i] === id)) ban(logits, last)
  }
}

export const ban = (logits: Logits, id: number) => {
  logits[id] = Number.NEGATIVE_INFINITY
}
