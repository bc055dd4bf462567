/**
 * Attention by relative position, as in DeBERTa (He et al. 2021, arXiv 2006.03654): besides the keys, a query meets a table with
 * a row for each distance, and so does each key.
 *
 * Which row that is depends on i - j alone. So tokens are multiplied with the rows of all distances, and each line of the product
 * is then moved by one place more than the line before: a slice and a reshape, where a gather would need an index for each pair.
 */
import { addDims, type Dim, mulDims, subDims } from '../tensor/dim.ts'
import { input, type Tensor } from '../tensor/tensor.ts'

/** Tables [R, heads*D], which queries meet as if they were keys, and keys as if they were queries. */
export type RelativeTables = { keys?: Tensor; queries?: Tensor }

/** Names of the blocks' inputs [2T]: the table's row for the distances T-1 down to 1-T, and for 1-T up to T-1; one is unused. */
export const distanceNames = { falling: 'distancesFalling', rising: 'distancesRising' } as const

/** x [B, heads, T, D] by the rows of a table -> [B, heads, T, T]: at (a, b) the product of x_a and row T-1-a+b of `rows`. */
const byDistance = (x: Tensor, table: Tensor, rows: Tensor): Tensor => {
  const [B, heads, T, D] = x.shape
  const W = mulDims(2, T)
  const wide = table.gather(rows).reshape([W, heads, D]).transpose([1, 0, 2]).reshape([1, heads, W, D])
  const line = subDims(W, 1)
  const first = subDims(T, 1)
  // In lines that are one place shorter, each begins one place earlier than the one before
  return x
    .matmul(wide, { transB: true })
    .reshape([B, heads, mulDims(T, W)])
    .slice(2, first, addDims(first, mulDims(T, line)))
    .reshape([B, heads, T, line])
    .slice(3, 0, T)
}

/** What is added to the scores of attention [B, heads, T, T] of queries and keys [B, heads, T, D]; queries and tables are scaled. */
export const relativeScores = (q: Tensor, k: Tensor, { keys, queries }: RelativeTables): Tensor | undefined => {
  const rows = (name: string) => input(name, [mulDims(2, q.shape[2] as Dim)], 'i64')
  const byKeys = keys && byDistance(q, keys, rows(distanceNames.falling))
  const byQueries = queries && byDistance(k, queries, rows(distanceNames.rising)).transpose([0, 1, 3, 2])
  return byKeys && byQueries ? byKeys.add(byQueries) : (byKeys ?? byQueries)
}

export type Buckets = {
  /** Distances of at most half as much have a row each, longer ones share rows by their logarithm; none: every distance has one. */
  buckets?: number
  /** The longest distance that has a row of its own. */
  longest: number
}

/** The bucket of a distance: itself where it is short, else by its logarithm, with its sign. */
export const bucketOf = (distance: number, { buckets, longest }: Buckets): number => {
  const half = buckets === undefined ? longest : Math.floor(buckets / 2)
  const size = Math.abs(distance)
  if (buckets === undefined || size <= half) return distance
  const share = Math.log(Math.fround(size / half)) / Math.log(Math.fround((longest - 1) / half))
  return Math.sign(distance) * (Math.ceil(Math.fround(share * (half - 1))) + half)
}

/** Half the rows of the table. */
export const spanOf = ({ buckets, longest }: Buckets): number => buckets ?? longest

/** [2T] rows of the table for the distances T-1, T-2, ... 1-T; the last is unused. */
export const distanceRows = (T: number, buckets: Buckets): number[] => {
  const span = spanOf(buckets)
  return Array.from({ length: 2 * T }, (_, n) =>
    Math.min(2 * span - 1, Math.max(0, bucketOf(T - 1 - n, buckets) + span)),
  )
}
