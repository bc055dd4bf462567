/** Embeddings of texts: their last hidden states, after the final norm, as one vector each. */
import { pack, passesOf } from '../data/batch.ts'
import { targetStates } from './head.ts'
import { place } from './layout.ts'
import type { Model } from './model.ts'
import { forward } from './stack.ts'

/** `mean`: the mean over all tokens of a text. `last`: the state of its last token, which alone has read all of it. */
export type Pooling = 'mean' | 'last'

export type EmbeddingOptions = {
  pooling: Pooling
  /** Whether a vector is divided by its length. */
  normalize: boolean
}

/**
 * @param texts token ids, of each text one at least
 * @returns of each text a vector of hidden_size numbers
 */
export const embeddingsOf = async (
  model: Model,
  texts: readonly ArrayLike<number>[],
  { pooling, normalize }: EmbeddingOptions,
): Promise<Float32Array[]> => {
  const trees = texts.map((ids) => ({ trunk: [], branches: [ids] }))
  const vectors: Float32Array[] = []
  for (const pass of passesOf(trees, 4096)) {
    const placed = place(model, pack(pass, 1, undefined, pooling === 'last' ? 'last' : 'each'))
    const { hidden } = forward(model, placed, 'none')
    const h = targetStates(model, hidden, placed)
    const reading = model.backend.read(h)
    model.backend.free([hidden, h, ...placed.handles])
    const states = await reading
    let row = 0
    for (const { branches } of pass) {
      const rows = pooling === 'last' ? 1 : branches[0].length
      vectors.push(meanOfRows(states, row, rows, model.config.hidden_size))
      row += rows
    }
  }
  return normalize ? vectors.map(unit) : vectors
}

/** states [M, C] -> [C] */
const meanOfRows = (states: ArrayLike<number>, first: number, rows: number, C: number): Float32Array => {
  const sums = new Float64Array(C)
  for (let row = first; row < first + rows; row++) for (let c = 0; c < C; c++) sums[c] += states[row * C + c]
  return Float32Array.from(sums, (sum) => sum / rows)
}

const unit = (vector: Float32Array): Float32Array => {
  const length = Math.hypot(...vector)
  return length > 0 ? vector.map((x) => x / length) : vector
}
