/**
 * The gated delta rule (Yang et al. 2025, "Gated Delta Networks", arXiv 2412.06464): attention whose memory is one matrix S [keys,
 * values] a head, however long the text. Each token lets S decay, replaces a part of what S holds under its key, and reads S:
 *
 *     S = exp(g) S,   S = S + k beta (v - k' S),   o = S' q
 *
 * A text is computed in chunks (section 3.3 there): within a chunk by matrix products, from chunk to chunk by a recurrence of S. A
 * step of decoding is a chunk of one token. Texts stand one beside the other, padded with tokens that change nothing; a prompt is
 * computed again for each of its responses.
 */
import { group } from 'd3-array'
import { addDims, type Dim, mulDims, subDims } from '../tensor/dim.ts'
import { concat, input, iota, scalar, type Tensor, zeros } from '../tensor/tensor.ts'
import { hidden } from './attention.ts'
import type { Tokens } from './recent.ts'

/** `valueHeads` is a multiple of `keyHeads`: each key head serves so many value heads, which stand side by side. */
export type DeltaSizes = { keyHeads: number; valueHeads: number; keyDim: number; valueDim: number }

/** Queries and keys [N, keyHeads*keyDim], values [N, valueHeads*valueDim], g (not above 0) and beta [N, valueHeads]. */
export type DeltaTokens = Record<'q' | 'k' | 'v' | 'g' | 'beta', Tensor>

/** -> o [N, valueHeads*valueDim]. Training and decoding have one each. */
export type DeltaRule = (tokens: DeltaTokens, sizes: DeltaSizes) => Tensor

/** Tokens of a chunk at most. */
export const deltaChunk = 64

export const stateName = (layer: number) => `state ${layer}`
export const madeStateName = (layer: number) => `made state ${layer}`

/** Inputs: the token at each place of the chunks, counted from 1, 0 where there is none; and the place of each token. */
export const chunkNames = { tokens: 'chunk tokens', places: 'chunk places' }

const [chunks, texts, length] = ['chunks', 'texts', 'within']

/** What a row keeps of its text: a matrix a head. */
export const stateShape = ({ valueHeads, keyDim, valueDim }: DeltaSizes) => [valueHeads, keyDim, valueDim]

/** Whole texts. */
export const deltaRagged: DeltaRule = (tokens, sizes) => {
  const [heads, keyDim, valueDim] = stateShape(sizes)
  return overChunks(tokens, sizes, zeros([mulDims(texts, heads), keyDim, valueDim])).o
}

/**
 * The same for new tokens of cached rows. Input: `state L` of layer L, [rows, heads, keys, values].
 * @returns also the state of each row afterwards
 */
export const deltaCached = (layer: number, tokens: DeltaTokens, sizes: DeltaSizes) => {
  const shape = [texts, ...stateShape(sizes)]
  const before = input(stateName(layer), shape).reshape([mulDims(texts, shape[1]), ...shape.slice(2)])
  const { o, state } = overChunks(tokens, sizes, before)
  return { o, state: state.reshape(shape) }
}

/** @param before states [texts*heads, keys, values] */
const overChunks = ({ q, k, v, g, beta }: DeltaTokens, sizes: DeltaSizes, before: Tensor) => {
  const { keyHeads, valueHeads, keyDim, valueDim } = sizes
  const N = q.shape[0]
  const P = mulDims(texts, valueHeads)
  const spread = spreadOut(concat([q, k, v, g, beta], 1))
  const [Q, K] = [spread(keyHeads, keyDim), spread(keyHeads, keyDim)].map((x) => repeatHeads(x, sizes))
  const [V, G, B] = [spread(valueHeads, valueDim), spread(valueHeads, 1), spread(valueHeads, 1)].map((x) =>
    x.reshape([chunks, P, length, x.shape[4]]),
  )
  const { earlier, upTo } = order()
  // [chunks, P, l, 1]: g of a chunk's tokens up to each, and [chunks, P, l, l] from one token to a later one
  const sums = upTo.where(1, 0).matmul(G)
  const total = sums.slice(2, subDims(length, 1), length)
  const between = upTo.where(sums.sub(sums.reshape([chunks, P, 1, length])), hidden).exp()
  const weighted = K.mul(B)
  const A = earlier.where(weighted.matmul(K, { transB: true }).mul(between), 0)
  const solved = inverse(A)
  const values = solved.matmul(V.mul(B))
  const keys = solved.matmul(weighted.mul(sums.exp()))
  const written = K.mul(total.sub(sums).exp())
  const start = before.reshape([1, P, keyDim, valueDim])
  const updates = concat([start, written.matmul(values, { transA: true })], 0)
  const states = updates.deltaScan(total.exp(), written, keys)
  const read = states.slice(0, 0, chunks)
  const own = Q.matmul(K, { transB: true })
    .mul(between)
    .matmul(values.sub(keys.matmul(read)))
  const o = Q.mul(sums.exp()).matmul(read).add(own)
  const collected = o
    .reshape([chunks, texts, valueHeads, length, valueDim])
    .transpose([0, 1, 3, 2, 4])
    .reshape([[chunks, texts, length].reduce(mulDims, 1 as Dim), valueHeads * valueDim])
    .gather(input(chunkNames.places, [N], 'i64'))
  return { o: collected, state: states.slice(0, chunks, addDims(chunks, 1)) }
}

/** Spreads tokens [N, width] to places, and takes their columns from left to right: [chunks, texts, heads, l, D] each time. */
const spreadOut = (x: Tensor) => {
  const placed = x.pad(0, 1, 0).gather(input(chunkNames.tokens, [chunks, texts, length], 'i64'))
  let start = 0
  return (heads: number, D: number): Tensor => {
    const end = start + heads * D
    const part = placed.slice(3, start, end).reshape([chunks, texts, length, heads, D])
    start = end
    return part.transpose([0, 1, 3, 2, 4])
  }
}

/** [chunks, texts, keyHeads, l, D] -> [chunks, texts*valueHeads, l, D] */
const repeatHeads = (x: Tensor, { keyHeads, valueHeads }: DeltaSizes): Tensor => {
  const D = x.shape[4]
  return x
    .reshape([chunks, texts, keyHeads, 1, length, D])
    .broadcastTo([chunks, texts, keyHeads, valueHeads / keyHeads, length, D])
    .reshape([chunks, mulDims(texts, valueHeads), length, D])
}

const places = () => [iota(length).reshape([length, 1]), iota(length).reshape([1, length])]

/** [l, l]: where the column comes before the row, and where it does or is the same. */
const order = () => {
  const [row, column] = places()
  return { earlier: column.lt(row), upTo: column.le(row) }
}

/**
 * (I + A)^-1 of strictly lower triangular A [..., l, l]. Of a matrix in blocks ((X, 0), (C, Y)) the inverse is
 * ((X^-1, 0), (-Y^-1 C X^-1, Y^-1)), so from the inverses of blocks of 1, 2, 4, ... follow those of blocks twice as large, all at
 * once. The product of (I + (-A)^(2^i)) needs as few steps, but its powers of A can be so large that nothing is left of the result.
 */
const inverse = (A: Tensor): Tensor => {
  const [row, column] = places()
  const i64 = (value: number) => scalar(value, 'i64')
  let inverted = row.eq(column).where(1, 0)
  for (let size = 1; size < deltaChunk; size *= 2) {
    const [below, left] = [row.div(i64(size)), column.div(i64(size))]
    const joins = below.eq(left.add(i64(1))).and(left.mod(i64(2)).eq(i64(0)))
    const C = joins.where(A, 0)
    inverted = inverted.sub(size === 1 ? C : inverted.matmul(C).matmul(inverted))
  }
  const found = inverted
  return found.withGrad([A], (dy) => [found.matmul(dy, { transA: true }).matmul(found, { transB: true }).neg()])
}

/** The tokens of each text of a batch: a prompt with one of its responses, or alone. */
export const textsOf = ({ T, places, groups, segments }: Tokens): number[][] => {
  const tokens = Array.from(places, (_, n) => n)
  const byGroup = group(tokens, (n) => `${Math.floor(places[n] / T)} ${groups[n]}`)
  return [...byGroup.values()].flatMap((own) => {
    const { 0: prompt = [], ...responses } = Object.fromEntries(group(own, (n) => segments[n]))
    const each = Object.values(responses)
    return each.length ? each.map((response) => [...prompt, ...response]) : [prompt]
  })
}

/**
 * The inputs of `chunkNames`, for texts of which each is a list of tokens.
 * @param longest tokens of a chunk
 */
export const chunkPlaces = (ofTexts: readonly (readonly number[])[], longest: number) => {
  const count = Math.ceil(Math.max(...ofTexts.map((text) => text.length)) / longest)
  const shape = [count, ofTexts.length, longest]
  const tokens = new BigInt64Array(count * ofTexts.length * longest)
  const placesOf: bigint[] = []
  for (const [x, text] of ofTexts.entries())
    for (const [t, token] of text.entries()) {
      const place = (Math.floor(t / longest) * ofTexts.length + x) * longest + (t % longest)
      tokens[place] = BigInt(token + 1)
      placesOf[token] = BigInt(place)
    }
  return { tokens, shape, places: BigInt64Array.from(placesOf) }
}
