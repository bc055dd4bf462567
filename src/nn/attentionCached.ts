/**
 * Attention of one new token a row on what the row has cached. Peculiar: the token's own key and value are not in the
 * cache yet; their score stands beside the others in one softmax, so the cache is written after the block has run. Few
 * heads that share keys are multiplied one by one: ONNX Runtime has a kernel for one row that packs nothing, twice as
 * fast on many rows of the batch.
 */
import { concat, input, type Tensor } from '../tensor/tensor.ts'
import { type Attend, hidden, maskName } from './attention.ts'

/**
 * q [N, heads*D], k and v [N, kvHeads*D] of N rows. Inputs: `keys L` and `values L` of layer L, [N, kvHeads, 1, S, D],
 * and the mask of its window [N, 1, 1, 1, S], 0 where the row sees the place.
 */
export const attendCached =
  (layer: number): Attend =>
  (q, k, v, { heads, kvHeads, headDim, scale, window, softcap }) => {
    const [N] = q.shape
    const group = heads / kvHeads
    const cached = (name: string) => input(`${name} ${layer}`, [N, kvHeads, 1, 'S', headDim])
    const own = (x: Tensor) => x.reshape([N, kvHeads, 1, 1, headDim])
    const capped = (scores: Tensor) => (softcap ? scores.div(softcap).tanh().mul(softcap) : scores)
    // [N, kvHeads, group, 1, D], or [N, kvHeads, 1, group, D]: the heads that share keys are rows of one matrix
    const split = group <= oneByOne ? [group, 1] : [1, group]
    const queries = q.mul(scale).reshape([N, kvHeads, ...split, headDim])
    const mask = input(maskName(window), [N, 1, 1, 1, 'S'])
    const past = capped(queries.matmul(cached('keys'), { transB: true })).add(mask)
    const last = capped(queries.matmul(own(k), { transB: true }))
    const probs = concat([past, last], 4).softmax()
    const mixed = probs.slice(4, 0, 'S').matmul(cached('values'))
    return mixed.add(probs.slice(4, 'S', '1+S').mul(own(v))).reshape([N, heads * headDim])
  }

/** More heads than these that share keys are faster as one matrix. */
const oneByOne = 4

/** The mask of rows of these lengths, row-major [N, 1, 1, 1, S]; the new token stands at position `length`. */
export const cachedMask = (lengths: readonly number[], S: number, window = Number.POSITIVE_INFINITY): Float32Array => {
  const mask = new Float32Array(lengths.length * S).fill(hidden)
  lengths.forEach((length, row) => {
    mask.fill(0, row * S + Math.max(0, length + 1 - window), row * S + length)
  })
  return mask
}
