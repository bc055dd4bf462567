/** Parts of the sentences about a comparison: intervals as text, judges with their win rates, and what a judge was trained for. */
import type { Interval } from '../../statistics/intervals.ts'
import { listed, percent, plural } from '../../util/format.ts'
import type { CompareFindings, JudgeInfo, PairFindings } from './findings.ts'
import { inverse, mostlyTies, preferring, preferringNone, type Side } from './verdicts.ts'

/** The names of the winner and of the other policy. */
export const winnerFirst = (winner: Side, { a, b }: PairFindings): [string, string] =>
  winner === 'a' ? [a, b] : [b, a]

/** A win rate of a as the win rate of the winner. */
export const winRateOf = (winner: Side, rate: Interval): Interval => (winner === 'b' ? inverse(rate) : rate)

// Numbers and lists as text

const wholePercent = (x: number) => (100 * x).toFixed(0)

/** Values that are all the same have no spread, and then an interval by resampling says nothing. */
const hasWidth = ({ low, high }: Interval) => low < high

/** (52 to 57), in percent; nothing for an interval without width. */
export const rateBounds = (rate: Interval): string =>
  hasWidth(rate) ? `(${wholePercent(rate.low)} to ${wholePercent(rate.high)})` : ''

/** 54 % (52 to 57) */
export const rateText = (rate: Interval): string => `${percent(rate.value)} ${rateBounds(rate)}`.trim()

/** Without the sign of a zero. */
export const number = (x: number) => x.toFixed(Math.abs(x) < 10 ? 2 : 0).replace(/^-(0\.00)$/, '$1')

/** 0.10; a dash for what is not known. */
export const valueText = ({ value }: Interval): string => (Number.isFinite(value) ? number(value) : '–')

/** (-0.10 to 0.30); nothing where the interval has no width, or is infinite, as that of a single prompt is. */
export const boundsText = ({ value, low, high }: Interval): string =>
  [value, low, high].every(Number.isFinite) && low < high ? `(${number(low)} to ${number(high)})` : ''

/** 0.10 (-0.10 to 0.30) */
export const intervalText = (interval: Interval): string => `${valueText(interval)} ${boundsText(interval)}`.trim()

/** 54 % (52 to 57), or of a judge that mostly ties 50 % (49 to 51, 94 % ties) */
const rateWithTies = (winner: Side, pair: PairFindings): string => {
  const text = rateText(winRateOf(winner, pair.winRate))
  if (!mostlyTies(pair)) return text
  const ties = `${percent(pair.outcome.ties)} ties`
  return text.endsWith(')') ? `${text.slice(0, -1)}, ${ties})` : `${text} (${ties})`
}

/** 18 prompts in 15 clusters: what intervals and tests rest on is named beside the prompts. */
export const promptsText = ({ prompts, clusters }: Pick<CompareFindings, 'prompts' | 'clusters'>): string =>
  `${plural(prompts, 'prompt')}${clusters ? ` in ${plural(clusters.count, 'cluster')}` : ''}`

/** Judges with the winner's win rate: 'neutral 60 % (52 to 68) and scalar 70 % (62 to 78)'. */
export const rates = (winner: Side, pairs: readonly PairFindings[]) =>
  listed(pairs.map((pair) => `${pair.judge} ${rateWithTies(winner, pair)}`))

export const verb = (pairs: readonly PairFindings[], one: string, many: string) => (pairs.length > 1 ? many : one)
export const doNotTell = (pairs: readonly PairFindings[]) => `${verb(pairs, 'does', 'do')} not tell them apart`

/** What judges say that one of the two was trained on, beside the others. */
export const ownText = (winner: Side, own: readonly PairFindings[], judges: readonly JudgeInfo[]): string => {
  const [better, worse] = winnerFirst(winner, own[0])
  const alike = preferring(winner, own)
  const against = preferring(winner === 'a' ? 'b' : 'a', own)
  const unsure = preferringNone(own)
  const parts = [
    ...(alike.length ? [`${rates(winner, alike)} ${verb(alike, 'prefers', 'prefer')} ${better} too`] : []),
    ...(against.length ? [`${rates(winner, against)} ${verb(against, 'prefers', 'prefer')} ${worse}`] : []),
    ...(unsure.length ? [`${rates(winner, unsure)} ${doNotTell(unsure)}`] : []),
  ]
  return `${parts.join(', ')}, but ${trainedText(own, judges)}`
}

/** On which of these judges which of the two was trained: 'level1 was trained on scalar'. */
export const trainedText = (own: readonly PairFindings[], judges: readonly JudgeInfo[]): string => {
  const { a, b } = own[0]
  const ofPolicy = (policy: string) =>
    own.flatMap(({ judge }) =>
      judges.some(({ name, trained }) => name === judge && trained.includes(policy)) ? [judge] : [],
    )
  const [ofA, ofB] = [listed(ofPolicy(a)), listed(ofPolicy(b))]
  if (ofA === ofB) return `both were trained on ${ofA}`
  const parts = [
    [a, ofA],
    [b, ofB],
  ]
  return listed(parts.flatMap(([policy, on]) => (on ? [`${policy} was trained on ${on}`] : [])))
}

/** Judges of a pair that one of the two was trained on, beside others that decide. */
export const notCounted = (own: readonly PairFindings[], judges: readonly JudgeInfo[]): string =>
  `${rates('a', own)} ${verb(own, 'does', 'do')} not count, since ${trainedText(own, judges)}`
