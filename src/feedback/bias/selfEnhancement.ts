/** Whether a judge prefers the answers of its own model: their win rate by the judge less that by everybody else on the same pairs. */
import type { JudgedPair } from '../winRate/judgements.ts'
import { type Counted, differenceFigure, type Figure, meanFigure } from './figure.ts'

export type SelfFigures = {
  /** Win rate of its own model by the judge, ties one half. */
  by_itself: Figure
  /** The same by others: people, or other judges. */
  by_others: Figure
  /** The first less the second: 0 without self-enhancement. */
  difference: Figure
}

/**
 * Only pairs with the model that both judged count.
 * @param own name of the judge's own model among the models
 * @returns undefined where there is no such pair
 */
export const selfFigures = (
  judged: readonly JudgedPair[],
  others: readonly JudgedPair[],
  own: string,
): SelfFigures | undefined => {
  const shares = (pairs: readonly JudgedPair[]) =>
    pairs.flatMap((pair) => {
      const { item, a, b, preferred, turn } = pair
      if (preferred === undefined || a === b || (a !== own && b !== own)) return []
      const unit = JSON.stringify([item, turn ?? null, a === own ? b : a])
      return [{ unit, item, value: a === own ? 1 - preferred : preferred }]
    })
  const [mine, theirs] = [shares(judged), [...shares(others), ...shares(judged.flatMap(votesIn))]]
  const [ofMine, ofTheirs] = [mine, theirs].map((all) => new Set(all.map(({ unit }) => unit)))
  const kept = (all: typeof mine, known: Set<string>): Counted[] => all.filter(({ unit }) => known.has(unit))
  const [x, y] = [kept(mine, ofTheirs), kept(theirs, ofMine)]
  const [by_itself, by_others, difference] = [meanFigure(x), meanFigure(y), differenceFigure(x, y)]
  return by_itself && by_others && difference && { by_itself, by_others, difference }
}

/** People's votes in a judge's row, as rows of their own. */
const votesIn = ({ human = [], ...pair }: JudgedPair): JudgedPair[] =>
  human.map((vote) => ({ ...pair, preferred: { A: 0, tie: 0.5, B: 1 }[vote] }))
