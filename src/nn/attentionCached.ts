/**
 * Attention of one new token a row on what the row has cached. Peculiar: the token's own key and value are not in the
 * cache yet; their score stands beside the others in one softmax, so the cache is written after the block has run.
 */
import { concat, input, type Tensor } from '../tensor/tensor.ts'
import { type Attend, hidden, maskName } from './attention.ts'

/**
 * q [N, heads*D], k and v [N, kvHeads*D] of N rows. Inputs: `keys L` and `values L` of layer L, [N, kvHeads, S, D], and
 * the mask of its window [N, 1, 1, S], 0 where the row sees the place.
 */
export const attendCached =
  (layer: number): Attend =>
  (q, k, v, { heads, kvHeads, headDim, scale, window, softcap }) => {
    const [N] = q.shape
    const cached = (name: string) => input(`${name} ${layer}`, [N, kvHeads, 'S', headDim])
    const split = (x: Tensor, n: number) => x.reshape([N, kvHeads, n, headDim])
    const capped = (scores: Tensor) => (softcap ? scores.div(softcap).tanh().mul(softcap) : scores)
    // the heads that share keys are rows of one matrix
    const queries = split(q.mul(scale), heads / kvHeads)
    const past = capped(queries.matmul(cached('keys'), { transB: true })).add(input(maskName(window), [N, 1, 1, 'S']))
    const own = capped(queries.matmul(split(k, 1), { transB: true }))
    const probs = concat([past, own], 3).softmax()
    const mixed = probs.slice(3, 0, 'S').matmul(cached('values'))
    const last = probs.slice(3, 'S', '1+S').mul(split(v, 1))
    return mixed.add(last).reshape([N, heads * headDim])
  }

/** The mask of rows of these lengths, row-major [N, 1, 1, S]; the new token stands at position `length`. */
export const cachedMask = (lengths: readonly number[], S: number, window = Number.POSITIVE_INFINITY): Float32Array => {
  const mask = new Float32Array(lengths.length * S).fill(hidden)
  lengths.forEach((length, row) => {
    mask.fill(0, row * S + Math.max(0, length + 1 - window), row * S + length)
  })
  return mask
}
