/**
 * How often a judge prefers the longer of two answers. A longer answer may be the better one: where people voted on the same
 * pairs, theirs is the measure; the attack with padded lists (padding.ts) tells it without people.
 */
import type { JudgedPair } from '../winRate/judgements.ts'
import { type Counted, differenceFigure, type Figure, meanFigure } from './figure.ts'

/** Answers whose lengths differ by no more characters count as equally long. */
const sameLength = 30

export type LengthFigures = {
  /** P(the longer answer is preferred | lengths differ by more than 30 characters, no tie): 0.5 without a preference. */
  longer: Figure
  /** Verdicts for the longer answer less those for the shorter, of the single ones where both orders are known. */
  tilt?: Figure
  /** People's P(the longer is preferred) on the same pairs, and how much more often the judge prefers it. */
  people?: Figure
  excess?: Figure
  /** By how many characters the lengths differ: shares of verdicts for the longer one. */
  by_difference: { from: number; to: number | null; longer: Figure }[]
}

/** Where differences of length are split, in characters. */
const bounds = [sameLength, 100, 300, 1000, Number.POSITIVE_INFINITY]

type Differing = JudgedPair & { lengths: readonly [number, number] }

/** @returns undefined where no verdict is about answers whose lengths differ */
export const lengthFigures = (pairs: readonly JudgedPair[]): LengthFigures | undefined => {
  const differing = pairs.filter(
    (pair): pair is Differing => pair.lengths !== undefined && differenceOf(pair.lengths) > sameLength,
  )
  const longer = meanFigure(differing.flatMap(judgeLonger))
  if (!longer) return undefined
  const byPeople = differing.flatMap((pair) =>
    (pair.human ?? []).flatMap((vote) => (vote === 'tie' ? [] : [ofLonger(pair, vote === 'B')])),
  )
  const withPeople = differing.filter(({ human }) => human?.some((vote) => vote !== 'tie'))
  const people = meanFigure(byPeople)
  const excess = people && differenceFigure(withPeople.flatMap(judgeLonger), byPeople)
  const parts = bounds.slice(1).flatMap((to, i) => {
    const figure = meanFigure(
      differing
        .filter(({ lengths }) => differenceOf(lengths) > bounds[i] && differenceOf(lengths) <= to)
        .flatMap(judgeLonger),
    )
    return figure ? [{ from: bounds[i], to: Number.isFinite(to) ? to : null, longer: figure }] : []
  })
  return {
    longer,
    tilt: meanFigure(differing.flatMap(singleVerdicts), { low: -1 }),
    ...(people && { people }),
    ...(excess && { excess }),
    by_difference: parts,
  }
}

const differenceOf = ([a, b]: readonly [number, number]) => Math.abs(a - b)

const ofLonger = ({ item, lengths: [a, b] }: Differing, preferredB: boolean): Counted => ({
  item,
  value: Number(preferredB === b > a),
})

/** One value where the judge decided. */
const judgeLonger = (pair: Differing): Counted[] => {
  const { preferred } = pair
  return preferred === undefined || preferred === 0.5 ? [] : [ofLonger(pair, preferred > 0.5)]
}

/** 1 for the longer answer, -1 for the shorter, 0 for a tie, of each order that can be read. */
const singleVerdicts = (pair: Differing): Counted[] =>
  (pair.orders ?? []).flatMap((verdict): Counted[] => {
    if (verdict === 'error') return []
    if (verdict === 'tie') return [{ item: pair.item, value: 0 }]
    return [{ item: pair.item, value: 2 * ofLonger(pair, verdict === 'B').value - 1 }]
  })
