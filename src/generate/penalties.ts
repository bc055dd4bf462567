/**
 * Bias, penalties and bans: transformers' LogitsProcessors, with OpenAI's presence and frequency penalties. They change
 * a whole row of logits [V] in place.
 */

type Logits = Float32Array | Float64Array

/** Only a ban makes a logit infinite: however large a penalty, where all tokens have it one can still be sampled. */
const finite = (logit: number) => Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, logit))

/** Divides logits of seen tokens where positive, multiplies where negative (Keskar et al. 2019). */
export const penalizeRepetition = (logits: Logits, penalty: number, seen: Iterable<number>) => {
  for (const id of new Set(seen)) logits[id] = finite(logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty)
}

/** Subtracts `presence` once and `frequency` each time that a token was generated. */
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

/** Bans the last token of each word whose others are the last that were seen, but for end tokens by themselves. */
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
    if (start >= 0 && word.every((id, i) => i === word.length - 1 || seen[start + i] === id)) ban(logits, last)
  }
}

export const ban = (logits: Logits, id: number) => {
  logits[id] = Number.NEGATIVE_INFINITY
}
