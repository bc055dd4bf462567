/**
 * How far a judge agrees with people on the same pairs, with ties and without, against how far people agree with each other
 * (Zheng et al. 2023, arXiv 2306.05685, table 5).
 */
import { cohenKappa } from '../../statistics/agreement.ts'
import { bootstrapInterval, makeDraws } from '../../statistics/resampling.ts'
import type { JudgedPair } from '../winRate/judgements.ts'
import { type Counted, type Figure, meanFigure } from './figure.ts'

export type AgreementWithPeople = {
  /** The judge's verdict against each vote of a person. */
  judge_human_with_ties?: Figure
  judge_human_no_ties?: Figure
  /** Each two votes of people on the same pair. */
  human_human_with_ties?: Figure
  human_human_no_ties?: Figure
  /** Cohen's kappa of the judge and the most frequent vote, over A, B and tie; a shared lead is a tie. */
  kappa?: Figure
}

type Vote = 'A' | 'B' | 'tie'

/** A pair of answers with the judge's verdict, and what people said of it. */
export type VotedPair = { item: string; judge?: Vote; human: readonly Vote[] }

/**
 * A tie is a verdict as the others "with ties"; "no ties" leaves out a comparison where either side is a tie. A tie because the
 * judge's verdict changed with the order is a tie; an error is no verdict.
 */
export const agreementFigures = (pairs: readonly VotedPair[]): AgreementWithPeople => {
  const judged = pairs.flatMap(({ item, judge, human }) =>
    judge === undefined ? [] : human.map((vote) => ({ item, votes: [judge, vote] as const })),
  )
  const people = pairs.flatMap(({ item, human }) =>
    human.flatMap((vote, i) => human.slice(i + 1).map((other) => ({ item, votes: [vote, other] as const }))),
  )
  const share = (compared: typeof judged, ties: boolean) =>
    meanFigure(
      compared
        .filter(({ votes }) => ties || !votes.includes('tie'))
        .map(({ item, votes: [x, y] }): Counted => ({ item, value: Number(x === y) })),
    )
  return {
    judge_human_with_ties: share(judged, true),
    judge_human_no_ties: share(judged, false),
    human_human_with_ties: share(people, true),
    human_human_no_ties: share(people, false),
    kappa: kappaFigure(pairs),
  }
}

const classes = { A: 0, B: 1, tie: 2 } as const
const draws = makeDraws(0, { resamples: 1000 })

const kappaFigure = (pairs: readonly VotedPair[]): Figure | undefined => {
  const units = pairs.flatMap(({ judge, human }) =>
    judge === undefined || !human.length ? [] : [[classes[judge], classes[majority(human)]] as const],
  )
  // In rows that put the preferred answer first people say one thing only, and chance cannot be told from agreement
  if (new Set(units.map(([, people]) => people)).size < 2) return undefined
  const kappa = (rows: Iterable<number>) => {
    const counts = new Float64Array(9)
    for (const row of rows) counts[3 * units[row][0] + units[row][1]]++
    return cohenKappa(
      { x: Array.from(counts, (_, i) => Math.floor(i / 3)), y: Array.from(counts, (_, i) => i % 3), count: counts },
      3,
    )
  }
  const found = bootstrapInterval(units.length, kappa, draws)
  return Number.isFinite(found.value) ? { ...found, n: units.length } : undefined
}

const majority = (votes: readonly Vote[]): Vote => {
  const count = (vote: Vote) => votes.filter((each) => each === vote).length
  const most = Math.max(...(['A', 'B', 'tie'] as const).map(count))
  const leading = (['A', 'B', 'tie'] as const).filter((vote) => count(vote) === most)
  return leading.length === 1 ? leading[0] : 'tie'
}

const voteOf = (preferred: number): Vote => (preferred === 0.5 ? 'tie' : preferred < 0.5 ? 'A' : 'B')

/** One key for a pair of models on one prompt and turn, whichever of the two the row names first. */
const unitOf = ({ item, turn, a, b }: JudgedPair) => JSON.stringify([item, turn ?? null, ...[a, b].sort()])

/** The verdict as the models in alphabetic order have it. */
const sorted = (pair: JudgedPair): Vote | undefined => {
  if (pair.preferred === undefined) return undefined
  return voteOf(pair.a <= pair.b ? pair.preferred : 1 - pair.preferred)
}

/** The judge's verdicts with people's votes on the same pairs: those in its own rows, and those of other rows about the same prompt and models. */
export const votedPairs = (judged: readonly JudgedPair[], votes: readonly JudgedPair[]): VotedPair[] => {
  const units = new Map<string, { item: string; judge: (Vote | undefined)[]; human: Vote[] }>()
  const unit = (pair: JudgedPair) => {
    const key = unitOf(pair)
    const there = units.get(key) ?? { item: pair.item, judge: [], human: [] }
    units.set(key, there)
    return there
  }
  for (const pair of votes) unit(pair).human.push(...[sorted(pair) ?? []].flat())
  const own = judged.flatMap((pair): VotedPair[] =>
    pair.human?.length
      ? [
          {
            item: pair.item,
            judge: pair.preferred === undefined ? undefined : voteOf(pair.preferred),
            human: pair.human,
          },
        ]
      : [],
  )
  for (const pair of judged) if (!pair.human?.length) unit(pair).judge.push(sorted(pair))
  const others = [...units.values()].flatMap(({ item, judge, human }): VotedPair[] => {
    if (!human.length) return []
    // People's votes among themselves count once, whoever judged
    const [first, ...more] = judge
    return [
      { item, judge: first, human },
      ...more.flatMap((verdict) => human.map((vote) => ({ item, judge: verdict, human: [vote] }))),
    ]
  })
  return [...own, ...others]
}
