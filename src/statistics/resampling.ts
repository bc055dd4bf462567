/**
 * Statistics of paired measurements: what is measured on the same prompts is compared on the same prompts. Peculiar: the
 * unit is a prompt, never an answer, for answers to one prompt are not independent; and resamples are counted, not drawn,
 * so that the same measurements give the same intervals and the same p.
 */
import { philox, rng } from '../util/rng.ts'
import type { Interval } from './intervals.ts'
import { sum } from './summary.ts'

/** Keep the random numbers of two purposes apart. */
const DRAW = 0x64726177
const FLIP = 0x666c6970

/** What is drawn for any statistic of `size` prompts: one set serves all, so that intervals and tests go together. */
export type Draws = {
  /** Numbers of prompts, drawn with replacement. */
  resamples(size: number): readonly Uint32Array[]
  /** A bit for each prompt. */
  signs(size: number): readonly Uint32Array[]
}

export const makeDraws = (seed = 0, { resamples = 2000, signs = 9999 } = {}): Draws => {
  const rows = (size: number, k: number) => {
    const random = rng(seed, DRAW, k)
    return Uint32Array.from({ length: size }, (_, i) => Math.floor(random.uniform(i) * size))
  }
  const bits = (size: number, k: number) => {
    const words = new Uint32Array(4 * Math.ceil(size / 128))
    for (let at = 0; at < words.length; at += 4) words.set(philox(seed | 0, FLIP, [k, at, 0, 0]), at)
    return words
  }
  return { resamples: remembered(resamples, rows), signs: remembered(signs, bits) }
}

const remembered = (count: number, draw: (size: number, k: number) => Uint32Array) => {
  const known = new Map<number, Uint32Array[]>()
  return (size: number) => {
    if (!known.has(size))
      known.set(
        size,
        Array.from({ length: count }, (_, k) => draw(size, k)),
      )
    return known.get(size)!
  }
}

/** A statistic of the prompts with these numbers, each as often as it stands there. */
type Statistic = (rows: Uint32Array) => number

/**
 * The middle 95 % of a statistic over resampled prompts (the percentile bootstrap, Efron 1979), widened by
 * sqrt(n / (n - 1)), for resamples of few prompts vary too little (Hesterberg 2015). Infinite for fewer than two prompts;
 * resamples in which the statistic is not defined are left out.
 */
export const bootstrapInterval = (size: number, statistic: Statistic, draws: Draws): Interval => {
  const value = statistic(Uint32Array.from({ length: size }, (_, i) => i))
  if (size < 2) return { value, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY }
  const values = draws.resamples(size).map(statistic).filter(Number.isFinite)
  values.sort((a, b) => a - b)
  const widen = Math.sqrt(size / (size - 1))
  const at = (q: number) => value + widen * (quantile(values, q) - value)
  return { value, low: at(0.025), high: at(0.975) }
}

/** Of sorted values, between neighbours in proportion; NaN of none. */
export const quantile = (sorted: readonly number[], q: number): number => {
  if (!sorted.length) return Number.NaN
  const place = q * (sorted.length - 1)
  const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]]
  return low + (high - low) * (place - Math.floor(place))
}

/** The values of some prompts. */
export const picked = (values: readonly number[], rows: Iterable<number>): number[] =>
  Array.from(rows, (i) => values[i])

/** The mean of values over resampled prompts. */
export const meanOver =
  (values: readonly number[]): Statistic =>
  (rows) => {
    let sum = 0
    for (const row of rows) sum += values[row]
    return sum / rows.length
  }

/** The mean of values with its interval over prompts. */
export const meanInterval = (values: readonly number[], draws: Draws): Interval =>
  bootstrapInterval(values.length, meanOver(values), draws)

/** Sums that differ by rounding alone are equal. */
const rounding = 1e-9

/**
 * The two-sided paired permutation test (Fisher 1935): if the two policies were one, each prompt's difference could as
 * well have had the other sign. It holds for any distribution of the differences, however heavy its tails.
 * @param differences of each prompt, in any unit
 * @returns p: exact by all signs where there are no more of these than of drawn ones
 */
export const signFlipTest = (differences: readonly number[], draws: Draws): number => {
  const moved = differences.filter((x) => x !== 0)
  const sizes = Float64Array.from(moved, Math.abs)
  const least = Math.abs(sum(moved)) - rounding * sum(moved.map(Math.abs))
  const drawn = draws.signs(differences.length)
  const exact = 2 ** moved.length <= drawn.length + 1
  const all = exact ? Array.from({ length: 2 ** moved.length }, (_, k) => Uint32Array.of(k)) : drawn
  const found = all.filter((signs) => Math.abs(flippedSum(sizes, signs)) >= least).length
  // What was seen is one of the ways that drawn signs could have fallen
  return exact ? found / all.length : (found + 1) / (all.length + 1)
}

/** Each size with the sign that its bit gives. */
const flippedSum = (sizes: Float64Array, signs: Uint32Array): number => {
  let sum = 0
  for (let i = 0; i < sizes.length; i++) sum += (signs[i >>> 5] >>> (i & 31)) & 1 ? sizes[i] : -sizes[i]
  return sum
}

/**
 * Holm's step-down correction (1979): the chance that any of these tests finds a difference where there is none stays at
 * the level of one. @returns p of each, corrected, in their order
 */
export const holm = (ps: readonly number[]): number[] => {
  const order = ps.map((_, i) => i).sort((a, b) => ps[a] - ps[b])
  const corrected = ps.slice()
  let least = 0
  order.forEach((i, k) => {
    least = Math.max(least, Math.min(1, (ps.length - k) * ps[i]))
    corrected[i] = least
  })
  return corrected
}
