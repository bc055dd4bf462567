/**
 * Floating-point operations (FLOPs) of a decoder, counted as in scaling laws (Kaplan et al. 2020, section 2.1): two for each
 * weight of the blocks' matrix products and each token, plus attention over the positions that a token really sees. The
 * embedding and the logit layer are left out: with 128,256 tokens they are nearly all of a small model.
 */
import type { Architecture, Config } from '../../models/architecture.ts'
import { numel } from '../../util/shape.ts'

export type ModelCounts = {
  /** All weights, a tied head counted once. */
  parameters: number
  /** Weights of the blocks' matrix products: no embedding, head, norm or bias. */
  blocks: number
  /** Operations of attention for one token and one position that it sees, in all layers: score and weighted sum. */
  perPosition: number
}

export const modelCounts = (architecture: Architecture, config: Config): ModelCounts => {
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) => architecture.layerPrefix(i))
  const shapes = [...architecture.shapes(config)]
  const inBlocks = ([name, shape]: (typeof shapes)[number]) =>
    shape.length === 2 && layers.some((prefix) => name.startsWith(prefix))
  const total = (some: typeof shapes) => some.reduce((n, [, shape]) => n + numel(shape), 0)
  return {
    parameters: total(shapes),
    blocks: total(shapes.filter(inBlocks)),
    perPosition: 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim,
  }
}

/** Positions that n tokens see under a causal mask, their own included: 1 + 2 + ... + n. */
const causalPositions = (n: number) => (n * (n + 1)) / 2

/**
 * One forward pass over a packed row [prompt | response 1 | ... | response K], where each response sees the prompt and itself.
 * @param prompt     tokens of the prompt
 * @param responses  tokens of each response
 */
export const forwardFlops = (
  { blocks, perPosition }: ModelCounts,
  prompt: number,
  responses: readonly number[] = [],
): number => {
  const tokens = responses.reduce((a, b) => a + b, prompt)
  const seen = responses.reduce((n, length) => n + length * prompt + causalPositions(length), causalPositions(prompt))
  return 2 * blocks * tokens + perPosition * seen
}

/** Forward and backward pass: the backward pass costs as much as two forward passes. */
export const trainingFlops = (counts: ModelCounts, prompt: number, responses: readonly number[] = []): number =>
  3 * forwardFlops(counts, prompt, responses)

/** Generation with a key-value cache: every token passes once, and the last generated one not at all. */
export const generationFlops = (counts: ModelCounts, prompt: number, generated: number): number =>
  forwardFlops(counts, prompt + Math.max(0, generated - 1))
