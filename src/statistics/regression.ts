/** Correlation and the straight line through points. */
import { linearRegression as fitLine, sampleCorrelation } from 'simple-statistics'

/** Pearson's r; NaN where either side does not vary. */
export const correlation = (x: readonly number[], y: readonly number[]): number =>
  x.length < 2 ? Number.NaN : sampleCorrelation(x, y)

/** Ordinary least squares of y on 1 and x; NaN where x does not vary. */
export const linearRegression = (x: readonly number[], y: readonly number[]): { intercept: number; slope: number } => {
  if (x.length < 2) return { intercept: Number.NaN, slope: Number.NaN }
  const { m, b } = fitLine(x.map((xi, i) => [xi, y[i]]))
  return { intercept: b, slope: m }
}
