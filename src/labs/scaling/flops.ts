/**
 * Floating-point operations of a decoder, counted as scaling laws do: two for each weight of the blocks' products and
 * each token, and attention over the positions that a token really sees. Peculiar: embedding and logit layer are left
 * out, which with 128,256 tokens are nearly all of a small model.
 */
import type { Architecture, Config } from '../../models/architecture.ts'

export type Counts = {
  /** All trainable numbers, a tied head counted once. */
  parameters: number
  /** Weights of the blocks' products: no embedding, head, norm or bias. */
  blocks: number
  /** Operations of one token for each position that it sees: scores and their weighted sum, in every layer. */
  perPosition: number
}

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

export const countsOf = (architecture: Architecture, config: Config): Counts => {
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) => architecture.layerPrefix(i))
  const shapes = [...architecture.shapes(config)]
  const inBlocks = ([name, shape]: (typeof shapes)[number]) =>
    shape.length === 2 && layers.some((prefix) => name.startsWith(prefix))
  const total = (some: typeof shapes) => some.reduce((n, [, shape]) => n + size(shape), 0)
  return {
    parameters: total(shapes),
    blocks: total(shapes.filter(inBlocks)),
    perPosition: 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim,
  }
}

/** Positions that n tokens see, themselves and those before: 1 + 2 + ... + n. */
const triangle = (n: number) => (n * (n + 1)) / 2

/**
 * One pass over a packed row [prompt | reply 1 | ... | reply K]: each reply sees the prompt and itself.
 * @param replies tokens of each
 */
export const forwardFlops = (
  { blocks, perPosition }: Counts,
  prompt: number,
  replies: readonly number[] = [],
): number => {
  const tokens = replies.reduce((a, b) => a + b, prompt)
  const seen = replies.reduce((n, length) => n + length * prompt + triangle(length), triangle(prompt))
  return 2 * blocks * tokens + perPosition * seen
}

/** The backward pass costs two forwards. */
export const trainingFlops = (counts: Counts, prompt: number, replies: readonly number[] = []): number =>
  3 * forwardFlops(counts, prompt, replies)

/** With a cache every token passes once; the last one generated is not read again. */
export const generationFlops = (counts: Counts, prompt: number, generated: number): number =>
  forwardFlops(counts, prompt + Math.max(0, generated - 1))
