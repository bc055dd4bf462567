/**
 * Methods compared at equal compute: each went on from the same weights with the same budget, and is measured once, at its end, on sums
 * by which nothing was chosen. Differences are paired by seed, and p is corrected for all comparisons of the study (Holm).
 */

import type { Interval } from '../../statistics/intervals.ts'
import { detectable, pairedT } from '../../statistics/pairedT.ts'
import { holm } from '../../statistics/resampling.ts'
import { mean } from '../../statistics/summary.ts'
import type { CellResult } from './cells.ts'
import { type Method, methodNames } from './settings.ts'

/** A difference, with its corrected p, and what the study would have seen with probability 0.8. */
export type Difference = Interval & { p: number; detectable: number }

export type Comparison = {
  method: Method
  hidden: number
  seeds: number
  rate: number
  beta?: number
  /** Means over the seeds: geometric of the loss. */
  loss: number
  exact: number
  flops: number
  helperFlops: number
  /** log(loss / loss of the rival): below 0 is better. Undefined for the rival itself. */
  byLoss?: Difference
  /** Share of exact answers less that of the rival. */
  byExact?: Difference
  /** Its compute is not that of the others, so nothing is said of it. */
  unequal?: boolean
}

export type MethodStudy = { rival: Method; comparisons: Comparison[] }

/** Supervised training with a falling rate is the rival: what anyone would do with the compute. */
const rivalOf = (results: readonly CellResult[]): Method =>
  results.some(({ method }) => method === 'sft-decay') ? 'sft-decay' : 'sft'

/** Of the budget; steps are whole, and completions have lengths of their own. */
const largestInequality = 0.05

/** @param results of finished cells; those of other kinds are not read */
export const compareMethods = (results: readonly CellResult[]): MethodStudy | undefined => {
  const runs = results.filter(({ kind }) => kind === 'method')
  if (!runs.some(({ method }) => method !== 'sft')) return undefined
  const rival = rivalOf(runs)
  const hiddens = [...new Set(runs.map(({ hidden }) => hidden))].sort((a, b) => a - b)
  const groups = hiddens.flatMap((hidden) =>
    methodNames.flatMap((method) => {
      const own = runs.filter((run) => run.hidden === hidden && run.method === method)
      return own.length ? [{ own, against: runs.filter((run) => run.hidden === hidden && run.method === rival) }] : []
    }),
  )
  const compared = groups.map(({ own, against }) => comparisonOf(own, against, rival))
  const tested = compared.filter(({ byLoss }) => byLoss)
  for (const key of ['byLoss', 'byExact'] as const) {
    const corrected = holm(tested.map((comparison) => comparison[key]!.p))
    for (const [i, comparison] of tested.entries()) comparison[key]!.p = corrected[i]
  }
  return { rival, comparisons: compared }
}

const comparisonOf = (own: readonly CellResult[], against: readonly CellResult[], rival: Method): Comparison => {
  const { hidden, rate, beta, budget } = own[0]
  const method = own[0].method!
  const flops = mean(own.map((run) => run.flops))
  const pairs = own.flatMap((run) => {
    const other = against.find(({ seed }) => seed === run.seed)
    return other ? [{ run: run.reported!, other: other.reported! }] : []
  })
  const byLoss = pairs.map(({ run, other }) => Math.log(run.loss / other.loss))
  const byExact = pairs.map(({ run, other }) => run.exact.share - other.exact.share)
  return {
    method,
    hidden,
    seeds: own.length,
    rate,
    ...(beta !== undefined && { beta }),
    loss: Math.exp(mean(own.map(({ reported }) => Math.log(reported!.loss)))),
    exact: mean(own.map(({ reported }) => reported!.exact.share)),
    flops,
    helperFlops: mean(own.map((run) => run.helperFlops)),
    ...(method !== rival && {
      byLoss: { ...pairedT(byLoss), detectable: detectable(byLoss) },
      byExact: { ...pairedT(byExact), detectable: detectable(byExact) },
    }),
    ...(Math.abs(flops / budget - 1) > largestInequality && { unequal: true }),
  }
}
