/**
 * How much a judge's verdict depends on which answer stands first: shares of pairs (Zheng et al. 2023, arXiv 2306.05685, table 2),
 * and the tilt of single verdicts.
 */
import type { JudgedPair, PairVerdict } from '../winRate/judgements.ts'
import { type Counted, type Figure, meanFigure } from './figure.ts'

export type PositionFigures = {
  /** Shares of pairs, which add up to 1. Consistent: the same verdict in both orders. */
  consistent: Figure
  /** Not consistent, and more for the answer that stands first. */
  first: Figure
  second: Figure
  /** Without a verdict in one order or both. */
  error: Figure
  /** The same verdict in both orders, of the pairs that have two. */
  steady?: Figure
  /** Single verdicts for the first answer less those for the second, as a share of the readable ones: 0 without a bias. */
  tilt?: Figure
  /** Single verdicts for the first answer among those that are no ties: 0.5 without a bias. */
  prefers_first?: Figure
  /** Replies without a verdict, of all. */
  unreadable: Figure
}

export type Orders = { item: string; orders: readonly [PairVerdict, PairVerdict] }

/** 1 for the answer that stood first, -1 for the second, 0 for a tie. @param second the order in which b stood first */
const towardsFirst = (verdict: Exclude<PairVerdict, 'error'>, second: boolean): number => {
  if (verdict === 'tie') return 0
  return (verdict === 'A') === second ? -1 : 1
}

/** What a pair shows: +1 or -1 for a leaning to the first or second place, 0 for none, undefined for an error. */
const leaning = ([one, two]: Orders['orders']): number | undefined =>
  one === 'error' || two === 'error' ? undefined : Math.sign(towardsFirst(one, false) + towardsFirst(two, true))

/** @returns undefined of no pairs in both orders */
export const positionFigures = (pairs: readonly Orders[]): PositionFigures | undefined => {
  if (!pairs.length) return undefined
  const share = (test: (orders: Orders['orders']) => boolean) =>
    meanFigure(pairs.map(({ item, orders }) => ({ item, value: Number(test(orders)) })))!
  const said = pairs.flatMap(({ item, orders }) =>
    orders.flatMap((verdict, i): Counted[] =>
      verdict === 'error' ? [] : [{ item, value: towardsFirst(verdict, i === 1) }],
    ),
  )
  const decided = said.filter(({ value }) => value !== 0).map(({ item, value }) => ({ item, value: (value + 1) / 2 }))
  const errors = pairs.flatMap(({ item, orders }) =>
    orders.map((verdict) => ({ item, value: Number(verdict === 'error') })),
  )
  return {
    consistent: share(([one, two]) => one !== 'error' && one === two),
    first: share((orders) => leaning(orders) === 1),
    second: share((orders) => leaning(orders) === -1),
    error: share((orders) => orders.includes('error')),
    steady: meanFigure(
      pairs
        .filter(({ orders }) => !orders.includes('error'))
        .map(({ item, orders: [one, two] }) => ({ item, value: Number(one === two) })),
    ),
    tilt: meanFigure(said, { low: -1 }),
    prefers_first: meanFigure(decided),
    unreadable: meanFigure(errors)!,
  }
}

/** The pairs of judgements whose two orders are known. */
export const ordersOf = (pairs: readonly JudgedPair[]): Orders[] =>
  pairs.flatMap(({ item, orders }) => (orders ? [{ item, orders }] : []))

export type NameFigures = {
  /** Position figures with the names of the two answers swapped. */
  renamed: PositionFigures
  /** How much of the tilt goes to the name A, wherever it stands, and how much to the first place, whatever its name. */
  name?: Figure
  place?: Figure
}

/**
 * Tells a liking for the first place from one for the name that the prompt gives to the first answer: where the names are
 * swapped, the first changes sign and the second does not.
 */
export const nameFigures = (plain: readonly Orders[], renamed: readonly Orders[]): NameFigures | undefined => {
  const figures = positionFigures(renamed)
  if (!figures) return undefined
  const half = (pairs: readonly Orders[], sign: number) =>
    pairs.flatMap(({ item, orders }) =>
      orders.flatMap((verdict, i): Counted[] =>
        verdict === 'error' ? [] : [{ item, value: sign * towardsFirst(verdict, i === 1) }],
      ),
    )
  return {
    renamed: figures,
    name: meanFigure([...half(plain, 1), ...half(renamed, -1)], { low: -1 }),
    place: meanFigure([...half(plain, 1), ...half(renamed, 1)], { low: -1 }),
  }
}
