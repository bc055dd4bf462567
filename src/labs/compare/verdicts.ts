/**
 * Which policy of each pair the judges prefer.
 *
 * A preference by a judge that one of the two was trained on is no evidence by itself, because a policy learns the faults of
 * its reward model too. What counts is a judge that neither was trained on.
 */
import type { Interval } from '../../statistics/intervals.ts'
import type { CompareFindings, JudgeInfo, PairFindings } from './findings.ts'

/** Significance level of all tests of a question together. */
export const significance = 0.05
/** Two policies whose win rate lies within this of one half, with its whole interval, count as equal. */
export const equivalence = 0.05

export type Side = 'a' | 'b'
export type Preference = Side | 'equal' | 'undecided'

/** Which policy of a pair one judge prefers. */
export const preferenceOf = ({ corrected, winRate: { value, low, high } }: PairFindings): Preference => {
  if (corrected < significance) return value > 0.5 ? 'a' : 'b'
  return low >= 0.5 - equivalence && high <= 0.5 + equivalence ? 'equal' : 'undecided'
}

export const preferring = (side: Side, pairs: readonly PairFindings[]): PairFindings[] =>
  pairs.filter((pair) => preferenceOf(pair) === side)

export const preferringNone = (pairs: readonly PairFindings[]): PairFindings[] =>
  pairs.filter((pair) => !['a', 'b'].includes(preferenceOf(pair)))

/** Whether a judge gives the same reward to nearly all pairs of answers: it hardly tells any apart. */
export const mostlyTies = ({ outcome }: PairFindings): boolean => outcome.ties >= 0.8

/** Those of a pair's judges that tell answers apart; their order is kept. */
export const telling = (pairs: readonly PairFindings[]): PairFindings[] => pairs.filter((pair) => !mostlyTies(pair))

/** The judges that a verdict rests on: those that neither was trained on, where there are some. */
export const judgedBy = (pair: readonly PairFindings[], judges: readonly JudgeInfo[]): PairFindings[] => {
  const { own, independent } = splitJudges(pair, judges)
  return independent.length ? independent : own
}

/** The sides that some judge prefers: none, one or both. */
const preferredSides = (pairs: readonly PairFindings[]): Side[] =>
  (['a', 'b'] as const).filter((side) => preferring(side, pairs).length > 0)

/** The findings of each pair of policies together, one for each judge. */
export const groupByPair = (findings: readonly PairFindings[]): PairFindings[][] => {
  const pairs = new Map<string, PairFindings[]>()
  for (const each of findings) {
    const key = JSON.stringify([each.a, each.b])
    pairs.set(key, [...(pairs.get(key) ?? []), each])
  }
  return [...pairs.values()]
}

/** `own`: by judges that one of the two policies was trained on. `independent`: by the others. */
export const splitJudges = (
  pair: readonly PairFindings[],
  judges: readonly JudgeInfo[],
): { own: PairFindings[]; independent: PairFindings[] } => {
  const isOwn = ({ judge, a, b }: PairFindings) =>
    judges.some(({ name, trained }) => name === judge && (trained.includes(a) || trained.includes(b)))
  return { own: pair.filter(isOwn), independent: pair.filter((each) => !isOwn(each)) }
}

/**
 * What the judges of a pair say together. `better`: some independent judge prefers the winner, and none the other one.
 * `own`: only judges that one of the two was trained on prefer anybody. `divided`: judges contradict each other. `equal`: so say
 * all judges that tell answers apart. `tied`: there are no such judges.
 */
export type Verdict =
  | { kind: 'better' | 'own'; winner: Side }
  | { kind: 'divided'; by: 'independent' | 'own' }
  | { kind: 'equal' | 'undecided' | 'tied' }

/** @param pair findings of one pair of policies, one for each judge */
export const verdictOf = (pair: readonly PairFindings[], judges: readonly JudgeInfo[]): Verdict => {
  const { own, independent } = splitJudges(pair, judges)
  const [winner, contrary] = preferredSides(independent)
  if (contrary) return { kind: 'divided', by: 'independent' }
  if (winner) return { kind: 'better', winner }
  const [ownWinner, ownContrary] = preferredSides(own)
  if (ownContrary) return { kind: 'divided', by: 'own' }
  if (ownWinner) return { kind: 'own', winner: ownWinner }
  const judged = telling(judgedBy(pair, judges))
  if (!judged.length) return { kind: 'tied' }
  return { kind: judged.every((each) => preferenceOf(each) === 'equal') ? 'equal' : 'undecided' }
}

// The winner first

/** A share of wins as that of the other policy. */
export const inverse = ({ value, low, high }: Interval): Interval => ({
  value: 1 - value,
  low: 1 - high,
  high: 1 - low,
})

const negative = ({ value, low, high }: Interval): Interval => ({ value: 0 - value, low: 0 - high, high: 0 - low })

/** The same findings with b in the place of a. */
const swapped = (pair: PairFindings): PairFindings => {
  const { outcome, difference, controlled, seeds } = pair
  return {
    ...pair,
    a: pair.b,
    b: pair.a,
    outcome: { wins: outcome.losses, ties: outcome.ties, losses: outcome.wins },
    winRate: inverse(pair.winRate),
    longer: negative(pair.longer),
    difference: difference && negative(difference),
    controlled: controlled && {
      ...controlled,
      winRate: inverse(controlled.winRate),
      difference: controlled.difference && negative(controlled.difference),
    },
    ...(seeds && { seeds: inverse(seeds) }),
  }
}

const leads = (pair: readonly PairFindings[], judges: readonly JudgeInfo[]): Side => {
  const verdict = verdictOf(pair, judges)
  if ('winner' in verdict) return verdict.winner
  const judged = judgedBy(pair, judges)
  const [first] = [...telling(judged), ...judged]
  return first.winRate.value < 0.5 ? 'b' : 'a'
}

/** The findings for a reader: the policy that won a pair, or that is ahead by the first judge that counts, is a in every number of the pair. */
export const winnersFirst = (findings: CompareFindings): CompareFindings => {
  const turned = (pairs: readonly PairFindings[]) =>
    groupByPair(pairs).flatMap((pair) => (leads(pair, findings.judges) === 'b' ? pair.map(swapped) : pair))
  return { ...findings, between: turned(findings.between), against: turned(findings.against) }
}
