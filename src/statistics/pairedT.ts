/** Student's t for paired differences: whether their mean is 0, and which difference a study would have seen. */
import jstat from 'jstat'
import { type Interval, tInterval } from './intervals.ts'
import { studentTQuantile } from './quantiles.ts'
import { standardError } from './summary.ts'

/** The two-sided p of a mean of 0, with the interval of the mean; p is 1 for a single difference, which says nothing. */
export const pairedT = (differences: readonly number[]): Interval & { p: number } => {
  const interval = tInterval(differences)
  const error = standardError(differences)
  if (differences.length < 2) return { ...interval, p: 1 }
  // Differences that are all the same leave no doubt
  if (error === 0) return { ...interval, p: interval.value === 0 ? 1 : 0 }
  const tail = jstat.studentt.cdf(-Math.abs(interval.value / error), differences.length - 1)
  return { ...interval, p: Math.min(1, 2 * tail) }
}

/**
 * The true difference that a study of this size and spread finds at the 5 % level with probability 0.8: what it could not have seen
 * is smaller. Infinite for a single difference.
 */
export const detectable = (differences: readonly number[]): number => {
  const freedom = differences.length - 1
  if (freedom < 1) return Number.POSITIVE_INFINITY
  return (studentTQuantile(0.975, freedom) + studentTQuantile(0.8, freedom)) * standardError(differences)
}
