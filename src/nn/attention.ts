/**
 * Attention over packed rows. Hidden states are [N, C], the N tokens of a batch without padding; only queries, keys
 * and values are spread to a grid [B, heads, T, D], by an index that also transposes.
 *
 * A mask made once a batch says which tokens a token attends to: earlier ones of the same group, in the prompt
 * (segment 0) or in the same response. So the K responses of a prompt share one pass over it.
 */
import { type Dim, mulDims } from '../tensor/dim.ts'
import { input, iota, scalar, type Tensor } from '../tensor/tensor.ts'
import { type RelativeTables, relativeScores } from './relative.ts'

export type AttentionOptions = {
  heads: number
  kvHeads: number
  headDim: number
  scale: number
  /** Only the last `window` positions are seen, the token itself included. */
  window?: number
  /** Gemma 2: a score s becomes cap * tanh(s / cap). */
  softcap?: number
  /** DeBERTa: tables of relative positions, for as many heads of keys as of queries. The scale holds for them too. */
  relative?: RelativeTables
}

/** Queries [N, heads*D], keys and values [N, kvHeads*D] -> [N, heads*D]. Training and decoding have one each. */
export type Attend = (q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions) => Tensor

/** Where tokens are on the grid, and which of them they attend to; i64. */
export type Layout = {
  /** [B, T]: index of the token at each place of the grid; any valid index where there is none. */
  rows: Tensor
  /** [N]: place b*T + t of each token. */
  places: Tensor
  /** [B, T]: the group (prompt) at a place, -1 where there is none. */
  groups: Tensor
  /** [B, T]: 0 in a prompt, 1.. in its responses. */
  segments: Tensor
  /** [N]: position of each token in its own text. */
  positions: Tensor
}

const i64 = (value: number) => scalar(value, 'i64')

const sizeValue = (size: Dim): Tensor => (typeof size === 'number' ? i64(size) : iota(size).amax(0).add(i64(1)))

/** [B, heads, T]: rows of the [N*heads, D] view, by which a gather spreads tokens to places. */
export const spreadIndex = (rows: Tensor, heads: number): Tensor => {
  const [B, T] = rows.shape
  return rows
    .reshape([B, 1, T])
    .mul(i64(heads))
    .add(iota(heads).reshape([heads, 1]))
}

/** [N, heads]: rows of the [B*heads*T, D] view, by which a gather takes tokens from places. */
export const collectIndex = ({ rows, places }: Layout, heads: number): Tensor => {
  const T = sizeValue(rows.shape[1])
  const t = places.mod(T)
  const b = places.sub(t).div(T)
  const n = places.shape[0]
  return b
    .mul(i64(heads))
    .reshape([n, 1])
    .add(iota(heads))
    .mul(T)
    .add(t.reshape([n, 1]))
}

/** Mask value of what is not attended to. Finite, so that a fully masked row could not give NaN. */
export const hidden = -1e30

/** [B, 1, 1, T, T]: 0 where the later token attends to the earlier one. */
export const attentionMask = ({ rows, groups, segments, positions }: Layout, window?: number): Tensor => {
  const [B, T] = rows.shape
  const later = (x: Tensor) => x.reshape([B, T, 1])
  const earlier = (x: Tensor) => x.reshape([B, 1, T])
  const order = iota(T)
  const sameText = later(segments)
    .eq(earlier(segments))
    .or(earlier(segments).eq(i64(0)))
  const seen = order
    .reshape([1, T])
    .le(order.reshape([T, 1]))
    .and(later(groups).eq(earlier(groups)))
    .and(sameText)
  const at = positions.gather(rows)
  const near = window === undefined ? seen : seen.and(later(at).sub(earlier(at)).lt(i64(window)))
  return near.where(0, hidden).reshape([B, 1, 1, T, T])
}

/** [B, 1, 1, T, T]: 0 where two tokens are of one text. An encoder's tokens attend to later ones too. */
const encoderMask = ({ groups }: Layout): Tensor => {
  const [B, T] = groups.shape
  const same = groups.reshape([B, T, 1]).eq(groups.reshape([B, 1, T]))
  return same.where(0, hidden).reshape([B, 1, 1, T, T])
}

/** The indices and masks of a batch that all layers share, fed to each block. An encoder has no windows. */
export const layoutTensors = (
  layout: Layout,
  heads: number,
  kvHeads: number,
  windows: readonly (number | undefined)[] | 'encoder',
) => ({
  qTo: spreadIndex(layout.rows, heads),
  kvTo: spreadIndex(layout.rows, kvHeads),
  qBack: collectIndex(layout, heads),
  kvBack: collectIndex(layout, kvHeads),
  ...(windows === 'encoder'
    ? { [maskName(undefined)]: encoderMask(layout) }
    : Object.fromEntries(windows.map((window) => [maskName(window), attentionMask(layout, window)]))),
})

export const maskName = (window: number | undefined) => `mask${window ?? ''}`

/** Gathers rows by an index; the gradient gathers by the inverse index, which drops padding. */
const regather = (x: Tensor, to: Tensor, back: Tensor): Tensor => {
  const rows = to.shape.reduce(mulDims, 1)
  return x.gather(to).withGrad([x], (dy) => [dy.reshape([rows, x.shape[1]]).gather(back).reshape(x.shape)])
}

/**
 * With P = softmax(Q K'), O = P V:  dS = P (dO V' - rowsum(dO O)),  dQ = dS K,  dK = dS' Q,  dV = P' dO, and what is
 * added to the scores gets dS. The row sums are taken on O, [.., D] wide, where softmax's own rule would take them on P, [.., T] wide (Dao et al. 2022, eq. 4).
 */
const attentionGrad = (Q: Tensor, K: Tensor, V: Tensor, P: Tensor, O: Tensor, added: boolean) => (dO: Tensor) => {
  const dS = P.mul(dO.matmul(V, { transB: true }).sub(dO.mul(O).sum(-1, true)))
  const products = [dS.matmul(K), dS.matmul(Q, { transA: true }), P.matmul(dO, { transA: true })]
  return added ? [...products, dS] : products
}

/** Full attention over spread rows, with the inputs of `layoutTensors`. */
export const attendRagged: Attend = (q, k, v, { heads, kvHeads, headDim, scale, window, softcap, relative }) => {
  const [N] = q.shape
  const index = (name: string, shape: readonly Dim[]) => input(name, shape, 'i64')
  const [qTo, kvTo] = [index('qTo', ['B', heads, 'T']), index('kvTo', ['B', kvHeads, 'T'])]
  const [qBack, kvBack] = [index('qBack', [N, heads]), index('kvBack', [N, kvHeads])]
  const group = heads / kvHeads
  const spread = (x: Tensor, n: number, to: Tensor, back: Tensor) =>
    regather(x.reshape([mulDims(N, n), headDim]), to, back)
  // [B, kv, group*T, D] x [B, kv, T, D]: the heads that share keys are one taller matrix
  const tall = ['B', kvHeads, mulDims(group, 'T'), headDim]
  const queries = spread(q.mul(scale), heads, qTo, qBack).reshape(tall)
  const [keys, values] = [k, v].map((x) => spread(x, kvHeads, kvTo, kvBack))
  const content = queries.matmul(keys, { transB: true })
  const byDistance =
    relative && relativeScores(queries, keys, { keys: relative.keys, queries: relative.queries?.mul(scale) })
  const scores = byDistance ? content.add(byDistance) : content
  const capped = softcap ? scores.div(softcap).tanh().mul(softcap) : scores
  const masked = capped.reshape(['B', kvHeads, group, 'T', 'T']).add(input(maskName(window), ['B', 1, 1, 'T', 'T']))
  const probs = masked.softmax().reshape(['B', kvHeads, mulDims(group, 'T'), 'T'])
  const plain = probs.matmul(values)
  const context = softcap
    ? plain
    : plain.withGrad(
        [queries, keys, values, ...(byDistance ? [byDistance] : [])],
        attentionGrad(queries, keys, values, probs, plain, byDistance !== undefined),
      )
  const mixed = context.reshape([['B', heads, 'T'].reduce(mulDims, 1) as Dim, headDim])
  return regather(mixed, qBack, qTo).reshape([N, heads * headDim])
}
