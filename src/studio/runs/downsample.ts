/**
 * Fewer points of a curve than it has values, for a screen. Each bucket of the x axis keeps its least and its greatest value, so
 * that no peak is lost; first and last points stay. (LTTB keeps shapes but may drop a peak, so it is not used.)
 */
import { bisectLeft, bisectRight } from 'd3-array'

export type Points = { x: number[]; y: number[] }

/**
 * @param x ascending   @param y of the same length; what is not finite is left out
 * @param range the part of the x axis   @param most points of the result, about
 */
export const downsample = (
  x: Float64Array,
  y: Float64Array,
  [from, to]: readonly [number, number],
  most: number,
): Points & { of: number } => {
  const begin = bisectLeft(x, from)
  const end = bisectRight(x, to)
  const made: Points = { x: [], y: [] }
  const push = (i: number) => {
    made.x.push(x[i])
    made.y.push(y[i])
  }
  const of = end - begin
  if (of <= most) {
    for (let i = begin; i < end; i++) if (Number.isFinite(y[i])) push(i)
    return { ...made, of }
  }
  const buckets = Math.max(1, most >> 1)
  for (let bucket = 0; bucket < buckets; bucket++) {
    const first = begin + Math.floor((bucket * of) / buckets)
    const last = begin + Math.floor(((bucket + 1) * of) / buckets)
    let [low, high] = [-1, -1]
    for (let i = first; i < last; i++) {
      const value = y[i]
      if (!Number.isFinite(value)) continue
      if (low < 0 || value < y[low]) low = i
      if (high < 0 || value > y[high]) high = i
    }
    if (low < 0) continue
    // The ends of the curve stay where they are
    if (bucket === 0 && Math.min(low, high) > first && Number.isFinite(y[first])) push(first)
    push(Math.min(low, high))
    if (low !== high) push(Math.max(low, high))
    if (bucket === buckets - 1 && Math.max(low, high) < last - 1 && Number.isFinite(y[last - 1])) push(last - 1)
  }
  return { ...made, of }
}

/** The exponentially weighted mean at each value: it counts half as much as one `halfLife` values later. NaN is passed over. */
export const smoothed = (y: Float64Array, halfLife: number): Float64Array => {
  const keep = 0.5 ** (1 / halfLife)
  let [sum, weight] = [0, 0]
  return y.map((value) => {
    if (!Number.isFinite(value)) return Number.NaN
    sum = keep * sum + value
    weight = keep * weight + 1
    return sum / weight
  })
}

/** Rows in the order of x. Most logs are in order already. */
export const inOrder = (x: Float64Array, y: Float64Array): [Float64Array, Float64Array] => {
  let sorted = true
  for (let i = 1; sorted && i < x.length; i++) sorted = x[i - 1] <= x[i]
  if (sorted) return [x, y]
  const order = Array.from(x.keys())
    .filter((i) => !Number.isNaN(x[i]))
    .sort((a, b) => x[a] - x[b])
  return [Float64Array.from(order, (i) => x[i]), Float64Array.from(order, (i) => y[i])]
}
