/**
 * Self-play compared with supervised training at equal compute. Each self-play run is compared twice: with the supervised
 * run of the same size and seed, at the compute of the self-play run alone; and with the best supervised run of any size and
 * the same seed, at the compute of the self-play run and its helper model together.
 */
import { type Interval, tInterval } from '../../statistics/intervals.ts'
import { mean } from '../../statistics/summary.ts'
import type { CellResult, ExactMatchPoint, LossPoint } from './cells.ts'
import type { Method } from './settings.ts'
import { bestSoFar, type Curve, shareAt, valueAt } from './statistics.ts'

/** How self-play differs from supervised training at equal compute, with intervals over the seeds. */
export type Difference = {
  seeds: number
  /** log(loss / supervised loss): below 0 is better. */
  loss: Interval
  /** Share of exact completions less that of supervised training. */
  exact: Interval
}

export type Comparison = {
  method: Method
  hidden: number
  /** The lowest loss of a run; this and the next three are means over the seeds. */
  loss: number
  /** Share of exact completions at the end. */
  exact: number
  flops: number
  helperFlops: number
  /**
   * From the run of the same size and seed, at the compute without the helper model. Undefined where a supervised run did not
   * reach that compute.
   */
  own?: Difference
  /** From the best run of any size and the same seed, at the compute with the helper model; undefined likewise. */
  whole?: Difference
}

const lossCurve = (curve: readonly LossPoint[]): Curve => curve.map(({ flops, loss }) => [flops, loss] as const)
const exactCurve = (points: readonly ExactMatchPoint[]): Curve =>
  points.map(({ flops, exact }) => [flops, exact.share] as const)

/** The lowest loss and the largest share of exact completions of these runs at this compute; undefined if no run reached it. */
const bestAt = (runs: readonly CellResult[], flops: number) => {
  const known = (values: (number | undefined)[]) => values.filter((value) => value !== undefined)
  const losses = known(runs.map(({ curve }) => valueAt(bestSoFar(lossCurve(curve)), flops)))
  const shares = known(runs.map(({ marks }) => shareAt(exactCurve(marks), flops)))
  return losses.length && shares.length ? { loss: Math.min(...losses), exact: Math.max(...shares) } : undefined
}

type FinalPoint = { flops: number; helperFlops: number; loss: number; exact: number; seed: number }

const finalPoint = ({ curve, marks, seed }: CellResult): FinalPoint => {
  const { flops, helperFlops } = curve.at(-1)!
  return { flops, helperFlops, seed, loss: bestSoFar(lossCurve(curve)).at(-1)![1], exact: marks.at(-1)!.exact.share }
}

/** @param supervisedRuns those to compare with, of a seed   @param budget the compute to compare at, in FLOPs */
const differenceFrom = (
  ends: readonly FinalPoint[],
  supervisedRuns: (seed: number) => readonly CellResult[],
  budget: (end: FinalPoint) => number,
): Difference | undefined => {
  const differences = ends.flatMap((end) => {
    const supervised = bestAt(supervisedRuns(end.seed), budget(end))
    return supervised ? [{ loss: Math.log(end.loss / supervised.loss), exact: end.exact - supervised.exact }] : []
  })
  if (differences.length < ends.length) return undefined
  const interval = (key: 'loss' | 'exact') => tInterval(differences.map((difference) => difference[key]))
  return { seeds: differences.length, loss: interval('loss'), exact: interval('exact') }
}

/** One comparison for each method and size of self-play, by size. */
export const compareAtEqualCompute = (results: readonly CellResult[]): Comparison[] => {
  const supervised = results.filter(({ method }) => method === 'sft')
  const selfPlay = results.filter(({ method }) => method !== 'sft')
  const groups = new Map<string, CellResult[]>()
  for (const result of selfPlay) {
    const key = `${result.method} ${result.hidden}`
    groups.set(key, [...(groups.get(key) ?? []), result])
  }
  return [...groups.values()]
    .map((group): Comparison => {
      const { method, hidden } = group[0]
      const ends = group.map(finalPoint)
      const meanOf = (key: 'loss' | 'exact' | 'flops' | 'helperFlops') => mean(ends.map((end) => end[key]))
      const sameSize = (seed: number) => supervised.filter((run) => run.seed === seed && run.hidden === hidden)
      const anySize = (seed: number) => supervised.filter((run) => run.seed === seed)
      return {
        method,
        hidden,
        loss: meanOf('loss'),
        exact: meanOf('exact'),
        flops: meanOf('flops'),
        helperFlops: meanOf('helperFlops'),
        own: differenceFrom(ends, sameSize, ({ flops }) => flops),
        whole: differenceFrom(ends, anySize, ({ flops, helperFlops }) => flops + helperFlops),
      }
    })
    .sort((a, b) => a.hidden - b.hidden)
}
