/**
 * Length-controlled win rates: what a judge would prefer if both answers were equally long (Dubois et al. 2024, arXiv
 * 2404.04475). The published form of AlpacaEval 2 with its regulariser rows and an L1 penalty, and a simple form of two terms.
 */
import { type LogisticRows, logisticRegression } from '../../statistics/logistic.ts'
import { deviation, mean } from '../../statistics/summary.ts'
import { permutation, rng } from '../../util/rng.ts'

/** A model's rows against the baseline: lengths in Unicode code points, and the probability that the model's answer is better. */
export type LengthRows = {
  baseline: readonly number[]
  model: readonly number[]
  preferred: readonly number[]
}

/** In percent. */
export type LengthControlled = {
  winRate: number
  standardError: number
  /** The C of the fit, where there is one. */
  C?: number
  /** Weights of tanh(length), difficulty and the constant; of the simple form, of tanh(length) and the constant. */
  weights: number[]
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

/** tanh of differences of lengths in standard deviations (n - 1, the mean is not subtracted); 0 where they do not vary. */
const tanhOf = (differences: readonly number[]): number[] => {
  const scale = deviation(differences)
  return differences.map((x) => (scale > 0 ? Math.tanh(x / scale) : 0))
}

const differencesOf = (longer: readonly number[], shorter: readonly number[]) => longer.map((x, i) => x - shorter[i])

/**
 * The simple form: logistic regression on 1 and tanh((length of the baseline - length of the model) / deviation), predicted at equal length. The
 * standard error is by the delta method from the sandwich covariance.
 * @returns undefined where there is no finite optimum: one side wins always, or the lengths do not vary
 */
export const simpleLengthControl = ({ baseline, model, preferred }: LengthRows): LengthControlled | undefined => {
  const tanh = tanhOf(differencesOf(baseline, model))
  const features = [Float64Array.from(tanh), new Float64Array(tanh.length).fill(1)]
  const fit = logisticRegression({ features, targets: Float64Array.from(preferred) })
  const covariance = fit?.covariance()
  if (!fit || !covariance) return undefined
  const q = sigmoid(fit.coefficients[1])
  return {
    winRate: 100 * q,
    standardError: 100 * q * (1 - q) * Math.sqrt(covariance[1][1]),
    weights: fit.coefficients,
  }
}

/** What is known of the prompts of a benchmark and of two rewrites of its baseline, one told to be verbose and one to be concise. */
export type Regularizer = {
  /** Of each prompt. */
  difficulty: readonly number[]
  /** Length of the baseline's answer to each prompt. */
  baseline: readonly number[]
  /** Lengths of a rewrite, and the probability that the judge prefers it to the baseline's own answer. */
  rewrites: readonly { length: readonly number[]; preferred: readonly number[] }[]
}

/** All regulariser rows together weigh so much of a row of the model. */
const regularizerWeight = 0.2
const folds = 5

/** The values that cross-validation tries: 10^(-4 + 8k/9), k = 0 to 9. */
const triedC: readonly number[] = Array.from({ length: 10 }, (_, k) => 10 ** (-4 + (8 * k) / 9))

/** Rows of the regulariser, the same for every model: tanh(length), difficulty, 0 in place of the constant. */
const regularizerRows = ({ difficulty, baseline, rewrites }: Regularizer) =>
  rewrites.flatMap(({ length, preferred }) =>
    tanhOf(differencesOf(baseline, length)).map((tanh, i) => ({
      features: [tanh, difficulty[i], 0],
      target: preferred[i],
      weight: regularizerWeight / rewrites.length,
    })),
  )

/**
 * The published form of AlpacaEval 2, for one model after the other.
 * @param regularizer its rows are prepared once
 * @returns a function of a model's rows, of the place of each among the prompts of the regulariser, and of C; without C it is
 * chosen by 5-fold cross-validation over rows
 */
export const lengthControl = (regularizer: Regularizer) => {
  const fixed = regularizerRows(regularizer)
  return ({ baseline, model, preferred }: LengthRows, places: readonly number[], C?: number): LengthControlled => {
    const difficulty = places.map((place) => regularizer.difficulty[place])
    const own = tanhOf(differencesOf(baseline, model)).map((tanh, i) => ({
      features: [tanh, difficulty[i], 1],
      target: preferred[i],
      weight: 1,
    }))
    const rows = rowsOf([...own, ...fixed])
    const chosen = C ?? crossValidated(rows)
    const weights = fitted(rows, { C: chosen })
    const predicted = difficulty.map((d) => sigmoid(weights[1] * d + weights[2]))
    return {
      winRate: 100 * mean(predicted),
      standardError: (100 * deviation(predicted)) / Math.sqrt(predicted.length),
      C: chosen,
      weights,
    }
  }
}

type Rows = Required<LogisticRows>

const rowsOf = (rows: readonly { features: number[]; target: number; weight: number }[]): Rows => ({
  features: [0, 1, 2].map((j) => Float64Array.from(rows, ({ features }) => features[j])),
  targets: Float64Array.from(rows, ({ target }) => target),
  weights: Float64Array.from(rows, ({ weight }) => weight),
})

/** With a penalty there is always an optimum. */
const fitted = (rows: LogisticRows, options: { C: number; start?: readonly number[]; tolerance?: number }): number[] =>
  logisticRegression(rows, options)!.coefficients

/** The C with the lowest mean cross-entropy of rows that were left out; the lower C where two are equal. */
const crossValidated = (rows: Rows): number => {
  const order = permutation(rows.targets.length, rng(0))
  const losses = triedC.map(() => 0)
  // The optima of one fold are near those of the next
  const optima: number[][] = []
  for (let fold = 0; fold < folds; fold++) {
    const kept = pickRows(rows, order.filter((_, k) => k % folds !== fold).sort())
    const held = pickRows(rows, order.filter((_, k) => k % folds === fold).sort())
    triedC.forEach((C, k) => {
      optima[k] = fitted(kept, { C, start: optima[k] ?? optima[k - 1], tolerance: 1e-3 })
      losses[k] += heldLoss(held, optima[k]) / folds
    })
  }
  return triedC[losses.indexOf(Math.min(...losses))]
}

const pickRows = ({ features, targets, weights }: Rows, picked: Uint32Array): Rows => {
  const from = (values: Float64Array) => Float64Array.from(picked, (row) => values[row])
  return { features: features.map(from), targets: from(targets), weights: from(weights) }
}

const clip = 1e-15

/** The mean over rows of weight x cross-entropy. */
const heldLoss = ({ features, targets, weights }: Rows, w: readonly number[]): number => {
  let total = 0
  for (let i = 0; i < targets.length; i++) {
    const z = w.reduce((sum, value, j) => sum + value * features[j][i], 0)
    const p = Math.min(1 - clip, Math.max(clip, sigmoid(z)))
    total -= weights[i] * (targets[i] * Math.log(p) + (1 - targets[i]) * Math.log(1 - p))
  }
  return total / targets.length
}
