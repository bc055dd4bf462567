/** The parabola through points by least squares, for the size that is best for a budget (Hoffmann et al. 2022, approach 2). */
import { inverseOf, times } from './cholesky.ts'
import { mean } from './summary.ts'

/**
 * Where the least-squares parabola of y on x has its least value; undefined where it opens downwards, or for fewer than three
 * different x.
 */
export const parabolaLow = (x: readonly number[], y: readonly number[]): number | undefined => {
  if (new Set(x).size < 3) return undefined
  // Centred, so that the equations are well conditioned
  const middle = mean(x)
  const rows = x.map((value) => [1, value - middle, (value - middle) ** 2])
  const normal = [0, 1, 2].map((i) => [0, 1, 2].map((j) => rows.reduce((sum, row) => sum + row[i] * row[j], 0)))
  const right = [0, 1, 2].map((i) => rows.reduce((sum, row, k) => sum + row[i] * y[k], 0))
  const inverse = inverseOf(normal)
  if (!inverse) return undefined
  const [, slope, bend] = times(inverse, right)
  return bend > 0 ? middle - slope / (2 * bend) : undefined
}
