/**
 * Attention of new tokens to the key-value cache and to each other, for whole prompts, chunks of them, or one token a
 * row.
 *
 * The new keys and values are not in the cache yet: their scores are concatenated with those of the cache before the
 * softmax, and the cache is written after the block has run. A few heads that share keys are multiplied one by one,
 * since ONNX Runtime has a faster kernel for products with one row, twice as fast on batches of many rows.
 */
import { type Dim, mulDims } from '../tensor/dim.ts'
import { concat, input, type Tensor } from '../tensor/tensor.ts'
import { type Attend, hidden, maskName, sinkColumn, softmaxBeside } from './attention.ts'

/**
 * q [N, heads*D], k and v [N, kvHeads*D] of N new tokens on a grid of B rows by T, indexed as in `layoutTensors`.
 * Inputs: `keys L` and `values L` of layer L, [B, kvHeads, 1, S, D], and the mask of its window [B, 1, 1, T, S+T], 0 where
 * a token attends to a position.
 */
export const attendCached =
  (layer: number): Attend =>
  (q, k, v, { heads, kvHeads, headDim, scale, window, softcap, sinks }) => {
    const [N] = q.shape
    const group = heads / kvHeads
    const index = (name: string, shape: readonly Dim[]) => input(name, shape, 'i64')
    const cached = (name: string) => input(`${name} ${layer}`, ['B', kvHeads, 1, 'S', headDim])
    const spread = (x: Tensor, n: number, to: Tensor) => x.reshape([mulDims(N, n), headDim]).gather(to)
    const own = (x: Tensor) =>
      spread(x, kvHeads, index('kvTo', ['B', kvHeads, 'T'])).reshape(['B', kvHeads, 1, 'T', headDim])
    // [B, kvHeads, group, T, D], or [B, kvHeads, 1, group*T, D]: the heads that share keys are rows of one matrix
    const split = group <= oneByOne ? [group, 'T'] : [1, mulDims(group, 'T')]
    // Scaled before the gather, so that ONNX Runtime does not fuse the factor into the product: its kernel for one row has none
    const scaled = spread(q.mul(scale), heads, index('qTo', ['B', heads, 'T']))
    const queries = scaled.reshape(['B', kvHeads, ...split, headDim])
    const past = queries.matmul(cached('keys'), { transB: true })
    const scores = concat([past, queries.matmul(own(k), { transB: true })], 4)
    const capped = softcap ? scores.div(softcap).tanh().mul(softcap) : scores
    const mask = input(maskName(window), ['B', 1, 1, 'T', 'S+T'])
    const masked = capped.reshape(['B', kvHeads, group, 'T', 'S+T']).add(mask)
    const probs = softmaxBeside(masked, sinks && sinkColumn(sinks, masked.shape)).probs.reshape(scores.shape)
    const mixed = probs
      .slice(4, 0, 'S')
      .matmul(cached('values'))
      .add(probs.slice(4, 'S', 'S+T').matmul(own(v)))
    const rows = ['B', heads, 'T'].reduce(mulDims, 1) as Dim
    return mixed
      .reshape([rows, headDim])
      .gather(index('qBack', [N, heads]))
      .reshape([N, heads * headDim])
  }

/** Groups of more heads that share keys are faster as one matrix. */
const oneByOne = 4

/** The mask of one new token in each row, [N, 1, 1, 1, S+1]; its position is the row's length, its column the last. */
export const cachedMask = (lengths: readonly number[], S: number, window = Number.POSITIVE_INFINITY): Float32Array => {
  const mask = new Float32Array(lengths.length * (S + 1)).fill(hidden)
  lengths.forEach((length, row) => {
    const start = row * (S + 1)
    mask.fill(0, start + Math.max(0, length + 1 - window), start + length)
    mask[start + S] = 0
  })
  return mask
}
