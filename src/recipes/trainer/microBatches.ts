/**
 * How much of a batch is computed at once. Peculiar: `--batch-size` is what a loss and its metrics are taken over, not what
 * memory has to hold. Where rows do not depend on each other, a micro-batch goes through the model in equal parts, whose
 * losses are shares of the step; products of 500 rows are as fast as those of 5,000, and a fraction is kept between forward
 * and backward.
 */
import type { LossFunction } from '../../train/loss.ts'
import { chunks } from './collate.ts'
import type { Policy } from './policy.ts'

/** Numbers in the hidden states of a part, and its tokens, at most; narrow models take more tokens, wide ones not fewer. */
const hiddenNumbers = 460_800
const fewestTokens = 512
/** Where all weights are trained, each part adds a gradient to every one of them: fewer parts, of more tokens. */
const moreForAllWeights = 4

/** Tokens that are computed at once, about; all where the loss wants its rows together. */
export const microBatchTokens = (
  { model, adapter }: Pick<Policy, 'model' | 'adapter'>,
  { together }: Pick<LossFunction, 'together'>,
): number => {
  if (together) return Number.POSITIVE_INFINITY
  const tokens = Math.max(fewestTokens, Math.floor(hiddenNumbers / model.config.hidden_size))
  return adapter ? tokens : moreForAllWeights * tokens
}

/** Equal parts, as few as keep each within the limit; one example each where none do. */
export const splitByTokens = <E>(examples: readonly E[], tokens: (example: E) => number, limit: number): E[][] => {
  const fits = (part: readonly E[]) => part.reduce((n, example) => n + tokens(example), 0) <= limit
  for (let size = examples.length; size > 1; size--) {
    if (examples.length % size !== 0) continue
    const parts = chunks(examples, size)
    if (parts.every(fits)) return parts
  }
  return chunks(examples, 1)
}

/** Micro-batches of so many examples, each in its parts. */
export const microBatches = <E>(
  examples: readonly E[],
  size: number,
  tokens: (example: E) => number,
  limit: number,
): E[][] => chunks(examples, size).flatMap((micro) => splitByTokens(micro, tokens, limit))
