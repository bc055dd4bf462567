/**
 * The bootstrap, the permutation test of paired differences, and Holm's correction. Written here and not taken from a
 * library for the random numbers: they are counter-based, so the same measurements and the same seed give the same
 * intervals and the same p on every machine.
 *
 * In a comparison the unit that is resampled is the prompt, never the completion: completions of one prompt are not
 * independent of each other. Where prompts come in clusters that are alike, such as questions of one kind, it is the cluster.
 */
import { philox, rng } from '../util/rng.ts'
import { type Interval, unbounded } from './intervals.ts'
import { quantile } from './quantiles.ts'
import { sum } from './summary.ts'

/** Separate random streams for the three purposes. */
const resampleStream = 0x64726177
const signStream = 0x666c6970
const groupStream = 0xb007

/**
 * Resamples and signs for any statistic of `size` prompts. All statistics of a comparison share them, so an interval and
 * a test never disagree by chance alone.
 */
export type Draws = {
  /** Indices of prompts, `size` of each resample, drawn with replacement. */
  resamples(size: number): readonly Uint32Array[]
  /** One bit for each prompt, 32 to a word. */
  signs(size: number): readonly Uint32Array[]
}

export const defaultResamples = 2000
export const defaultSigns = 9999

export const makeDraws = (seed = 0, { resamples = defaultResamples, signs = defaultSigns } = {}): Draws => {
  const indices = (size: number, k: number) => {
    const random = rng(seed, resampleStream, k)
    return Uint32Array.from({ length: size }, (_, i) => Math.floor(random.uniform(i) * size))
  }
  const bits = (size: number, k: number) => {
    const words = new Uint32Array(4 * Math.ceil(size / 128))
    for (let at = 0; at < words.length; at += 4) words.set(philox(seed | 0, signStream, [k, at, 0, 0]), at)
    return words
  }
  return { resamples: remembered(resamples, indices), signs: remembered(signs, bits) }
}

/** Draws `count` arrays the first time that a size is asked for, and keeps them. */
const remembered = (count: number, draw: (size: number, k: number) => Uint32Array) => {
  const known = new Map<number, Uint32Array[]>()
  return (size: number) => {
    let drawn = known.get(size)
    if (!drawn) {
      drawn = Array.from({ length: count }, (_, k) => draw(size, k))
      known.set(size, drawn)
    }
    return drawn
  }
}

/** A statistic of the prompts at these indices; an index that stands there twice counts twice. */
type Statistic = (rows: Uint32Array) => number

/** The 2.5 % and 97.5 % quantiles of a statistic's values over resamples; NaN of none. */
export const percentileInterval = (values: readonly number[]): { low: number; high: number } => {
  const sorted = values.toSorted((a, b) => a - b)
  return { low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) }
}

/** The cluster of each prompt, by name. Prompts of one cluster are drawn together; undefined where each stands for itself. */
export type Clusters = readonly string[] | undefined

/** The indices of the prompts of each cluster. */
const membersOf = (clusters: readonly string[]): number[][] => {
  const members = new Map<string, number[]>()
  clusters.forEach((cluster, i) => {
    members.set(cluster, [...(members.get(cluster) ?? []), i])
  })
  return [...members.values()]
}

/**
 * The percentile bootstrap (Efron 1979) over prompts, or over clusters of them, widened by sqrt(n / (n - 1)) because
 * resamples of few vary too little (Hesterberg 2015). Infinite for fewer than two. Resamples in which the statistic is not
 * defined are left out.
 */
export const bootstrapInterval = (size: number, statistic: Statistic, draws: Draws, clusters?: Clusters): Interval => {
  const value = statistic(Uint32Array.from({ length: size }, (_, i) => i))
  const members = clusters && membersOf(clusters)
  const units = members?.length ?? size
  if (units < 2) return unbounded(value)
  const drawn = draws.resamples(units)
  const rows = members ? drawn.map((draw) => Uint32Array.from(Array.from(draw, (k) => members[k]).flat())) : drawn
  const { low, high } = percentileInterval(rows.map(statistic).filter(Number.isFinite))
  const widened = (end: number) => value + Math.sqrt(units / (units - 1)) * (end - value)
  return { value, low: widened(low), high: widened(high) }
}

/** Draws as many items as there are, with replacement. */
export type Resample = <T>(items: readonly T[]) => T[]

/**
 * A statistic of several groups, each resampled by itself (the stratified bootstrap).
 * @param statistic gets `resample`, and calls it once for each group, in the same order every time
 * @returns what the statistic gave for each of `count` resamples
 */
export const bootstrapGroups = <R>(count: number, statistic: (resample: Resample) => R, seed = 0): R[] =>
  Array.from({ length: count }, (_, k) => {
    const random = rng(seed, groupStream, k)
    let at = 0
    return statistic((items) => {
      at += items.length
      return items.map((_, i) => items[Math.floor(random.uniform(at + i) * items.length)])
    })
  })

/** The values at these indices. */
export const picked = <T>(values: readonly T[], rows: Iterable<number>): T[] => Array.from(rows, (i) => values[i])

/** The mean of values over resampled prompts. */
export const meanOver =
  (values: readonly number[]): Statistic =>
  (rows) => {
    let total = 0
    for (const row of rows) total += values[row]
    return total / rows.length
  }

/** The mean of values, one for each prompt, with its bootstrap interval. */
export const meanInterval = (values: readonly number[], draws: Draws, clusters?: Clusters): Interval =>
  bootstrapInterval(values.length, meanOver(values), draws, clusters)

/** Sums that differ by less than this part of their terms differ by rounding alone, and count as equal. */
const rounding = 1e-9

/**
 * The two-sided permutation test of paired differences (Fisher 1935): if the two policies did not differ, each prompt's
 * difference could as well have had the other sign. It holds for any distribution of the differences, however heavy its
 * tails.
 * @param given differences, one for each prompt, in any unit; prompts of one cluster change their signs together
 * @returns p. All signs are counted where there are no more of them than drawn ones; then p is exact
 */
export const signFlipTest = (given: readonly number[], draws: Draws, clusters?: Clusters): number => {
  const differences = clusters ? membersOf(clusters).map((rows) => sum(picked(given, rows))) : given
  const nonzero = differences.filter((x) => x !== 0)
  const sizes = Float64Array.from(nonzero, Math.abs)
  const observed = Math.abs(sum(nonzero)) - rounding * sum(nonzero.map(Math.abs))
  const drawn = draws.signs(differences.length)
  const exact = 2 ** nonzero.length <= drawn.length + 1
  const all = exact ? Array.from({ length: 2 ** nonzero.length }, (_, k) => Uint32Array.of(k)) : drawn
  const asLarge = all.filter((signs) => Math.abs(signedSum(sizes, signs)) >= observed).length
  // The observed signs are one of the possible outcomes, so they count as one draw
  return exact ? asLarge / all.length : (asLarge + 1) / (all.length + 1)
}

/** The sum of the sizes, each with the sign that its bit gives. */
const signedSum = (sizes: Float64Array, signs: Uint32Array): number => {
  let total = 0
  for (let i = 0; i < sizes.length; i++) total += (signs[i >>> 5] >>> (i & 31)) & 1 ? sizes[i] : -sizes[i]
  return total
}

/**
 * Holm's step-down correction (1979) for several tests: the chance that any of them finds a difference where there is
 * none stays at the level of a single test.
 * @returns the corrected p of each test, in the order given
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
