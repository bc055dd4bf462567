/** All bias figures of a judge from its judgements: of pairs, and of what was made to try it. */
import type { Judgement as JudgeRow } from '../judge/judge.ts'
import type { JudgedPair } from '../winRate/judgements.ts'
import { type AgreementWithPeople, agreementFigures, votedPairs } from './agreement.ts'
import { type Figure, meanFigure } from './figure.ts'
import { type LengthFigures, lengthFigures } from './length.ts'
import { type MarkedPair, type MarkOrderFigures, markOrderFigures } from './markOrder.ts'
import { type NameFigures, nameFigures, ordersOf, type PositionFigures, positionFigures } from './position.ts'
import { type SelfFigures, selfFigures } from './selfEnhancement.ts'

/** What was made to try a judge, with its verdicts. The answer that should win is A. */
export type Trials = {
  /** The pairs again, with the names of the two answers exchanged. */
  renamed?: readonly JudgeRow[]
  /** A list against itself with a rephrased copy before it. */
  padded?: readonly JudgeRow[]
  padding?: Padding
  /** A right answer against a wrong one: plain, with the judge's own solution, and with a reference. */
  math?: Partial<Record<MathMode, readonly JudgeRow[]>>
  /** Whether the questions are the rows' own. */
  ownQuestions?: boolean
}

const mathModes = ['plain', 'own_solution', 'reference'] as const
export type MathMode = (typeof mathModes)[number]

/** How lists were padded. */
export type Padding = {
  /** Who said them in other words. */
  by: 'rule' | 'judge'
  /** Lists that were made of sentences. */
  made: number
  /** Lists that the judge did not say in other words, item by item: they are not asked about. */
  left: number
}

export type FailureFigures = {
  /** The verdict of both orders is for the other answer. */
  wrong: Figure
  /** It is a tie, or depends on the order. */
  undecided: Figure
  /** Either: the verdict is not for the answer that should win. */
  failure: Figure
  /** Without a verdict: not counted in the others. */
  error: Figure
}

export type BiasFigures = {
  judge: string
  pairs: number
  position?: PositionFigures
  /** Where only the verdict of both orders is known: shares of pairs whose verdict did not change with the order. */
  consistent?: Figure
  names?: NameFigures
  length?: LengthFigures
  padding?: FailureFigures & Padding
  math?: { modes: Partial<Record<MathMode, FailureFigures>>; ownQuestions: boolean }
  self?: SelfFigures & { model: string }
  agreement?: AgreementWithPeople
  marks?: MarkOrderFigures
}

type Input = {
  judge: string
  pairs: readonly JudgedPair[]
  /** Of people, on the same pairs. */
  votes: readonly JudgedPair[]
  trials?: Trials
  /** The judge's own model among the models of the pairs. */
  ownModel?: string
  marks?: readonly MarkedPair[]
}

export const biasFigures = ({ judge, pairs, votes, trials = {}, ownModel, marks = [] }: Input): BiasFigures => {
  const orders = ordersOf(pairs)
  const known = pairs.filter(({ preferred }) => preferred !== undefined)
  const onlyConsistency = !orders.length && known.some(({ inconsistent }) => inconsistent)
  const people = agreementFigures(votedPairs(pairs, votes))
  const self = ownModel === undefined ? undefined : selfFigures(pairs, votes, ownModel)
  const padded = trials.padded && failureFigures(trials.padded)
  const ofMath = mathModes.flatMap((mode) => {
    const figures = trials.math?.[mode] && failureFigures(trials.math[mode])
    return figures ? [[mode, figures] as const] : []
  })
  const renamed = trials.renamed && nameFigures(orders, rowOrders(trials.renamed))
  return {
    judge,
    pairs: pairs.length,
    position: positionFigures(orders),
    consistent: onlyConsistency
      ? meanFigure(known.map(({ item, inconsistent }) => ({ item, value: Number(!inconsistent) })))
      : undefined,
    names: renamed,
    length: lengthFigures(pairs),
    padding: padded && trials.padding && { ...padded, ...trials.padding },
    math: ofMath.length ? { modes: Object.fromEntries(ofMath), ownQuestions: trials.ownQuestions ?? false } : undefined,
    self: self && ownModel !== undefined ? { ...self, model: ownModel } : undefined,
    agreement: Object.values(people).some(Boolean) ? people : undefined,
    marks: markOrderFigures(marks),
  }
}

const rowOrders = (rows: readonly JudgeRow[]) =>
  rows.flatMap(({ id, verdicts: [first, second] }) =>
    first && second ? [{ item: String(id), orders: [first, second] as const }] : [],
  )

/** Of rows in which A should win. @returns undefined of no rows that were judged */
const failureFigures = (rows: readonly JudgeRow[]): FailureFigures | undefined => {
  const share = (of: readonly JudgeRow[], test: (row: JudgeRow) => boolean) =>
    meanFigure(of.map((row) => ({ item: String(row.id), value: Number(test(row)) })))
  const decided = rows.filter(({ verdict }) => verdict !== 'error' && verdict !== null)
  const error = share(rows, ({ verdict }) => verdict === 'error')
  const wrong = share(decided, ({ verdict }) => verdict === 'B')
  const undecided = share(decided, ({ verdict }) => verdict === 'tie')
  const failure = share(decided, ({ verdict }) => verdict !== 'A')
  return error && wrong && undecided && failure && { wrong, undecided, failure, error }
}
