/**
 * What can be concluded from a comparison and what cannot, in sentences made from the numbers. The sentences call
 * completions answers, and the model before training by its name.
 *
 * They say what judges prefer, never why: what goes along with a preference (length, KL, the training seed) is told after
 * it, as a possible cause.
 */
import type { Interval } from '../../statistics/intervals.ts'
import { listed, percent, plural } from '../../util/format.ts'
import { cutText } from './cutOff.ts'
import type { CompareFindings, JudgeInfo, PairFindings } from './findings.ts'
import { headlineOf } from './headline.ts'
import {
  equivalence,
  groupByPair,
  inverse,
  judgedBy,
  mostlyTies,
  preferenceOf,
  preferring,
  preferringNone,
  type Side,
  splitJudges,
  verdictOf,
  winnersFirst,
} from './verdicts.ts'

/** The names of the winner and of the other policy. */
const winnerFirst = (winner: Side, { a, b }: PairFindings): [string, string] => (winner === 'a' ? [a, b] : [b, a])

/** A win rate of a as the win rate of the winner. */
const winRateOf = (winner: Side, rate: Interval): Interval => (winner === 'b' ? inverse(rate) : rate)

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
const number = (x: number) => x.toFixed(Math.abs(x) < 10 ? 2 : 0).replace(/^-(0\.00)$/, '$1')

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

/** Judges with the winner's win rate: 'neutral 60 % (52 to 68) and scalar 70 % (62 to 78)'. */
const rates = (winner: Side, pairs: readonly PairFindings[]) =>
  listed(pairs.map((pair) => `${pair.judge} ${rateWithTies(winner, pair)}`))

const verb = (pairs: readonly PairFindings[], one: string, many: string) => (pairs.length > 1 ? many : one)
const doNotTell = (pairs: readonly PairFindings[]) => `${verb(pairs, 'does', 'do')} not tell them apart`

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
      ...noEvidence(pairs, judges),
      ...(between.length && against.length ? [againstBase(findings)] : []),
    ],
    causes: [
      ...pairs.flatMap((pair) => pairCauses(pair, judges, sft)),
      ...(between.length ? [] : movedText(findings)),
      ...cutText(findings, maxNewTokens),
    ],
    limits: limits(findings),
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
  if (verdict.kind !== 'divided') return undecided(independent, own, judges)
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

/** What judges say that one of the two was trained on, beside the others. */
const ownText = (winner: Side, own: readonly PairFindings[], judges: readonly JudgeInfo[]): string => {
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
const trainedText = (own: readonly PairFindings[], judges: readonly JudgeInfo[]): string => {
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

const contradiction = (pairs: readonly PairFindings[]): string => {
  const { a, b } = pairs[0]
  return `The judges contradict each other on ${a} and ${b}: ${rates('a', preferring('a', pairs))} for ${a}, ${rates('b', preferring('b', pairs))} for ${b}. Which of the two is better depends on whom one asks.`
}

/** After a contradiction between judges that a policy was trained on. */
const independentText = (independent: readonly PairFindings[]): string =>
  independent.length
    ? `${rates('a', independent)} for ${independent[0].a}, which neither was trained on, ${doNotTell(independent)}.`
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
  independent: readonly PairFindings[],
  own: readonly PairFindings[],
  judges: readonly JudgeInfo[],
): string => {
  const judged = independent.length ? independent : own
  const [{ a, b }] = judged
  const found = `win rate of ${a} over ${b}: ${rates('a', judged)}.`
  const left =
    independent.length && own.length
      ? [`${rates('a', own)} ${verb(own, 'does', 'do')} not count, since ${trainedText(own, judges)}.`]
      : []
  if (judged.every((pair) => preferenceOf(pair) === 'equal'))
    return [
      `${a} and ${b} are equal to within ${100 * equivalence} points; ${found}`,
      ...(judged.every(mostlyTies)
        ? ['Judges that mostly tie hardly tell any two answers apart, so this says little about the two models.']
        : []),
      ...left,
    ].join(' ')
  return [
    `${a} and ${b} cannot be told apart; ${found}`,
    ...left,
    ...(judged.some(({ winRate: { low, high } }) => low > 0.5 || high < 0.5)
      ? ['An interval that excludes 50 % is not enough where so many tests are made.']
      : []),
    ...(independent.length ? [] : ['There is no judge that neither was trained on (--judge).']),
  ].join(' ')
}

/** Once for all pairs that cannot be told apart: why this does not make them equal. */
export const noEvidence = (pairs: readonly PairFindings[][], judges: readonly JudgeInfo[]): string[] => {
  const open = pairs.filter((pair) => verdictOf(pair, judges).kind === 'undecided')
  if (!open.length) return []
  const judged = open.flatMap((pair) => judgedBy(pair, judges))
  const least = Math.min(1, Math.max(...judged.map(({ detectable }) => detectable)))
  const prompts = Math.min(...judged.map((pair) => pair.prompts))
  return [
    `With ${plural(prompts, 'prompt')} a single test misses a win rate below ${percent(least)} more than one time in five, so not being told apart is no evidence of being equal: it takes more prompts.`,
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

/** Each policy against the model before training. */
const againstBase = ({ against, sft, judges }: CompareFindings): string => {
  const each = groupByPair(against).map((pair) => {
    const { own, independent } = splitJudges(pair, judges)
    const [side, other]: Side[] = pair[0].a === sft ? ['b', 'a'] : ['a', 'b']
    const policy = pair[0][side]
    const up = preferring(side, independent)
    const down = preferring(other, independent)
    const unsure = preferringNone(independent)
    const rest = unsure.length ? `; ${rates(up.length ? side : other, unsure)} ${doNotTell(unsure)}` : ''
    if (up.length && down.length) return `${policy} is preferred by ${rates(side, up)}, ${sft} by ${rates(other, down)}`
    if (up.length) return `${policy} is preferred (${rates(side, up)}${rest})${atEqualLengthText(side, up)}`
    if (down.length) return `${sft} is preferred to ${policy} (${rates(other, down)}${rest})`
    const ownUp = preferring(side, own)
    if (ownUp.length) return `${policy} is preferred by ${rates(side, ownUp)} alone, which it was trained on`
    const judged = independent.length ? independent : own
    return `${policy} is not shown to differ (win rate of ${pair[0].a}: ${rates('a', judged)})`
  })
  return `Against ${sft}, the model before training: ${each.join('; ')}.`
}

/** Of judges that prefer a policy to the model before training: those that may do so for the length of its answers. */
const atEqualLengthText = (side: Side, pairs: readonly PairFindings[]): string => {
  const gone = pairs.flatMap(({ judge, controlled }) => {
    const rate = controlled && winRateOf(side, controlled.winRate)
    return rate && rate.low <= 0.5 ? [`${judge} ${rateText(rate)}`] : []
  })
  return gone.length
    ? `, though perhaps for the length of its answers (among answers of equal length ${listed(gone)})`
    : ''
}

/** How many tests there are of each question, and what is corrected. */
const testsText = ({ between, against, sft }: CompareFindings): string => {
  const count = (pairs: readonly PairFindings[]) => pairs.filter(({ p }) => Number.isFinite(p)).length
  const groups = [
    { tests: count(between), what: between.length ? 'between the models' : '' },
    { tests: count(against), what: `against ${sft}` },
  ].filter(({ tests }) => tests > 0)
  if (!groups.length) return 'There is no test.'
  const named = groups.map(({ tests, what }) => `${plural(tests, 'test')} ${what}`)
  const [only] = groups
  if (groups.length === 1 && only.tests === 1)
    return 'If there is no difference, the test still finds one in at most 5 of 100 comparisons.'
  const together = groups.length > 1 ? 'each of the two sets of tests' : 'the set of tests'
  return `There are ${listed(named)}; if there is no difference, ${together} still finds one in at most 5 of 100 comparisons (corrected by Holm's method).`
}

const limits = (findings: CompareFindings): string[] => {
  const { prompts, clusters, samples, policies, judges, sft } = findings
  const runs = Math.max(...policies.map((policy) => policy.runs))
  const [, only, ...others] = policies
  const trained = others.length ? 'Each model' : only.name
  const constant = judges.filter(({ scale }) => !scale).map(({ name }) => name)
  return [
    `All of it is about what these judges prefer on ${plural(prompts, 'held-out prompt')} with ${plural(samples, 'answer')} each.`,
    ...(clusters
      ? [
          `Prompts with the same ${clusters.column} may be alike, so they are taken together: intervals and tests rest on ${plural(clusters.count, 'cluster')}.`,
        ]
      : []),
    `An interval in brackets holds the true value in 95 of 100 cases. ${testsText(findings)}`,
    runs === 1
      ? `${trained} is one training run: another seed could turn what is concluded, and nothing here says how easily.`
      : `${trained} is ${plural(runs, 'training run')}.`,
    ...judges
      .filter(({ failed }) => failed)
      .map(
        ({ name, failed, prompts: judged }) =>
          `${judged < prompts ? `${name} gave rewards to all models on ${judged} of ${plural(prompts, 'prompt')}; ` : ''}${plural(failed, 'reward')} of ${name} ${failed === 1 ? 'is' : 'are'} no number, left out and not counted as 0 (by null a function abstains).`,
      ),
    ...(constant.length
      ? [
          `${listed(constant)} gave all answers of ${sft} the same reward, so differences of rewards have no scale and are left out; win rates are not affected.`,
        ]
      : []),
  ]
}
