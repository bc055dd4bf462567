/** The order effect on marks: two answers marked side by side, once in each order. */
import { bootstrapInterval, makeDraws } from '../../statistics/resampling.ts'
import type { Figure } from './figure.ts'

/** Marks [of a, of b] with a shown first and with b shown first; null where there were none. */
export type MarkedPair = {
  item: string
  first: readonly [number, number] | null
  second: readonly [number, number] | null
}

export type MarkOrderFigures = {
  /** Sum of the marks of b over that of the marks of a, with a shown first: what table 1 of QLoRA (arXiv 2305.14314) gives in percent. */
  a_first: Figure
  b_first: Figure
  /** Both orders pooled. */
  mean: Figure
  /** The second less the first: 0 without an order effect. */
  effect: Figure
}

const draws = makeDraws(0, { resamples: 1000 })

/** @returns undefined where one of the orders has no marks */
export const markOrderFigures = (pairs: readonly MarkedPair[]): MarkOrderFigures | undefined => {
  const [n, m] = (['first', 'second'] as const).map((order) => pairs.filter((pair) => pair[order]).length)
  if (!n || !m) return undefined
  const ratio = (marks: readonly (readonly [number, number] | null)[]) => {
    let [ofA, ofB] = [0, 0]
    for (const mark of marks)
      if (mark) {
        ofA += mark[0]
        ofB += mark[1]
      }
    return ofB / ofA
  }
  const figure = (count: number, of: (rows: readonly MarkedPair[]) => number): Figure => {
    const statistic = (rows: Uint32Array) => of(Array.from(rows, (row) => pairs[row]))
    return { ...bootstrapInterval(pairs.length, statistic, draws), n: count }
  }
  const inFirst = (rows: readonly MarkedPair[]) => ratio(rows.map(({ first }) => first))
  const inSecond = (rows: readonly MarkedPair[]) => ratio(rows.map(({ second }) => second))
  return {
    a_first: figure(n, inFirst),
    b_first: figure(m, inSecond),
    mean: figure(n + m, (rows) => ratio(rows.flatMap(({ first, second }) => [first, second]))),
    effect: figure(Math.min(n, m), (rows) => inSecond(rows) - inFirst(rows)),
  }
}
