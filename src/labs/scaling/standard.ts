/** The standard scaling law: supervised curves of every size, their envelope, its power law, and the best size for a budget. */
import { mean } from '../../util/statistics.ts'
import type { CellResult } from './cells.ts'
import {
  bootstrap,
  type Curve,
  type EnvelopePoint,
  envelope,
  fitPowerLaw,
  logSpace,
  meanCurve,
  type PowerLaw,
} from './statistics.ts'

type SizeCurve = {
  hidden: number
  layers: number
  parameters: number
  blocks: number
  seeds: number
  /** Mean over the seeds, of the logarithm. */
  curve: Curve
  /** The lowest and the highest seed at each point. */
  range: Curve
  /** Held-out sums answered exactly at the end, the mean over seeds. */
  exact: number
}

export type Budget = {
  flops: number
  /** The size whose loss is the lowest for this compute. */
  hidden: number
  blocks: number
  loss: number
  /** Share of resamples of the seeds in which it is. */
  sure: number
}

export type StandardLaw = {
  sizes: SizeCurve[]
  envelope: EnvelopePoint[]
  /** Of the envelope, from where it is below that of digits drawn at random. */
  law?: PowerLaw & { from: number; to: number; low: number; high: number; resamples: number }
  budgets: Budget[]
  /** blocks = factor * flops^exponent over the budgets; undefined where one size is the best of all. */
  growth?: { exponent: number; low: number; high: number }
}

/** The loss of a model that knows only that digits come, each as likely: ln 10. */
const guessing = Math.log(10)

const lossOf = ({ curve }: CellResult): Curve => curve.map(({ flops, loss }) => [flops, loss] as const)

/** Results of one size, by size. */
const bySize = (results: readonly CellResult[]): CellResult[][] =>
  [...new Set(results.map(({ hidden }) => hidden))]
    .sort((a, b) => a - b)
    .map((hidden) => results.filter((result) => result.hidden === hidden))

export const standardLaw = (results: readonly CellResult[]): StandardLaw => {
  const groups = bySize(results.filter(({ method }) => method === 'sft'))
  const curves = groups.map((group) => group.map(lossOf))
  const points = envelope(curves.map(meanCurve))
  const resampled = (draw: <T>(items: readonly T[]) => T[]) => envelope(curves.map((group) => meanCurve(draw(group))))
  const budgets = budgetsOf(groups, points, resampled)
  return { sizes: groups.map(sizeCurve), envelope: points, law: lawOf(points, resampled), ...budgets }
}

const sizeCurve = (group: readonly CellResult[]): SizeCurve => {
  const { hidden, layers, parameters, blocks } = group[0]
  const curve = meanCurve(group.map(lossOf))
  const at = (i: number) => group.map((result) => result.curve[i]?.loss ?? Number.NaN)
  const last = group.map(({ marks }) => marks.at(-1)!.exact.share)
  return {
    ...{ hidden, layers, parameters, blocks, seeds: group.length, curve },
    range: curve.map((_, i) => [Math.min(...at(i)), Math.max(...at(i))] as const),
    exact: mean(last),
  }
}

type Resampled = (draw: <T>(items: readonly T[]) => T[]) => EnvelopePoint[]

const fitted = (points: readonly EnvelopePoint[]): PowerLaw | undefined =>
  fitPowerLaw(points.filter(({ loss }) => loss < guessing).map(({ flops, loss }) => [flops, loss] as const))

const lawOf = (points: readonly EnvelopePoint[], resampled: Resampled): StandardLaw['law'] => {
  const law = fitted(points)
  const sure = bootstrap((draw) => fitted(resampled(draw))?.exponent, { count: 400 })
  if (!law || !sure) return undefined
  const from = points.find(({ loss }) => loss < guessing)!.flops
  return { ...law, from, to: points.at(-1)!.flops, low: sure.low, high: sure.high, resamples: sure.count }
}

const budgetCount = 6

const budgetsOf = (
  groups: readonly CellResult[][],
  points: readonly EnvelopePoint[],
  resampled: Resampled,
): Pick<StandardLaw, 'budgets' | 'growth'> => {
  const useful = points.filter(({ loss }) => loss < guessing)
  if (useful.length < 2) return { budgets: [] }
  const nearest = (from: readonly EnvelopePoint[], flops: number) =>
    from.reduce((a, b) => (Math.abs(Math.log(b.flops / flops)) < Math.abs(Math.log(a.flops / flops)) ? b : a))
  const at = logSpace(useful[0].flops, useful.at(-1)!.flops, budgetCount)
  const wins = at.map(() => new Map<number, number>())
  const growth = (from: readonly EnvelopePoint[]) =>
    fitPowerLaw(at.map((flops) => [flops, groups[nearest(from, flops).best][0].blocks] as const))
  let drawn = 0
  const sure = bootstrap(
    (draw) => {
      const again = resampled(draw)
      drawn++
      at.forEach((flops, i) => {
        const { best } = nearest(again, flops)
        wins[i].set(best, (wins[i].get(best) ?? 0) + 1)
      })
      return growth(again)?.exponent
    },
    { count: 400 },
  )
  const budgets = at.map((flops, i) => {
    const { best, loss } = nearest(useful, flops)
    const { hidden, blocks } = groups[best][0]
    return { flops, hidden, blocks, loss, sure: (wins[i].get(best) ?? 0) / drawn }
  })
  const exponent = growth(useful)?.exponent
  const grows = new Set(budgets.map(({ hidden }) => hidden)).size > 1
  return {
    budgets,
    // The exponent of a fitted power law is that of 1 / flops
    ...(grows &&
      exponent !== undefined &&
      sure && { growth: { exponent: -exponent, low: -sure.high, high: -sure.low } }),
  }
}
