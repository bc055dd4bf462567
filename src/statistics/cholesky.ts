/** Inverses of small symmetric positive definite matrices, by Cholesky's decomposition. */

/** The lower triangular L with L L' = a; undefined where a is not positive definite. @param a rows, [D][D] */
const cholesky = (a: readonly (readonly number[])[]): number[][] | undefined => {
  const lower = a.map((row) => row.map(() => 0))
  for (let i = 0; i < a.length; i++)
    for (let j = 0; j <= i; j++) {
      let rest = a[i][j]
      for (let k = 0; k < j; k++) rest -= lower[i][k] * lower[j][k]
      // What rounding leaves of a zero is no pivot
      if (i === j && !(rest > 1e-12 * Math.abs(a[i][i]))) return undefined
      lower[i][j] = i === j ? Math.sqrt(rest) : rest / lower[j][j]
    }
  return lower
}

/** The inverse of a symmetric positive definite matrix; undefined for any other. @param a rows, [D][D] */
export const inverseOf = (a: readonly (readonly number[])[]): number[][] | undefined => {
  const lower = cholesky(a)
  if (!lower) return undefined
  const columns = a.map((_, c) => solved(lower, c))
  return a.map((_, i) => columns.map((column) => column[i]))
}

/** x of L L' x = e_c, the unit vector of column c. */
const solved = (lower: readonly (readonly number[])[], c: number): number[] => {
  const x = lower.map((_, i) => (i === c ? 1 : 0))
  for (let i = 0; i < x.length; i++) {
    for (let k = 0; k < i; k++) x[i] -= lower[i][k] * x[k]
    x[i] /= lower[i][i]
  }
  for (let i = x.length - 1; i >= 0; i--) {
    for (let k = i + 1; k < x.length; k++) x[i] -= lower[k][i] * x[k]
    x[i] /= lower[i][i]
  }
  return x
}

/** The product of a matrix and a vector. */
export const times = (a: readonly (readonly number[])[], x: readonly number[]): number[] =>
  a.map((row) => row.reduce((total, value, j) => total + value * x[j], 0))
