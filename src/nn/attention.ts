/**
 * Attention over packed rows. Hidden states are [N, C], the N tokens of a batch without padding; only queries, keys
 * and values are spread to a grid [B, heads, T, D], by an index that also transposes.
 *
 * A mask made once a batch says which tokens a token attends to: earlier ones of the same group, in the prompt
 * (segment 0) or in the same response. So the K responses of a prompt share one pass over it.
 */
import { addDims, type Dim, mulDims, type Shape } from '../tensor/dim.ts'
import { concat, input, iota, scalar, type Tensor } from '../tensor/tensor.ts'
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
  /** gpt-oss: a score for each head [heads] of a place that holds nothing, which takes a share of the attention. */
  sinks?: Tensor
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

/**
 * The indices and masks of a batch that all layers share, fed to each block. An encoder has no windows.
 * @param parts of `attendRagged`
 */
export const layoutTensors = (
  layout: Layout,
  heads: number,
  kvHeads: number,
  windows: readonly (number | undefined)[] | 'encoder',
  parts = 1,
) => ({
  qTo: spreadIndex(layout.rows, heads),
  kvTo: spreadIndex(layout.rows, kvHeads),
  qBack: collectIndex(layout, heads),
  kvBack: collectIndex(layout, kvHeads),
  ...(windows === 'encoder'
    ? { [maskName(undefined)]: encoderMask(layout) }
    : Object.assign({}, ...windows.map((window) => maskParts(layout, window, parts)))),
})

/** The mask in parts: of part i the rows of its tokens, and the columns of all tokens up to its end. */
const maskParts = (layout: Layout, window: number | undefined, parts: number): Record<string, Tensor> => {
  const mask = attentionMask(layout, window)
  if (parts === 1) return { [maskName(window)]: mask }
  const columns = (i: number) => mask.slice(3, mulDims(i, 'S'), mulDims(i + 1, 'S')).slice(4, 0, mulDims(i + 1, 'S'))
  return Object.fromEntries(Array.from({ length: parts }, (_, i) => [maskName(window, i), columns(i)]))
}

export const maskName = (window: number | undefined, part?: number) =>
  `mask${window ?? ''}${part === undefined ? '' : ` ${part}`}`

/** Gathers rows by an index; the gradient gathers by the inverse index, which drops padding. */
const regather = (x: Tensor, to: Tensor, back: Tensor): Tensor => {
  const rows = to.shape.reduce(mulDims, 1)
  return x.gather(to).withGrad([x], (dy) => [dy.reshape([rows, x.shape[1]]).gather(back).reshape(x.shape)])
}

type Attended = ReturnType<typeof attention>

/**
 * With P = softmax(Q K'), O = P V:  dS = P (dO V' - rowsum(dO O)),  dQ = dS K,  dK = dS' Q,  dV = P' dO, and what is
 * added to the scores gets dS. The row sums are taken on O, [.., D] wide, where softmax's own rule would take them on P, [.., T] wide (Dao et al. 2022, eq. 4).
 * A sink with the share p, whose value is 0, gets -p rowsum(dO O).
 */
const attentionGrad =
  ({ Q, K, V, P, O, byDistance, column, sunk }: Attended) =>
  (dO: Tensor) => {
    const along = dO.mul(O).sum(-1, true)
    const dS = P.mul(dO.matmul(V, { transB: true }).sub(along))
    const products = [dS.matmul(K), dS.matmul(Q, { transA: true }), P.matmul(dO, { transA: true })]
    if (byDistance) products.push(dS)
    if (sunk) products.push(along.reshape(sunk.shape).mul(sunk).neg().reshape(column!.shape))
    return products
  }

/** Scores of sinks [heads] beside those of R queries, [B, kvHeads, group, R, 1]. */
export const sinkColumn = (sinks: Tensor, [B, kvHeads, group, R]: Shape): Tensor =>
  sinks.reshape([1, kvHeads, group, 1, 1]).broadcastTo([B, kvHeads, group, R, 1])

/** The softmax of scores [..., L] with a column [..., 1] beside them, and that column's share. */
export const softmaxBeside = (scores: Tensor, column: Tensor | undefined): { probs: Tensor; sunk?: Tensor } => {
  if (!column) return { probs: scores.softmax() }
  const L = scores.shape.at(-1)!
  const all = concat([scores, column], -1).softmax()
  return { probs: all.slice(-1, 0, L), sunk: all.slice(-1, L, addDims(L, 1)) }
}

/**
 * Full attention over spread rows, with the inputs of `layoutTensors`.
 * @param parts A token attends to none that comes later in its row. So rows of T tokens are computed in parts of S = T / parts
 *   queries, each with the keys up to its end only: with 4 parts 5/8 of the work. T must be a multiple of `parts`.
 */
export const attendRagged =
  (parts: number): Attend =>
  (q, k, v, options) => {
    const { heads, kvHeads, headDim, scale, sinks } = options
    const [N] = q.shape
    const T = parts === 1 ? 'T' : mulDims(parts, 'S')
    const index = (name: string, shape: readonly Dim[]) => input(name, shape, 'i64')
    const [qTo, kvTo] = [index('qTo', ['B', heads, T]), index('kvTo', ['B', kvHeads, T])]
    const [qBack, kvBack] = [index('qBack', [N, heads]), index('kvBack', [N, kvHeads])]
    const spread = (x: Tensor, n: number, to: Tensor, back: Tensor) =>
      regather(x.reshape([mulDims(N, n), headDim]), to, back)
    const queries = spread(q.mul(scale), heads, qTo, qBack)
    const [keys, values] = [k, v].map((x) => spread(x, kvHeads, kvTo, kvBack))
    // Spread as queries are, so that their gradient leaves padding out
    const column = sinks && regather(sinks.broadcastTo([N, heads]).reshape([mulDims(N, heads), 1]), qTo, qBack)
    const spreadOut = { queries, keys, values, column }
    const context = parts === 1 ? attendWhole(spreadOut, options) : attendParts(spreadOut, options, parts)
    const mixed = context.reshape([['B', heads, T].reduce(mulDims, 1) as Dim, headDim])
    return regather(mixed, qBack, qTo).reshape([N, heads * headDim])
  }

/**
 * Of queries [B, heads, R, D] and the keys and values [B, kvHeads, L, D] that they may see: their attention P, the result O,
 * both with the heads that share keys as one taller matrix [B, kvHeads, group*R, ..], and what the gradients need.
 */
const attention = (
  queries: Tensor,
  K: Tensor,
  V: Tensor,
  column: Tensor | undefined,
  mask: string,
  { kvHeads, heads, scale, softcap, relative }: AttentionOptions,
) => {
  const [B, , R, D] = queries.shape
  const L = K.shape[2]
  const group = heads / kvHeads
  const Q = queries.reshape([B, kvHeads, mulDims(group, R), D])
  const content = Q.matmul(K, { transB: true })
  const byDistance = relative && relativeScores(Q, K, { keys: relative.keys, queries: relative.queries?.mul(scale) })
  const scores = byDistance ? content.add(byDistance) : content
  const capped = softcap ? scores.div(softcap).tanh().mul(softcap) : scores
  const masked = capped.reshape([B, kvHeads, group, R, L]).add(input(mask, [B, 1, 1, R, L]))
  const { probs, sunk } = softmaxBeside(masked, column?.reshape([B, kvHeads, group, R, 1]))
  const P = probs.reshape([B, kvHeads, mulDims(group, R), L])
  return { Q, K, V, P, O: P.matmul(V), byDistance, column, sunk }
}

/** Queries [B, heads, T, D], keys and values [B, kvHeads, T, D], and the scores of sinks [B, heads, T, 1]. */
type SpreadOut = { queries: Tensor; keys: Tensor; values: Tensor; column: Tensor | undefined }

const attendWhole = ({ queries, keys, values, column }: SpreadOut, options: AttentionOptions): Tensor => {
  const attended = attention(queries, keys, values, column, maskName(options.window), options)
  const { Q, K, V, O, byDistance } = attended
  if (options.softcap) return O
  return O.withGrad(
    [Q, K, V, ...(byDistance ? [byDistance] : []), ...(column ? [column] : [])],
    attentionGrad(attended),
  )
}

/** [B, heads, parts*S, D] */
const attendParts = (
  { queries, keys, values, column }: SpreadOut,
  options: AttentionOptions,
  parts: number,
): Tensor => {
  const shape = ['B', options.heads, 'S', options.headDim]
  const rows = (x: Tensor, i: number) => x.slice(2, mulDims(i, 'S'), mulDims(i + 1, 'S'))
  const seen = (x: Tensor, i: number) => x.slice(2, 0, mulDims(i + 1, 'S'))
  const each = Array.from({ length: parts }, (_, i) =>
    attention(
      rows(queries, i),
      seen(keys, i),
      seen(values, i),
      column && rows(column, i),
      maskName(options.window, i),
      options,
    ),
  )
  const context = concat(
    each.map(({ O }) => O.reshape(shape)),
    2,
  )
  if (options.softcap) return context
  // The rule of slices would add arrays padded to the whole, for queries too
  return context.withGrad([queries, keys, values, ...(column ? [column] : [])], (dO) => {
    const gradients = each.map((attended, i) => attentionGrad(attended)(rows(dO, i).reshape(attended.Q.shape)))
    const padded = (x: Tensor, i: number) => (i === parts - 1 ? x : x.pad(2, 0, mulDims(parts - 1 - i, 'S')))
    const sum = (which: 1 | 2) => gradients.map((of, i) => padded(of[which], i)).reduce((a, b) => a.add(b))
    const joined = (xs: readonly Tensor[]) => concat(xs, 2)
    const dQ = joined(gradients.map(([dQ]) => dQ.reshape(shape)))
    return [dQ, sum(1), sum(2), ...(column ? [joined(gradients.map((of) => of[3]))] : [])]
  })
}
