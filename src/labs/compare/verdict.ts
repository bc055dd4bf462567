/**
 * Who is preferred, by one judge or by several. Peculiar: a preference by a judge that one of the policies was trained on is
 * no evidence by itself, for a policy learns its reward model's faults too; what counts is a judge that neither was
 * trained on.
 */
import type { Interval } from '../../statistics/intervals.ts'
import type { JudgeMaterial, PairFindings } from './findings.ts'

/** The level of all tests of a question together. */
export const level = 0.05
/** Win rates within this of a half are taken to be equal. */
export const margin = 0.05

export type Verdict = 'a' | 'b' | 'equal' | 'unsure'

/** Of one pair under one judge. */
export const verdictOf = ({ corrected, winRate: { value, low, high } }: PairFindings): Verdict => {
  if (corrected < level) return value > 0.5 ? 'a' : 'b'
  return low >= 0.5 - margin && high <= 0.5 + margin ? 'equal' : 'unsure'
}

export const by = (verdict: Verdict, pairs: readonly PairFindings[]): PairFindings[] =>
  pairs.filter((each) => verdictOf(each) === verdict)

export const undecidedBy = (pairs: readonly PairFindings[]): PairFindings[] =>
  pairs.filter((each) => ['equal', 'unsure'].includes(verdictOf(each)))

/** None, one, or both of them. */
export const winnersOf = (pairs: readonly PairFindings[]): ('a' | 'b')[] =>
  (['a', 'b'] as const).filter((side) => by(side, pairs).length > 0)

/** The winner's name, then the other's. */
export const sided = (winner: Verdict, { a, b }: PairFindings): [string, string] => (winner === 'a' ? [a, b] : [b, a])

/** How often the winner is preferred. */
export const seenFrom = (winner: Verdict, { value, low, high }: Interval): Interval =>
  winner === 'b' ? { value: 1 - value, low: 1 - high, high: 1 - low } : { value, low, high }

/** All judges of each pair together. */
export const pairsOf = (found: readonly PairFindings[]): PairFindings[][] => {
  const pairs = new Map<string, PairFindings[]>()
  for (const each of found) {
    const key = JSON.stringify([each.a, each.b])
    pairs.set(key, [...(pairs.get(key) ?? []), each])
  }
  return [...pairs.values()]
}

/** Judges that either was trained on, and the others. */
export const sidesOf = (
  pair: readonly PairFindings[],
  judges: readonly JudgeMaterial[],
): { own: PairFindings[]; third: PairFindings[] } => {
  const isOwn = ({ judge, a, b }: PairFindings) =>
    judges.some(({ name, trained }) => name === judge && (trained.includes(a) || trained.includes(b)))
  return { own: pair.filter(isOwn), third: pair.filter((each) => !isOwn(each)) }
}
