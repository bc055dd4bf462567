/** Quantiles: of measured values, of the normal distribution and of Student's t. */
import jstat from 'jstat'
import { quantileSorted } from 'simple-statistics'

/**
 * The q-quantile of values in ascending order, linear between neighbours (type 7 of Hyndman and Fan 1996, the default of
 * numpy and R). NaN of no values.
 */
export const quantile = (sorted: readonly number[], q: number): number =>
  sorted.length ? quantileSorted(sorted, q) : Number.NaN

/** The value that a standard normal variable is below with probability p, 0 < p < 1. */
export const normalQuantile = (p: number): number => jstat.normal.inv(p, 0, 1)

/** The value that a variable of Student's t distribution is below with probability p; right to 1e-6. */
export const studentTQuantile = (p: number, degreesOfFreedom: number): number => jstat.studentt.inv(p, degreesOfFreedom)
