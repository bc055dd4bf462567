/**
 * Sums, means and deviations of plain numbers. Written out here because losses and advantages are computed with them:
 * they add in plain order, as the reference implementations do, where statistics libraries compensate for rounding; and
 * the engine loads no library for them.
 */

export const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

/** NaN of no values. */
export const mean = (values: readonly number[]): number => sum(values) / values.length

/** Sample variance, with n - 1; 0 of fewer than two values. */
export const variance = (values: readonly number[]): number => {
  if (values.length < 2) return 0
  const centre = mean(values)
  return values.reduce((total, value) => total + (value - centre) * (value - centre), 0) / (values.length - 1)
}

/** Sample standard deviation, with n - 1; 0 of fewer than two values. */
export const deviation = (values: readonly number[]): number => Math.sqrt(variance(values))

/** Standard error of the mean; NaN of fewer than two values. */
export const standardError = (values: readonly number[]): number =>
  values.length < 2 ? Number.NaN : Math.sqrt(variance(values) / values.length)
