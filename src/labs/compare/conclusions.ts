/**
 * What can be concluded from a comparison and what cannot, in sentences made from the numbers. The sentences call
 * completions answers, and the model before training by its name.
 *
 * They say what judges prefer, never why: what goes along with a preference (length, KL, the training seed) is told after
 * it, as a possible cause.
 */
import { listed, percent, plural } from '../../util/format.ts'
import { againstBase } from './againstBase.ts'
import { cutText } from './cutOff.ts'
import type { CompareFindings, JudgeInfo, PairFindings } from './findings.ts'
import { headlineOf } from './headline.ts'
import { limitsOf } from './limits.ts'
import {
  doNotTell,
  intervalText,
  notCounted,
  number,
  ownText,
  rates,
  rateText,
  verb,
  winnerFirst,
  winRateOf,
} from './phrases.ts'
import {
  equivalence,
  groupByPair,
  judgedBy,
  preferring,
  preferringNone,
  type Side,
  splitJudges,
  verdictOf,
  winnersFirst,
} from './verdicts.ts'

// The conclusions

export type Conclusions = {
  /** The result in one line. */
  headline: string
  /** Whose answers are preferred: a sentence for each pair, and one for all policies against the model before training. */
  verdicts: string[]
  /** What else could be the cause, and how far the models have moved. */
  causes: string[]
  /** What the numbers are about, and what they do not show. */
  limits: string[]
}

/** @param maxNewTokens at which answers were cut off */
export const conclusionsOf = (given: CompareFindings, maxNewTokens: number): Conclusions => {
  const findings = winnersFirst(given)
  const { between, against, judges, prompts, sft } = findings
  const headline = headlineOf(findings)
  if (prompts < 2) {
    const none =
      'One prompt allows no statistics: no interval, no test, nothing to conclude. The answers and their rewards are below; give more prompts.'
    return { headline, verdicts: [none], causes: [], limits: [] }
  }
  // A policy alone has the model before training for its other side
  const pairs = groupByPair(between.length ? between : against)
  return {
    headline,
    verdicts: [
      ...pairs.map((pair) => pairVerdict(pair, judges)),
      ...noEvidence(pairs, judges, findings.clusters),
      ...(between.length && against.length ? [againstBase(findings)] : []),
    ],
    causes: [
      ...pairs.flatMap((pair) => pairCauses(pair, judges, sft)),
      ...(between.length ? [] : movedText(findings)),
      ...cutText(findings, maxNewTokens),
    ],
    limits: limitsOf(findings),
  }
}

/** All sentences in their order. */
export const wordsOf = ({ headline, verdicts, causes, limits }: Conclusions): string[] => [
  `${headline}.`,
  ...verdicts,
  ...causes,
  ...(limits.length ? [limits.join(' ')] : []),
]

/** How far policies that are compared with the model before training alone have moved from it. */
const movedText = ({ policies, sft }: CompareFindings): string[] =>
  policies.flatMap(({ name, kl }) =>
    kl ? [`${name} has moved ${intervalText(kl.k1)} nats of KL per answer from ${sft}.`] : [],
  )

/** @param pair findings of one pair of policies, one for each judge */
export const pairVerdict = (pair: readonly PairFindings[], judges: readonly JudgeInfo[]): string => {
  const verdict = verdictOf(pair, judges)
  const { own, independent } = splitJudges(pair, judges)
  if (verdict.kind === 'better') return preferredText(verdict.winner, independent, own, judges)
  if (verdict.kind === 'own') return ownOnly(verdict.winner, own, independent, judges)
  if (verdict.kind !== 'divided') return undecided(verdict.kind, independent, own, judges)
  if (verdict.by === 'independent') return contradiction(independent)
  return `${contradiction(own)} ${independentText(independent)}`
}

/** Some independent judge prefers the winner, and none the other policy. */
const preferredText = (
  winner: Side,
  independent: readonly PairFindings[],
  own: readonly PairFindings[],
  judges: readonly JudgeInfo[],
): string => {
  const [better, worse] = winnerFirst(winner, independent[0])
  const inFavour = preferring(winner, independent)
  const unsure = preferringNone(independent)
  const start = `The answers of ${better} are preferred to those of ${worse} by`
  const judged = [...independent, ...own]
  if (!own.length && !unsure.length)
    return `${start} ${judged.length === 1 ? 'the only judge,' : 'every judge:'} ${rates(winner, inFavour)}.`
  const rest = [
    ...(unsure.length ? [`${rates(winner, unsure)} ${doNotTell(unsure)}`] : []),
    ...(own.length ? [ownText(winner, own, judges)] : []),
  ]
  const why = own.length ? ', which neither was trained on' : ''
  return `${start} ${rates(winner, inFavour)}${why}; ${rest.join('; ')}.`
}

const contradiction = (pairs: readonly PairFindings[]): string => {
  const { a, b } = pairs[0]
  const sides = (['a', 'b'] as const).map((side) => ({ name: side === 'a' ? a : b, pairs: preferring(side, pairs) }))
  const said = sides.map(({ name, pairs }) => `${rates('a', pairs)} ${verb(pairs, 'prefers', 'prefer')} ${name}`)
  return `The judges contradict each other on ${a} and ${b}; win rate of ${a} over ${b}: ${said.join(', ')}. Which of the two is better depends on whom one asks.`
}

/** After a contradiction between judges that a policy was trained on. */
const independentText = (independent: readonly PairFindings[]): string =>
  independent.length
    ? `${rates('a', independent)}, which neither was trained on, ${doNotTell(independent)}.`
    : 'A judge that neither was trained on (--judge) would have to tell, and there is none.'

/** Only judges that one of the two was trained on prefer the winner. */
const ownOnly = (
  winner: Side,
  own: readonly PairFindings[],
  independent: readonly PairFindings[],
  judges: readonly JudgeInfo[],
): string => {
  const [better, worse] = winnerFirst(winner, own[0])
  const inFavour = preferring(winner, own)
  const trained = judges
    .filter(({ name }) => inFavour.some(({ judge }) => judge === name))
    .flatMap((judge) => judge.trained)
  const who = [better, worse].filter((name) => trained.includes(name))
  const others = independent.length
    ? `; ${rates(winner, independent)}, which neither was trained on, ${doNotTell(independent)}`
    : ', and there is no judge that neither was trained on (--judge)'
  return `The answers of ${better} are preferred to those of ${worse} by ${rates(winner, inFavour)} alone, which ${listed(who)} ${who.length > 1 ? 'were' : 'was'} trained on${others}. Learning a reward model's faults looks the same, so this does not show better answers.`
}

const undecided = (
  kind: 'equal' | 'undecided' | 'tied',
  independent: readonly PairFindings[],
  own: readonly PairFindings[],
  judges: readonly JudgeInfo[],
): string => {
  const judged = independent.length ? independent : own
  const [{ a, b }] = judged
  const found = `win rate of ${a} over ${b}: ${rates('a', judged)}.`
  const left = independent.length && own.length ? [`${notCounted(own, judges)}.`] : []
  if (kind === 'tied')
    return [
      `Little is said about ${a} and ${b}: ${listed(judged.map(({ judge }) => judge))} hardly ${verb(judged, 'tells', 'tell')} any two answers apart; ${found}`,
      ...left,
    ].join(' ')
  if (kind === 'equal')
    return [`${a} and ${b} are equal to within ${100 * equivalence} points; ${found}`, ...left].join(' ')
  return [
    `${a} and ${b} cannot be told apart; ${found}`,
    ...left,
    ...(independent.length ? [] : ['There is no judge that neither was trained on (--judge).']),
  ].join(' ')
}

/** Once for all pairs that cannot be told apart: why this does not make them equal. */
export const noEvidence = (
  pairs: readonly PairFindings[][],
  judges: readonly JudgeInfo[],
  clusters?: CompareFindings['clusters'],
): string[] => {
  const open = pairs.filter((pair) => verdictOf(pair, judges).kind === 'undecided')
  if (!open.length) return []
  const judged = open.flatMap((pair) => judgedBy(pair, judges))
  const least = Math.min(1, Math.max(...judged.map(({ detectable }) => detectable)))
  const unit = clusters ? 'cluster' : 'prompt'
  const units = Math.min(...judged.map((pair) => pair.clusters ?? pair.prompts))
  const which = clusters ? ` of prompts (by ${clusters.column})` : ''
  return [
    `With ${plural(units, unit)}${which} a single test misses a win rate below ${percent(least)} more than one time in five, so not being told apart is no evidence of being equal: it takes more ${unit}s.`,
  ]
}

/**
 * What else could be the cause of a preference by judges that neither was trained on.
 * @param base the name of the model before training
 */
export const pairCauses = (pair: readonly PairFindings[], judges: readonly JudgeInfo[], base: string): string[] => {
  const verdict = verdictOf(pair, judges)
  if (verdict.kind !== 'better') return []
  const { winner } = verdict
  const [first] = preferring(winner, splitJudges(pair, judges).independent)
  const texts = [lengthText(winner, first), klText(winner, first, base), seedsText(winner, first)].filter(Boolean)
  return texts.length ? [`${winnerFirst(winner, first).join(' over ')}: ${texts.join(' ')}`] : []
}

/** Whether length could explain the preference. */
const lengthText = (winner: Side, pair: PairFindings): string => {
  const { longer, controlled, judge } = pair
  if (!controlled) return ''
  const [better] = winnerFirst(winner, pair)
  const gap = winner === 'a' ? longer.value : -longer.value
  const lengths = `Answers of ${better} are ${plural(Math.abs(Math.round(gap)), 'character')} ${gap < 0 ? 'shorter' : 'longer'}`
  if (controlled.beyond) return `${lengths}, and that on every prompt: length and preference cannot be told apart here.`
  const rate = winRateOf(winner, controlled.winRate)
  const alike = `answers are equally long, ${judge} prefers ${better} in ${rateText(rate)}`
  if (rate.low > 0.5) return `Length does not explain it: where ${alike}.`
  if (longer.low > 0 || longer.high < 0) return `${lengths}; where ${alike}, so length may be all that is preferred.`
  return `Where ${alike}, which does not exclude 50 %.`
}

/** Whether KL could explain the preference. */
const klText = (winner: Side, pair: PairFindings, base: string): string => {
  if (!pair.equalKl) return ''
  const { farther, kl, difference, between } = pair.equalKl
  const [better, worse] = winnerFirst(winner, pair)
  const [far, near] = kl.map(({ value }) => number(value))
  if (farther === worse)
    return `${better} has also moved less far from ${base}: ${near} nats of KL against ${far} of ${worse}.`
  const how = between
    ? `read off between ${base}, ${plural(between, 'checkpoint')} and the final model`
    : `read off between ${base} and the final model`
  const place = difference.high < 0 ? 'behind' : difference.low > 0 ? 'still ahead' : 'not ahead beyond doubt'
  const consequence = difference.low > 0 ? '' : ', so the greater distance may be all of it'
  return `${better} has moved farther from ${base}, ${far} nats of KL against ${near} of ${worse}. At equal KL (${how}) it is ${place}: ${intervalText(difference)} standard deviations of reward by ${pair.judge}${consequence}.`
}

/** Whether another training run would show the same. */
const seedsText = (winner: Side, { seeds }: PairFindings): string => {
  if (!seeds) return ''
  const rate = winRateOf(winner, seeds)
  const overSeeds = `over training seeds the win rate is ${rateText(rate)}`
  return rate.low > 0.5
    ? `It holds for the method with this data and these settings, and not for these runs alone: ${overSeeds}.`
    : `It holds for these runs; it is not shown of the method: ${overSeeds}.`
}
