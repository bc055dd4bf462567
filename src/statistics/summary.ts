/** Sums, means, deviations and lines of plain numbers, for measures and reports. */

export const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

/** NaN of nothing. */
export const mean = (values: readonly number[]): number => sum(values) / values.length

/** sum_i (x_i - mean) (y_i - mean). */
const comoment = (x: readonly number[], y: readonly number[]): number => {
  const [mx, my] = [mean(x), mean(y)]
  return x.reduce((total, xi, i) => total + (xi - mx) * (y[i] - my), 0)
}

/** With n - 1; 0 of fewer than two. */
export const variance = (values: readonly number[]): number =>
  values.length < 2 ? 0 : comoment(values, values) / (values.length - 1)

/** Standard deviation with n - 1; 0 of fewer than two. */
export const deviation = (values: readonly number[]): number => Math.sqrt(variance(values))

/** Of a mean; NaN of fewer than two. */
export const standardError = (values: readonly number[]): number =>
  values.length < 2 ? Number.NaN : Math.sqrt(variance(values) / values.length)

/** Pearson's r; NaN where either side does not vary. */
export const correlation = (x: readonly number[], y: readonly number[]): number =>
  comoment(x, y) / Math.sqrt(comoment(x, x) * comoment(y, y))

/** Least squares of y on 1 and x; the slope is NaN where x does not vary. */
export const lineThrough = (x: readonly number[], y: readonly number[]): { intercept: number; slope: number } => {
  const spread = comoment(x, x)
  const slope = spread > 0 ? comoment(x, y) / spread : Number.NaN
  return { intercept: mean(y) - slope * mean(x), slope }
}
