/**
 * How far a judge agrees with people on the same pairs, with ties and without, against how far people agree with each other
 * (Zheng et al. 2023, arXiv 2306.05685, table 5).
 */
import type { JudgedPair } from '../judgements.ts'
import { type Counted, type Figure, meanFigure } from './figure.ts'

export type AgreementWithPeople = {
  /** The judge's verdict against each vote of a person. */
  judge_human_with_ties?: Figure
  judge_human_no_ties?: Figure
  /** Each two votes of people on the same pair. */
  human_human_with_ties?: Figure
  human_human_no_ties?: Figure
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
  }
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
