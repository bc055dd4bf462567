/** Confidence intervals, all of 95 %: of a proportion (Wilson) and of a mean (normal, Student's t). */
import { normalQuantile, studentTQuantile } from './quantiles.ts'
import { mean, standardError } from './summary.ts'

export type Interval = { value: number; low: number; high: number }

/** A proportion with its confidence interval, all in [0, 1]. */
export type Share = { right: number; total: number; share: number; low: number; high: number }

/** An interval of 95 % ends at this quantile of its distribution, and at its mirror image. */
const upper = 0.975

/** The interval of which nothing is known but its value: of one measurement. */
export const unbounded = (value: number): Interval => ({
  value,
  low: Number.NEGATIVE_INFINITY,
  high: Number.POSITIVE_INFINITY,
})

/**
 * Wilson's score interval of a proportion, which keeps its level near 0 and 1 where the usual one does not (Wilson 1927;
 * Brown, Cai and DasGupta 2001).
 * @param right how many of `total`, which is at least 1
 */
export const wilson = (right: number, total: number): Share => {
  const z = normalQuantile(upper)
  const share = right / total
  const weight = z ** 2 / total
  const centre = (share + weight / 2) / (1 + weight)
  const half = (z * Math.sqrt((share * (1 - share)) / total + weight / (4 * total))) / (1 + weight)
  return { right, total, share, low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}

const around = (value: number, half: number): Interval => ({ value, low: value - half, high: value + half })

/** The mean of many measurements with its interval by the normal distribution; no width for a single one. */
export const normalInterval = (values: readonly number[]): Interval =>
  around(mean(values), values.length < 2 ? 0 : normalQuantile(upper) * standardError(values))

/** The mean of few measurements with its interval by Student's t; infinite for a single one. */
export const tInterval = (values: readonly number[]): Interval =>
  values.length < 2
    ? unbounded(mean(values))
    : around(mean(values), studentTQuantile(upper, values.length - 1) * standardError(values))
