/**
 * The scaling law of supervised training, loss against compute: the curve of every model size and, over the compute that
 * every size was given, their lower envelope, the best size for a budget, and a power law with its misfit.
 */
import { bootstrapGroups, percentileInterval, type Resample } from '../../statistics/resampling.ts'
import { mean } from '../../statistics/summary.ts'
import type { CellResult } from './cells.ts'
import {
  type Curve,
  type EnvelopePoint,
  envelope,
  fitPowerLaw,
  logSpace,
  meanCurve,
  type PowerLaw,
  valueAt,
} from './statistics.ts'

type SizeCurve = {
  hidden: number
  layers: number
  parameters: number
  blocks: number
  seeds: number
  /** Geometric mean over the seeds. */
  curve: Curve
  /** The lowest and the highest seed at each point. */
  range: Curve
  /** Share of held-out sums completed exactly at the end, the mean over seeds. */
  exact: number
}

export type Budget = {
  flops: number
  /** The size with the lowest loss for this compute. */
  hidden: number
  blocks: number
  loss: number
  /** The share of bootstrap resamples of the seeds in which it has the lowest loss. */
  sure: number
}

export type ScalingLaw = {
  sizes: SizeCurve[]
  envelope: EnvelopePoint[]
  /**
   * Fitted to the part of the envelope that is below the loss of random digits. `low` and `high` are the bootstrap interval
   * of the exponent; `misfit` is the factor between the law and the point that it misses most.
   */
  law?: PowerLaw & { from: number; to: number; low: number; high: number; resamples: number; misfit: number }
  budgets: Budget[]
}

/** A power law with a larger misfit is not shown. */
export const largestMisfit = 1.25

/** With fewer seeds of a size nothing is compared: resamples and Student's t say next to nothing then. */
export const fewestSeeds = 5

export const leastSeeds = ({ sizes }: Pick<ScalingLaw, 'sizes'>): number => Math.min(...sizes.map(({ seeds }) => seeds))

/** The loss of a model that guesses each digit with equal probability: ln 10. */
const guessing = Math.log(10)

const lossCurve = ({ curve }: CellResult): Curve => curve.map(({ flops, loss }) => [flops, loss] as const)

/** Results grouped by size, smallest first. */
const bySize = (results: readonly CellResult[]): CellResult[][] =>
  [...new Set(results.map(({ hidden }) => hidden))]
    .sort((a, b) => a - b)
    .map((hidden) => results.filter((result) => result.hidden === hidden))

export const scalingLaw = (results: readonly CellResult[]): ScalingLaw => {
  const groups = bySize(results.filter(({ method }) => method === 'sft'))
  const curves = groups.map((group) => group.map(lossCurve))
  const points = envelope(curves.map(meanCurve))
  const resampled = (resample: Resample) => envelope(curves.map((group) => meanCurve(resample(group))))
  return {
    sizes: groups.map(sizeCurve),
    envelope: points,
    law: lawOf(points, resampled),
    budgets: budgetsOf(groups, points, resampled),
  }
}

const sizeCurve = (group: readonly CellResult[]): SizeCurve => {
  const { hidden, layers, parameters, blocks } = group[0]
  const runs = group.map(lossCurve)
  const curve = meanCurve(runs)
  const at = (flops: number) => runs.map((run) => valueAt(run, flops)!)
  const last = group.map(({ marks }) => marks.at(-1)!.exact.share)
  return {
    hidden,
    layers,
    parameters,
    blocks,
    seeds: group.length,
    curve,
    range: curve.map(([flops]) => [Math.min(...at(flops)), Math.max(...at(flops))] as const),
    exact: mean(last),
  }
}

/** The envelope of resampled seeds. */
type Resampled = (resample: Resample) => EnvelopePoint[]

const resampleCount = 400

const fitted = (points: readonly EnvelopePoint[]): PowerLaw | undefined =>
  fitPowerLaw(points.filter(({ loss }) => loss < guessing).map(({ flops, loss }) => [flops, loss] as const))

const lawOf = (points: readonly EnvelopePoint[], resampled: Resampled): ScalingLaw['law'] => {
  const law = fitted(points)
  const exponents = bootstrapGroups(resampleCount, (resample) => fitted(resampled(resample))?.exponent)
  const known = exponents.filter((exponent): exponent is number => Number.isFinite(exponent))
  if (!law || !known.length) return undefined
  const useful = points.filter(({ loss }) => loss < guessing)
  const [from, to] = [useful[0].flops, useful.at(-1)!.flops]
  const misses = useful.map(({ flops, loss }) => Math.abs(Math.log((law.factor * flops ** -law.exponent) / loss)))
  const { low, high } = percentileInterval(known)
  return { ...law, from, to, low, high, resamples: known.length, misfit: Math.exp(Math.max(...misses)) }
}

const budgetCount = 6

const budgetsOf = (
  groups: readonly CellResult[][],
  points: readonly EnvelopePoint[],
  resampled: Resampled,
): Budget[] => {
  const useful = points.filter(({ loss }) => loss < guessing)
  if (useful.length < 2) return []
  const nearest = (from: readonly EnvelopePoint[], flops: number) =>
    from.reduce((a, b) => (Math.abs(Math.log(b.flops / flops)) < Math.abs(Math.log(a.flops / flops)) ? b : a))
  const at = logSpace(useful[0].flops, useful.at(-1)!.flops, budgetCount)
  const envelopes = bootstrapGroups(resampleCount, resampled).filter(({ length }) => length > 0)
  return at.map((flops) => {
    const { best, loss } = nearest(useful, flops)
    const { hidden, blocks } = groups[best][0]
    const same = envelopes.filter((each) => nearest(each, flops).best === best)
    return { flops, hidden, blocks, loss, sure: same.length / envelopes.length }
  })
}
