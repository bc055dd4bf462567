/** Curves against compute: the lower envelope, the best size for a budget, a power law, and how sure they are. */

import { linearRegression } from '../../statistics/regression.ts'
import { mean } from '../../statistics/summary.ts'

/** A loss in nats, or a share of exact completions, against compute in FLOPs, which rises. */
export type Curve = readonly (readonly [flops: number, value: number])[]

/** The least value up to each point: a run may be stopped early. */
export const bestSoFar = (curve: Curve): Curve => {
  let best = Number.POSITIVE_INFINITY
  return curve.map(([x, y]) => [x, (best = Math.min(best, y))] as const)
}

/** The value at a compute, on a straight line in log-log between its neighbours; undefined outside the curve. */
export const valueAt = (curve: Curve, flops: number): number | undefined => {
  const next = curve.findIndex(([x]) => x >= flops)
  if (next < 0) return undefined
  const [x1, y1] = curve[next]
  if (x1 === flops) return y1
  if (next === 0) return undefined
  const [x0, y0] = curve[next - 1]
  const t = Math.log(flops / x0) / Math.log(x1 / x0)
  return Math.exp(Math.log(y0) + t * Math.log(y1 / y0))
}

/** As `valueAt`, on a straight line over the logarithm of the compute: for shares, which may be 0. */
export const shareAt = (curve: Curve, flops: number): number | undefined => {
  const shifted = valueAt(
    curve.map(([x, y]) => [x, Math.exp(y)] as const),
    flops,
  )
  return shifted === undefined ? undefined : Math.log(shifted)
}

/** Mean over seeds of the logarithm, at every compute that the first curve has and all share. */
export const meanCurve = (curves: readonly Curve[]): Curve =>
  (curves[0] ?? []).flatMap(([x]) => {
    const values = curves.map((curve) => valueAt(curve, x))
    if (values.some((value) => value === undefined)) return []
    return [[x, Math.exp(mean(values.map((value) => Math.log(value!))))] as const]
  })

/** `count` values from low to high, equally far apart in their logarithm. */
export const logSpace = (low: number, high: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => low * (high / low) ** (i / (count - 1)))

export type EnvelopePoint = { flops: number; loss: number /** Index of the curve that is lowest. */; best: number }

/**
 * The lowest of all curves, each at its best so far, over the compute that every one of them was trained with: none where
 * they have no compute in common. A curve that has ended says nothing about more.
 */
export const envelope = (curves: readonly Curve[], points = 60): EnvelopePoint[] => {
  const lowest = curves.map(bestSoFar)
  const [low, high] = [
    Math.max(...lowest.map((curve) => curve[0]?.[0] ?? Number.NaN)),
    Math.min(...lowest.map((curve) => curve.at(-1)?.[0] ?? Number.NaN)),
  ]
  if (!(low < high)) return []
  return logSpace(low, high, points).map((flops, i) => {
    // Rounding may carry the first and the last point off the curves
    const at = i === 0 ? low : i === points - 1 ? high : flops
    const losses = lowest.map((curve) => valueAt(curve, at)!)
    const loss = Math.min(...losses)
    return { flops: at, loss, best: losses.indexOf(loss) }
  })
}

export type PowerLaw = { /** loss = factor * flops^-exponent */ factor: number; exponent: number }

/** Least squares on the logarithms; undefined for fewer than two different computes. */
export const fitPowerLaw = (points: Curve): PowerLaw | undefined => {
  const [xs, ys] = [points.map(([x]) => Math.log(x)), points.map(([, y]) => Math.log(y))]
  const { intercept, slope } = linearRegression(xs, ys)
  return Number.isNaN(slope) ? undefined : { factor: Math.exp(intercept), exponent: -slope }
}
