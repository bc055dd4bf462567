/** Mean, deviation and correlation of plain numbers, for measures and reports. */

/** NaN of nothing. */
export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** With n - 1; 0 of fewer than two. */
export const variance = (values: readonly number[]): number => {
  if (values.length < 2) return 0
  const centre = mean(values)
  return values.reduce((sum, x) => sum + (x - centre) ** 2, 0) / (values.length - 1)
}

/** Standard deviation with n - 1; 0 of fewer than two. */
export const deviation = (values: readonly number[]): number => Math.sqrt(variance(values))

/** Pearson's r; NaN where either side does not vary. */
export const correlation = (x: readonly number[], y: readonly number[]): number => {
  const [mx, my] = [mean(x), mean(y)]
  const sum = (of: (i: number) => number) => x.reduce((total, _, i) => total + of(i), 0)
  const [sx, sy] = [sum((i) => (x[i] - mx) ** 2), sum((i) => (y[i] - my) ** 2)]
  return sum((i) => (x[i] - mx) * (y[i] - my)) / Math.sqrt(sx * sy)
}
