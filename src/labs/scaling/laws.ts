/**
 * The scaling law of supervised training: every size trained to every budget, with a cooldown of its own at each. The best size of a
 * budget is chosen on one set of held-out sums, and its loss reported on another. Sizes share their seeds, and so the bootstrap
 * draws seeds.
 */
import { parabolaLow } from '../../statistics/parabola.ts'
import { linearRegression } from '../../statistics/regression.ts'
import { bootstrapGroups, percentileInterval } from '../../statistics/resampling.ts'
import { mean } from '../../statistics/summary.ts'
import type { CellResult, Grade } from './cells.ts'

/** A size trained to a budget: geometric means of losses, and arithmetic ones of exact answers, over the seeds. */
export type SizeAtBudget = {
  hidden: number
  layers: number
  blocks: number
  parameters: number
  budget: number
  rate: number
  steps: number
  seeds: number
  loss: number
  /** The lowest and the highest loss of a seed. */
  range: [low: number, high: number]
  exact: number
}

/** What is best for a budget. */
export type BestSize = {
  budget: number
  hidden: number
  /** On the sums that nothing was chosen by. */
  loss: number
  exact: number
  /** The share of resamples of the seeds in which it is the best. */
  sure: number
  /** Whether no smaller or no larger size was tried, so that the best may lie beyond. */
  edge?: 'smallest' | 'largest'
  /** Weights in blocks where the parabola through the sizes is lowest, if that is between them, with 95 % of resamples. */
  optimum?: { blocks: number; low: number; high: number }
}

/** value = factor * compute^exponent, with 95 % of resamples, and the factor by which it misses its worst point. */
export type PowerLaw = { factor: number; exponent: number; low: number; high: number; misfit: number }

export type ScalingLaws = {
  sizes: SizeAtBudget[]
  best: BestSize[]
  /** Of the best sizes' losses. */
  lossLaw?: PowerLaw
  /** Of the sizes that are lowest on the parabolas, where all budgets have one. */
  sizeLaw?: PowerLaw
}

/** A power law with a larger misfit is not drawn. */
export const largestMisfit = 1.25

/** With fewer seeds nothing is compared: resamples and Student's t say next to nothing then. */
export const fewestSeeds = 5

const resampleCount = 1000

const geometric = (losses: readonly number[]) => Math.exp(mean(losses.map(Math.log)))
const different = (values: readonly number[]) => [...new Set(values)].sort((a, b) => a - b)

/** @param results of finished cells; those of other kinds are not read */
export const scalingLaws = (results: readonly CellResult[]): ScalingLaws => {
  const laws = results.filter(({ kind, reported }) => kind === 'law' && reported)
  const budgets = different(laws.map(({ budget }) => budget))
  const hiddens = different(laws.map(({ hidden }) => hidden))
  const runsOf = (hidden: number, budget: number) =>
    laws.filter((result) => result.hidden === hidden && result.budget === budget)
  const sizes = budgets.flatMap((budget) => hiddens.map((hidden) => sizeAt(runsOf(hidden, budget))))
  // Seeds with which every size was trained to every budget
  const seeds = different(laws.map(({ seed }) => seed)).filter(
    (seed) => laws.filter((result) => result.seed === seed).length === budgets.length * hiddens.length,
  )
  if (!seeds.length) return { sizes, best: [] }
  const blocks = new Map(laws.map((result) => [result.hidden, result.blocks]))
  const lossesBy = (grade: (result: CellResult) => Grade) => {
    const table = new Map(
      laws.map((result) => [`${result.hidden} ${result.budget} ${result.seed}`, grade(result).loss]),
    )
    return (hidden: number, budget: number, drawn: readonly number[]) =>
      geometric(drawn.map((seed) => table.get(`${hidden} ${budget} ${seed}`)!))
  }
  const [chosenBy, reported] = [lossesBy((result) => result.chosenBy), lossesBy((result) => result.reported!)]
  const bestOf = (budget: number, drawn: readonly number[]) =>
    hiddens.reduce((a, b) => (chosenBy(b, budget, drawn) < chosenBy(a, budget, drawn) ? b : a))
  const optimumOf = (budget: number, drawn: readonly number[]) => {
    const x = hiddens.map((hidden) => Math.log(blocks.get(hidden)!))
    const low = parabolaLow(
      x,
      hiddens.map((hidden) => Math.log(reported(hidden, budget, drawn))),
    )
    return low !== undefined && low >= x[0] && low <= x.at(-1)! ? Math.exp(low) : undefined
  }
  const study = (drawn: readonly number[]) =>
    budgets.map((budget) => {
      const hidden = bestOf(budget, drawn)
      return { budget, hidden, loss: reported(hidden, budget, drawn), optimum: optimumOf(budget, drawn) }
    })
  const whole = study(seeds)
  const resamples = bootstrapGroups(resampleCount, (resample) => study(resample(seeds)))
  const best = whole.map(({ budget, hidden, loss, optimum }, i): BestSize => {
    const optima = resamples.flatMap((each) => each[i].optimum ?? [])
    const edge = hidden === hiddens[0] ? 'smallest' : hidden === hiddens.at(-1) ? 'largest' : undefined
    return {
      budget,
      hidden,
      loss,
      exact: sizes.find((size) => size.hidden === hidden && size.budget === budget)!.exact,
      sure: resamples.filter((each) => each[i].hidden === hidden).length / resamples.length,
      ...(edge && { edge }),
      ...(optimum !== undefined && { optimum: { blocks: optimum, ...percentileInterval(optima) } }),
    }
  })
  const lossLaw = powerLaw(whole, resamples, ({ loss }) => loss)
  const sizeLaw = powerLaw(whole, resamples, ({ optimum }) => optimum)
  return { sizes, best, ...(lossLaw && { lossLaw }), ...(sizeLaw && { sizeLaw }) }
}

const sizeAt = (runs: readonly CellResult[]): SizeAtBudget => {
  const [{ hidden, layers, blocks, parameters, budget, rate, steps }] = runs
  const losses = runs.map(({ reported }) => reported!.loss)
  return {
    ...{ hidden, layers, blocks, parameters, budget, rate, steps },
    seeds: runs.length,
    loss: geometric(losses),
    range: [Math.min(...losses), Math.max(...losses)],
    exact: mean(runs.map(({ reported }) => reported!.exact.share)),
  }
}

type Point = { budget: number; loss: number; optimum?: number }

/** Least squares on the logarithms; undefined for fewer than three budgets, or where one has no value. */
const powerLaw = (
  points: readonly Point[],
  resamples: readonly (readonly Point[])[],
  read: (point: Point) => number | undefined,
): PowerLaw | undefined => {
  if (points.length < 3) return undefined
  const fit = (some: readonly Point[]) => {
    const values = some.map(read)
    if (values.includes(undefined)) return undefined
    const { intercept, slope } = linearRegression(
      some.map(({ budget }) => Math.log(budget)),
      values.map((value) => Math.log(value!)),
    )
    return { factor: Math.exp(intercept), exponent: slope }
  }
  const whole = fit(points)
  if (!whole) return undefined
  const misses = points.map((point) =>
    Math.abs(Math.log((whole.factor * point.budget ** whole.exponent) / read(point)!)),
  )
  const exponents = resamples.flatMap((each) => fit(each)?.exponent ?? [])
  return { ...whole, ...percentileInterval(exponents), misfit: Math.exp(Math.max(...misses)) }
}
