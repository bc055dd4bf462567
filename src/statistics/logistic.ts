/**
 * Logistic regression with weights of rows, targets that are probabilities, and an L1 penalty, to the exact optimum.
 *
 * Written here because no kept library of npm has it: what there is takes classes for targets and stops early. The method
 * is proximal Newton (Lee, Sun and Saunders 2014; the newGLMNET of Yuan, Ho and Lin 2012): each step minimises the
 * quadratic model of the loss with the penalty, by coordinate descent, and is halved until the loss falls.
 */
import { inverseOf } from './cholesky.ts'

export type LogisticRows = {
  /** D columns of N values. */
  features: readonly Float64Array[]
  /** Probability of the positive outcome of each row, [N]. */
  targets: Float64Array
  /** Weight of each row, [N]; all 1 where left out. */
  weights?: Float64Array
}

export type LogisticFit = {
  /** Of the features, [D]. */
  coefficients: number[]
  /** The sandwich estimate of their covariance, [D][D], which holds for targets between 0 and 1 too; undefined where it has none. */
  covariance(): number[][] | undefined
}

export type LogisticOptions = {
  /** How much the loss counts against the penalty |w| (the C of LIBLINEAR); without it there is no penalty. */
  C?: number
  /** Where to begin, [D]. */
  start?: readonly number[]
  /** A step this small ends the search; the error after it is about its square. */
  tolerance?: number
}

const mostSteps = 100
/** Coefficients beyond it belong to classes that are separated, where there is no finite optimum. */
const beyond = 1e3

/**
 * Minimises |w| + C sum_i weight_i crossEntropy(target_i, sigmoid(w . x_i)), or without C the sum alone.
 * @returns undefined where there is no finite optimum: the rows are separated, or a feature is a sum of others
 * @example logisticRegression({ features: [Float64Array.of(1, 1, 1)], targets: Float64Array.of(1, 0, 1) })?.coefficients // [ln 2]
 */
export const logisticRegression = (
  rows: LogisticRows,
  { C, start, tolerance = 1e-6 }: LogisticOptions = {},
): LogisticFit | undefined => {
  const penalty = C === undefined ? 0 : 1
  let w = start ? [...start] : Array<number>(rows.features.length).fill(0)
  let at = expansion(rows, w, C ?? 1)
  for (let step = 0; step < mostSteps; step++) {
    const moved = proximalStep(w, at, penalty)
    if (!moved || moved.some((x) => !(Math.abs(x) < beyond))) return undefined
    const size = Math.max(...moved.map((x, j) => Math.abs(x - w[j]) / Math.max(1, Math.abs(x))))
    const next = descend(rows, w, moved, at, C ?? 1, penalty)
    w = next.w
    at = next.at
    if (size < tolerance) return { coefficients: w, covariance: () => sandwich(rows, w, at.hessian) }
  }
  return undefined
}

/** The loss at w with its derivatives, without the penalty. */
type Expansion = { loss: number; gradient: number[]; hessian: number[][] }

const expansion = ({ features, targets, weights }: LogisticRows, w: readonly number[], C: number): Expansion => {
  const N = targets.length
  const z = new Float64Array(N)
  for (const [j, column] of features.entries()) for (let i = 0; i < N; i++) z[i] += w[j] * column[i]
  const slope = new Float64Array(N)
  const curve = new Float64Array(N)
  let loss = 0
  for (let i = 0; i < N; i++) {
    const small = Math.exp(-Math.abs(z[i]))
    const p = z[i] >= 0 ? 1 / (1 + small) : small / (1 + small)
    const weight = weights ? weights[i] : 1
    loss += weight * (Math.log(1 + small) + Math.max(z[i], 0) - targets[i] * z[i])
    slope[i] = C * weight * (p - targets[i])
    curve[i] = C * weight * p * (1 - p)
  }
  return { loss: C * loss, gradient: features.map((column) => dot(slope, column)), hessian: gram(features, curve) }
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let total = 0
  for (let i = 0; i < a.length; i++) total += a[i] * b[i]
  return total
}

/** The sums of weight x column x column, [D][D]. */
const gram = (columns: readonly Float64Array[], weights: Float64Array): number[][] => {
  const product = new Float64Array(weights.length)
  const sums: number[][] = columns.map(() => [])
  for (const [j, column] of columns.entries()) {
    for (let i = 0; i < product.length; i++) product[i] = weights[i] * column[i]
    for (let k = 0; k <= j; k++) sums[j][k] = sums[k][j] = dot(product, columns[k])
  }
  return sums
}

/** Where the quadratic model with the penalty is least; undefined where it has no single least point. */
const proximalStep = (
  w: readonly number[],
  { gradient, hessian }: Expansion,
  penalty: number,
): number[] | undefined => {
  if (penalty === 0) {
    const inverse = inverseOf(hessian)
    return inverse && w.map((x, j) => x - inverse[j].reduce((sum, value, k) => sum + value * gradient[k], 0))
  }
  const moved = [...w]
  // The gradient of the model at `moved`, kept up to date
  const slope = [...gradient]
  for (let sweep = 0; sweep < 1000; sweep++) {
    let largest = 0
    for (let j = 0; j < w.length; j++) {
      if (hessian[j][j] <= 0) continue
      const target = moved[j] - slope[j] / hessian[j][j]
      const shrunk = Math.sign(target) * Math.max(0, Math.abs(target) - penalty / hessian[j][j])
      const change = shrunk - moved[j]
      if (change === 0) continue
      moved[j] = shrunk
      for (let k = 0; k < w.length; k++) slope[k] += hessian[j][k] * change
      largest = Math.max(largest, Math.abs(change) / Math.max(1, Math.abs(shrunk)))
    }
    if (largest < 1e-13) break
  }
  return moved
}

const absolute = (w: readonly number[]) => w.reduce((total, x) => total + Math.abs(x), 0)

/** Halves the step until the loss with its penalty does not rise, but for rounding. */
const descend = (
  rows: LogisticRows,
  w: readonly number[],
  moved: readonly number[],
  from: Expansion,
  C: number,
  penalty: number,
): { w: number[]; at: Expansion } => {
  const before = from.loss + penalty * absolute(w)
  for (let part = 1; ; part /= 2) {
    const next = moved.map((x, j) => w[j] + part * (x - w[j]))
    const at = expansion(rows, next, C)
    if (at.loss + penalty * absolute(next) <= before + 1e-12 * Math.abs(before) || part < 1e-6) return { w: next, at }
  }
}

/** H^-1 (sum of squared slopes) H^-1 (Huber 1967; White 1982). */
const sandwich = (
  { features, targets, weights }: LogisticRows,
  w: readonly number[],
  hessian: readonly (readonly number[])[],
): number[][] | undefined => {
  const inverse = inverseOf(hessian)
  if (!inverse) return undefined
  const squares = targets.map((target, i) => {
    const z = w.reduce((sum, value, j) => sum + value * features[j][i], 0)
    return ((weights ? weights[i] : 1) * (1 / (1 + Math.exp(-z)) - target)) ** 2
  })
  const product = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]) =>
    a.map((row) => b[0].map((_, k) => row.reduce((sum, value, j) => sum + value * b[j][k], 0)))
  return product(product(inverse, gram(features, squares)), inverse)
}
