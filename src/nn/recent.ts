/**
 * What a token reads of those before it in its own text, for short convolutions. Tokens of a batch stand in a list without
 * padding, and a response follows its prompt wherever that stands. So an index made once a batch says for each token which row
 * is 1, 2, ... places before it; row 0 is of zeros, and stands where a text begins.
 */
import { type Dim, mulDims } from '../tensor/dim.ts'
import { concat, input, type Tensor } from '../tensor/tensor.ts'
import type { Scope } from './scope.ts'

export const earlierName = (places: number) => `earlier ${places}`
export const recentName = (layer: number) => `recent ${layer}`
export const keptName = (layer: number) => `kept ${layer}`
export const latestName = (count: number) => `latest ${count}`

const index = (name: string, shape: readonly Dim[]) => input(name, shape, 'i64')

/** Rows of `from` at each distance, the farthest first, then x itself. */
const withEarlier = (from: Tensor, x: Tensor, count: number): Tensor[] => [
  ...Array.from({ length: count }, (_, i) => from.gather(index(earlierName(count - i), [x.shape[0]]))),
  x,
]

export const recentRagged = (x: Tensor, count: number): Tensor[] => withEarlier(x.pad(0, 1, 0), x, count)

/**
 * The same for new tokens of cached rows. Input: `recent L` of layer L [rows, count, width], what each row kept.
 * @returns also what each row keeps afterwards, [rows, count, width]
 */
export const recentCached = (layer: number, x: Tensor, count: number): { xs: Tensor[]; kept: Tensor } => {
  const width = x.shape[1]
  const before = input(recentName(layer), ['rows', count, width]).reshape([mulDims('rows', count), width])
  const all = concat([before, x], 0).pad(0, 1, 0)
  return { xs: withEarlier(all, x, count), kept: all.gather(index(latestName(count), ['rows', count])) }
}

/** sum over k of x[t - K + 1 + k] w[c, k] (+ bias), of each channel c; w [C, 1, K] */
export const convolution = (p: Scope, name: string, xs: readonly Tensor[]): Tensor => {
  const w = p.get(`${name}.weight`)
  const [C, , K] = w.shape
  const columns = w.reshape([C, K])
  const products = xs.map((x, k) => x.mul(columns.slice(1, k, k + 1).reshape([C])))
  const sum = products.reduce((a, b) => a.add(b))
  return p.has(`${name}.bias`) ? sum.add(p.get(`${name}.bias`)) : sum
}

/** Groups are numbered within a row of the grid, which has T places. */
export type Tokens = { T: number } & Record<'positions' | 'places' | 'groups' | 'segments', ArrayLike<number>>

/** Of each token of a batch the one at this distance before it, counted from 1; 0 where its text begins. */
export const earlierRows = ({ T, positions, places, groups, segments }: Tokens, distance: number): number[] => {
  const key = (n: number, segment: number, position: number) =>
    `${Math.floor(places[n] / T)} ${groups[n]} ${segment} ${position}`
  const at = new Map(Array.from(positions, (position, n) => [key(n, segments[n], position), n + 1]))
  return Array.from(
    positions,
    (position, n) => at.get(key(n, segments[n], position - distance)) ?? at.get(key(n, 0, position - distance)) ?? 0,
  )
}

/**
 * The indices of `recentCached`, for rows of so many new tokens each, one after the other.
 * Rows before them: zeros, then the `count` that each row kept.
 */
export const cachedRows = (lengths: readonly number[], count: number) => {
  const first = 1 + lengths.length * count
  const rowOf = (row: number, start: number, t: number) => (t < 0 ? 1 + row * count + count + t : first + start + t)
  const earlier = Array.from({ length: count }, () => [] as number[])
  const latest: number[] = []
  let start = 0
  for (const [row, length] of lengths.entries()) {
    for (let t = 0; t < length; t++)
      for (let places = 1; places <= count; places++) earlier[places - 1].push(rowOf(row, start, t - places))
    for (let j = 0; j < count; j++) latest.push(rowOf(row, start, length - count + j))
    start += length
  }
  return { earlier, latest }
}
