/**
 * The modified laws: self-play against supervised training at equal compute. Peculiar: a method is compared with the
 * supervised run of the same size and seed at the compute that it took itself, and once more, its helper's compute
 * counted too, with the best that supervised training of any size made of as much.
 */

import { type Interval, tInterval } from '../../statistics/intervals.ts'
import { mean } from '../../statistics/summary.ts'
import type { CellResult, CurvePoint, Mark } from './cells.ts'
import type { Method } from './settings.ts'
import { bestSoFar, type Curve, shareAt, valueAt } from './statistics.ts'

/** Differences to supervised training at equal compute, over the seeds. */
export type Against = {
  seeds: number
  /** log(loss / supervised loss): below 0 is better. */
  loss: Interval
  /** Share of exact answers less that of supervised training. */
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
  /** The same size and seed, at the compute without the helper's; undefined where supervised runs are too short. */
  own?: Against
  /** Any size of the same seed, at the compute with the helper's. */
  whole?: Against
}

const lossOf = (curve: readonly CurvePoint[]): Curve => curve.map(({ flops, loss }) => [flops, loss] as const)
const exactOf = (marks: readonly Mark[]): Curve => marks.map(({ flops, exact }) => [flops, exact.share] as const)

/** What supervised runs reach with so much compute, the best of them; either undefined where all are shorter or begin later. */
const reached = (runs: readonly CellResult[], flops: number) => {
  const known = (values: (number | undefined)[]) => values.filter((value) => value !== undefined)
  const losses = known(runs.map(({ curve }) => valueAt(bestSoFar(lossOf(curve)), flops)))
  const shares = known(runs.map(({ marks }) => shareAt(exactOf(marks), flops)))
  return losses.length && shares.length ? { loss: Math.min(...losses), exact: Math.max(...shares) } : undefined
}

type End = { flops: number; helperFlops: number; loss: number; exact: number; seed: number }

const endOf = ({ curve, marks, seed }: CellResult): End => {
  const { flops, helperFlops } = curve.at(-1)!
  return { flops, helperFlops, seed, loss: bestSoFar(lossOf(curve)).at(-1)![1], exact: marks.at(-1)!.exact.share }
}

const against = (
  ends: readonly End[],
  runsOf: (seed: number) => readonly CellResult[],
  budget: (end: End) => number,
): Against | undefined => {
  const pairs = ends.flatMap((end) => {
    const other = reached(runsOf(end.seed), budget(end))
    return other ? [{ loss: Math.log(end.loss / other.loss), exact: end.exact - other.exact }] : []
  })
  if (pairs.length < ends.length) return undefined
  const of = (key: 'loss' | 'exact') => tInterval(pairs.map((pair) => pair[key]))
  return { seeds: pairs.length, loss: of('loss'), exact: of('exact') }
}

export const modifiedLaws = (results: readonly CellResult[]): Comparison[] => {
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
      const ends = group.map(endOf)
      const of = (key: keyof End) => mean(ends.map((end) => end[key]))
      const sameSize = (seed: number) => supervised.filter((run) => run.seed === seed && run.hidden === hidden)
      const anySize = (seed: number) => supervised.filter((run) => run.seed === seed)
      return {
        ...{ method, hidden, loss: of('loss'), exact: of('exact'), flops: of('flops'), helperFlops: of('helperFlops') },
        own: against(ends, sameSize, ({ flops }) => flops),
        whole: against(ends, anySize, ({ flops, helperFlops }) => flops + helperFlops),
      }
    })
    .sort((a, b) => a.hidden - b.hidden)
}
