/**
 * Logistic regression with weights of rows, targets that are probabilities, and an L1 penalty, to the exact optimum.
 *
 * Written here because no kept library of npm has it: what there is takes classes for targets and stops early. The method
 * is proximal Newton (Lee, Sun and Saunders 2014; the newGLMNET of Yuan, Ho and Lin 2012): each step minimises the
 * quadratic model of the loss with the penalty, by coordinate descent, and is halved until the loss falls.
 */
import { inverseOf } from './cholesky.ts'

export type LogisticRows = {
  /** Features by row, [N * D]. */
  features: Float64Array
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
}

const mostSteps = 100
/** A step this small ends the search; the error after it is its square. */
const smallStep = 1e-9
/** Coefficients beyond it belong to classes that are separated, where there is no finite optimum. */
const beyond = 1e3

/**
 * Minimises |w| + C sum_i weight_i crossEntropy(target_i, sigmoid(w . x_i)), or without C the sum alone.
 * @returns undefined where there is no finite optimum: the rows are separated, or a feature is a sum of others
 * @example logisticRegression({ features: Float64Array.of(1, 1, 1), targets: Float64Array.of(1, 0, 1) })?.coefficients // [ln 2]
 */
export const logisticRegression = (rows: LogisticRows, { C, start }: LogisticOptions = {}): LogisticFit | undefined => {
  const D = rows.features.length / rows.targets.length
  const penalty = C === undefined ? 0 : 1
  let w = start ? [...start] : Array<number>(D).fill(0)
  let at = expansion(rows, w, C ?? 1)
  for (let step = 0; step < mostSteps; step++) {
    const moved = proximalStep(w, at, penalty)
    if (!moved || moved.some((x) => !(Math.abs(x) < beyond))) return undefined
    const size = Math.max(...moved.map((x, j) => Math.abs(x - w[j]) / Math.max(1, Math.abs(x))))
    const next = descend(rows, w, moved, at, C ?? 1, penalty)
    w = next.w
    at = next.at
    if (size < smallStep) return { coefficients: w, covariance: () => sandwich(rows, w, at.hessian) }
  }
  return undefined
}

/** The loss at w with its derivatives, without the penalty. */
type Expansion = { loss: number; gradient: Float64Array; hessian: number[][] }

const expansion = ({ features, targets, weights }: LogisticRows, w: readonly number[], C: number): Expansion => {
  const [N, D] = [targets.length, w.length]
  const gradient = new Float64Array(D)
  const second = new Float64Array(D * D)
  let loss = 0
  for (let i = 0, at = 0; i < N; i++, at += D) {
    let z = 0
    for (let j = 0; j < D; j++) z += w[j] * features[at + j]
    const small = Math.exp(-Math.abs(z))
    const p = z >= 0 ? 1 / (1 + small) : small / (1 + small)
    const weight = weights ? weights[i] : 1
    loss += weight * (Math.log1p(small) + Math.max(z, 0) - targets[i] * z)
    const slope = weight * (p - targets[i])
    const curve = weight * p * (1 - p)
    for (let j = 0; j < D; j++) {
      const x = features[at + j]
      gradient[j] += slope * x
      for (let k = 0; k <= j; k++) second[j * D + k] += curve * x * features[at + k]
    }
  }
  const hessian = w.map((_, j) => w.map((_, k) => C * second[Math.max(j, k) * D + Math.min(j, k)]))
  return { loss: C * loss, gradient: gradient.map((x) => C * x), hessian }
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
  const D = w.length
  const meat = w.map(() => Array<number>(D).fill(0))
  for (let i = 0; i < targets.length; i++) {
    const x = features.subarray(i * D, (i + 1) * D)
    const z = w.reduce((sum, value, j) => sum + value * x[j], 0)
    const slope = (weights ? weights[i] : 1) * (1 / (1 + Math.exp(-z)) - targets[i])
    for (let j = 0; j < D; j++) for (let k = 0; k < D; k++) meat[j][k] += slope * slope * x[j] * x[k]
  }
  const product = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]) =>
    a.map((row) => b[0].map((_, k) => row.reduce((sum, value, j) => sum + value * b[j][k], 0)))
  return product(product(inverse, meat), inverse)
}
