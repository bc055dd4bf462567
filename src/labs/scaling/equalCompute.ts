/**
 * Self-play compared with supervised training at equal compute. Each self-play run is compared twice: with the supervised
 * run of the same size and seed, at the compute of the run itself; and with the best supervised run of any size, at the
 * compute of the run and its helper model together.
 */

import { type Interval, tInterval } from '../../statistics/intervals.ts'
import { mean } from '../../statistics/summary.ts'
import type { CellResult, ExactMatchPoint, LossPoint } from './cells.ts'
import type { Method } from './settings.ts'
import { bestSoFar, type Curve, shareAt, valueAt } from './statistics.ts'

/** Differences to supervised training at equal compute, with intervals over the seeds. */
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
  /** Means over the seeds, at the end. */
  loss: number
  exact: number
  flops: number
  helperFlops: number
  /** To the same size and seed, at the compute without the helper model's; undefined where supervised runs are too short. */
  own?: Difference
  /** To any size of the same seed, at the compute with the helper model's. */
  whole?: Difference
}

const lossCurve = (curve: readonly LossPoint[]): Curve => curve.map(({ flops, loss }) => [flops, loss] as const)
const exactCurve = (marks: readonly ExactMatchPoint[]): Curve =>
  marks.map(({ flops, exact }) => [flops, exact.share] as const)

/** The best loss and share of exact completions of these runs with so much compute; undefined where no run has a value there. */
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

const differenceTo = (
  ends: readonly FinalPoint[],
  runsOf: (seed: number) => readonly CellResult[],
  budget: (end: FinalPoint) => number,
): Difference | undefined => {
  const pairs = ends.flatMap((end) => {
    const other = bestAt(runsOf(end.seed), budget(end))
    return other ? [{ loss: Math.log(end.loss / other.loss), exact: end.exact - other.exact }] : []
  })
  if (pairs.length < ends.length) return undefined
  const of = (key: 'loss' | 'exact') => tInterval(pairs.map((pair) => pair[key]))
  return { seeds: pairs.length, loss: of('loss'), exact: of('exact') }
}

export const compareAtEqualCompute = (results: readonly CellResult[]): Comparison[] => {
  const supervised = results.filter(({ method }) => method === 'sft')
  const others = results.filter(({ method }) => method !== 'sft')
  const groups = new Map<string, CellResult[]>()
  for (const result of others) {
    const key = `${result.method} ${result.hidden}`
    groups.set(key, [...(groups.get(key) ?? []), result])
  }
  return [...groups.values()]
    .map((group): Comparison => {
      const { method, hidden } = group[0]
      const ends = group.map(finalPoint)
      const of = (key: 'loss' | 'exact' | 'flops' | 'helperFlops') => mean(ends.map((end) => end[key]))
      const sameSize = (seed: number) => supervised.filter((run) => run.seed === seed && run.hidden === hidden)
      const anySize = (seed: number) => supervised.filter((run) => run.seed === seed)
      return {
        method,
        hidden,
        loss: of('loss'),
        exact: of('exact'),
        flops: of('flops'),
        helperFlops: of('helperFlops'),
        own: differenceTo(ends, sameSize, ({ flops }) => flops),
        whole: differenceTo(ends, anySize, ({ flops, helperFlops }) => flops + helperFlops),
      }
    })
    .sort((a, b) => a.hidden - b.hidden)
}
