/**
 * What can be concluded from a comparison and what cannot, in sentences made from the numbers. The sentences call
 * completions answers.
 *
 * They say what judges prefer, never why: what goes along with a preference (length, KL, the training seed) is told beside
 * it, as a possible cause. A preference by a judge that one of the policies was trained on is no evidence by itself,
 * because a policy learns the faults of its reward model too. What counts is a judge that neither was trained on.
 */
import type { Interval } from '../../statistics/intervals.ts'
import { percent, plural } from '../../util/format.ts'
import type { CompareFindings, JudgeInfo, PairFindings } from './findings.ts'

/** Significance level of all tests of a question together. */
export const significance = 0.05
/** Two policies whose win rate lies within this of one half, with its whole interval, count as equal. */
const equivalence = 0.05

// Which policy of a pair is preferred

export type Preference = 'a' | 'b' | 'equal' | 'undecided'

/** Which policy of a pair one judge prefers. */
export const preferenceOf = ({ corrected, winRate: { value, low, high } }: PairFindings): Preference => {
  if (corrected < significance) return value > 0.5 ? 'a' : 'b'
  return low >= 0.5 - equivalence && high <= 0.5 + equivalence ? 'equal' : 'undecided'
}

type Side = 'a' | 'b'

const preferring = (side: Side, pairs: readonly PairFindings[]): PairFindings[] =>
  pairs.filter((pair) => preferenceOf(pair) === side)

const preferringNone = (pairs: readonly PairFindings[]): PairFindings[] =>
  pairs.filter((pair) => !['a', 'b'].includes(preferenceOf(pair)))

/** The sides that some judge prefers: none, one or both. */
const preferredSides = (pairs: readonly PairFindings[]): Side[] =>
  (['a', 'b'] as const).filter((side) => preferring(side, pairs).length > 0)

/** The names of the winner and of the other policy. */
const winnerFirst = (winner: Side, { a, b }: PairFindings): [string, string] => (winner === 'a' ? [a, b] : [b, a])

/** A win rate of a as the win rate of the winner. */
const winRateOf = (winner: Side, { value, low, high }: Interval): Interval =>
  winner === 'b' ? { value: 1 - value, low: 1 - high, high: 1 - low } : { value, low, high }

/** The findings of each pair of policies together, one for each judge. */
const groupByPair = (findings: readonly PairFindings[]): PairFindings[][] => {
  const pairs = new Map<string, PairFindings[]>()
  for (const each of findings) {
    const key = JSON.stringify([each.a, each.b])
    pairs.set(key, [...(pairs.get(key) ?? []), each])
  }
  return [...pairs.values()]
}

/** `own`: by judges that one of the two policies was trained on. `independent`: by the others. */
const splitJudges = (
  pair: readonly PairFindings[],
  judges: readonly JudgeInfo[],
): { own: PairFindings[]; independent: PairFindings[] } => {
  const isOwn = ({ judge, a, b }: PairFindings) =>
    judges.some(({ name, trained }) => name === judge && (trained.includes(a) || trained.includes(b)))
  return { own: pair.filter(isOwn), independent: pair.filter((each) => !isOwn(each)) }
}

// Numbers and lists as text

const wholePercent = (x: number) => (100 * x).toFixed(0)

/** 54 % (52 to 57) */
export const rateText = ({ value, low, high }: Interval): string =>
  `${percent(value)} (${wholePercent(low)} to ${wholePercent(high)})`

const number = (x: number) => x.toFixed(Math.abs(x) < 10 ? 2 : 0)

/** 0.10 (-0.10 to 0.30); the value alone where the interval is infinite, as that of a single prompt is. */
export const intervalText = ({ value, low, high }: Interval): string => {
  if (!Number.isFinite(value)) return '–'
  return Number.isFinite(low) && Number.isFinite(high)
    ? `${number(value)} (${number(low)} to ${number(high)})`
    : number(value)
}

/** a, b and c */
const listed = (items: readonly string[]) =>
  items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`

/** Judges with the winner's win rate: 'neutral 60 % (52 to 68) and scalar 70 % (62 to 78)'. */
const rates = (winner: Side, pairs: readonly PairFindings[]) =>
  listed(pairs.map(({ judge, winRate }) => `${judge} ${rateText(winRateOf(winner, winRate))}`))

const verb = (pairs: readonly PairFindings[], one: string, many: string) => (pairs.length > 1 ? many : one)
const doNotTell = (pairs: readonly PairFindings[]) => `${verb(pairs, 'does', 'do')} not tell them apart`

// The conclusions

/** One paragraph for each pair of policies, one for all of them against the SFT policy, and the limits last. */
export const conclusionsOf = (findings: CompareFindings): string[] => {
  const { between, against, judges, prompts } = findings
  if (prompts < 2)
    return [
      'One prompt allows no statistics: no interval, no test, nothing to conclude. The answers and their rewards are below; give more prompts.',
    ]
  // A policy alone has the SFT policy for its other side
  const pairs = groupByPair(between.length ? between : against)
  return [
    ...pairs.map((pair) => pairConclusion(pair, judges)),
    ...(between.length && against.length ? [sftConclusion(findings)] : []),
    ...(between.length ? [] : movedText(findings)),
    limits(findings),
  ]
}

/** How far policies that are compared with the SFT policy alone have moved from it. */
const movedText = ({ policies, sft }: CompareFindings): string[] =>
  policies.flatMap(({ name, kl }) =>
    kl ? [`${name} has moved ${intervalText(kl.k1)} nats of KL per answer from ${sft}.`] : [],
  )

/** @param pair findings of one pair of policies, one for each judge */
export const pairConclusion = (pair: readonly PairFindings[], judges: readonly JudgeInfo[]): string => {
  const { own, independent } = splitJudges(pair, judges)
  const preferred = preferredSides(independent)
  if (preferred.length > 1) return contradiction(independent)
  if (preferred.length === 1) return decided(preferred[0], pair, independent, own)
  const preferredByOwn = preferredSides(own)
  if (preferredByOwn.length > 1) return `${contradiction(own)} ${independentText(independent)}`
  if (preferredByOwn.length === 1) return ownOnly(preferredByOwn[0], own, independent, judges)
  return undecided(independent, own)
}

/** Some independent judge prefers the winner, and none the other policy. */
const decided = (
  winner: Side,
  pair: readonly PairFindings[],
  independent: readonly PairFindings[],
  own: readonly PairFindings[],
): string => {
  const [first] = preferring(winner, independent)
  return [
    preferredText(winner, pair, independent, own),
    lengthText(winner, first),
    klText(winner, first),
    seedsText(winner, first),
  ]
    .filter(Boolean)
    .join(' ')
}

const preferredText = (
  winner: Side,
  pair: readonly PairFindings[],
  independent: readonly PairFindings[],
  own: readonly PairFindings[],
): string => {
  const [better, worse] = winnerFirst(winner, pair[0])
  const against = preferring(winner === 'a' ? 'b' : 'a', own)
  const unsure = preferringNone(pair)
  const start = `The answers of ${better} are preferred to those of ${worse} by`
  if (!against.length && !unsure.length)
    return `${start} ${pair.length === 1 ? 'the only judge,' : 'every judge:'} ${rates(winner, pair)}.`
  const rest = [
    ...(against.length ? [`${rates(winner, against)} ${verb(against, 'prefers', 'prefer')} ${worse}`] : []),
    ...(unsure.length ? [`${rates(winner, unsure)} ${doNotTell(unsure)}`] : []),
  ]
  const why = own.length ? ', which neither was trained on' : ''
  return `${start} ${rates(winner, preferring(winner, independent))}${why}; ${rest.join(', ')}.`
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

const undecided = (independent: readonly PairFindings[], own: readonly PairFindings[]): string => {
  const judged = independent.length ? independent : own
  const [{ a, b, prompts }] = judged
  const found = `answers of ${a} are preferred by ${rates('a', judged)}.`
  if (judged.every((pair) => preferenceOf(pair) === 'equal'))
    return `${a} and ${b} are equal to within ${100 * equivalence} points of win rate: ${found}`
  const least = Math.min(1, Math.max(...judged.map(({ detectable }) => detectable)))
  return [
    `${a} and ${b} cannot be told apart: ${found}`,
    ...(judged.some(({ winRate: { low, high } }) => low > 0.5 || high < 0.5)
      ? ['An interval that excludes 50 % is not enough where so many tests are made.']
      : []),
    `With ${plural(prompts, 'prompt')} a single test misses a win rate below ${percent(least)} more than one time in five, so this is no evidence that they are equal: it takes more prompts.`,
    ...(independent.length ? [] : ['There is no judge that neither was trained on (--judge).']),
  ].join(' ')
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
  const atEqualLength = `equal length ${judge} prefers ${better} in ${rateText(rate)}`
  if (rate.low > 0.5) return `By linear regression, length does not explain it: at ${atEqualLength}.`
  if (longer.low > 0 || longer.high < 0)
    return `${lengths}; at ${atEqualLength}, so length may be all that is preferred.`
  return `At ${atEqualLength}, which does not exclude 50 %.`
}

/** Whether KL could explain the preference. */
const klText = (winner: Side, pair: PairFindings): string => {
  if (!pair.equalKl) return ''
  const { farther, kl, difference, between } = pair.equalKl
  const [better, worse] = winnerFirst(winner, pair)
  const [far, near] = kl.map(({ value }) => number(value))
  if (farther === worse) return `It has also moved less far: ${near} nats of KL from the SFT policy against ${far}.`
  const how = between
    ? `interpolated between ${plural(between, 'checkpoint')} and the final model`
    : 'interpolated over the root of the KL, because its run kept no checkpoint'
  const place = difference.high < 0 ? 'behind' : difference.low > 0 ? 'still ahead' : 'not ahead beyond doubt'
  const consequence = difference.low > 0 ? '' : ', so the higher KL may be all of it'
  return `${better} has moved farther from the SFT policy, ${far} nats against ${near}; at equal KL (${how}) it is ${place}, in standard deviations of reward by ${pair.judge}: ${intervalText(difference)}${consequence}.`
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

/** Each policy against the SFT policy. */
const sftConclusion = ({ against, sft, judges }: CompareFindings): string => {
  const each = groupByPair(against).map((pair) => {
    const { own, independent } = splitJudges(pair, judges)
    const { a } = pair[0]
    const up = preferring('a', independent)
    const down = preferring('b', independent)
    const unsure = preferringNone(independent)
    const rest = unsure.length ? `; ${rates('a', unsure)} ${doNotTell(unsure)}` : ''
    if (up.length && down.length) return `${a} is preferred by ${rates('a', up)}, ${sft} by ${rates('b', down)}`
    if (up.length) return `${a} is preferred (${rates('a', up)}${rest})${atEqualLengthText(up)}`
    if (down.length) return `${sft} is preferred to ${a} (${rates('b', down)}${rest})`
    const ownUp = preferring('a', own)
    if (ownUp.length) return `${a} is preferred by ${rates('a', ownUp)} alone, which it was trained on`
    return `${a} is not shown to differ (${rates('a', independent.length ? independent : own)})`
  })
  return `Against the SFT policy ${sft}: ${each.join('; ')}.`
}

/** Of judges that prefer a policy to the SFT policy: those that do not prefer it beyond doubt at equal length. */
const atEqualLengthText = (pairs: readonly PairFindings[]): string => {
  const gone = pairs.flatMap(({ judge, controlled }) =>
    controlled && controlled.winRate.low <= 0.5 ? [`${judge} ${rateText(controlled.winRate)}`] : [],
  )
  return gone.length ? `, but not beyond doubt at equal length (${listed(gone)})` : ''
}

/** @param tests of each question, how many */
const testsText = (tests: readonly number[]): string => {
  const [first] = tests
  if (tests.length > 1)
    return `and the tests of a question (${tests.join(' and ')} of them) are corrected together (Holm)`
  if (first < 2) return first ? 'and there is one test' : 'and there is no test'
  return `and the ${first} tests are corrected together (Holm)`
}

/** What the numbers are about, and what they do not show. */
const limits = ({ prompts, samples, policies, judges, between, against }: CompareFindings): string => {
  const tests = [between, against]
    .filter((question) => question.length)
    .map((question) => question.filter(({ p }) => Number.isFinite(p)).length)
  const runs = Math.max(...policies.map((policy) => policy.runs))
  const [, only, ...others] = policies
  const trained = others.length ? 'Each policy' : only.name
  const constant = judges.filter(({ scale }) => !scale).map(({ name }) => name)
  return [
    `All of it is about what these judges prefer on ${plural(prompts, 'held-out prompt')} with ${plural(samples, 'answer')} each; intervals hold 95 % over prompts, each by itself, ${testsText(tests)}.`,
    runs === 1
      ? `${trained} is one training run: another seed could turn what is concluded, and nothing here says how easily.`
      : `${trained} is ${plural(runs, 'training run')}.`,
    ...judges
      .filter(({ failed }) => failed)
      .map(
        ({ name, failed }) =>
          `${plural(failed, 'reward')} of ${name} ${failed === 1 ? 'is' : 'are'} no number, left out and not counted as 0.`,
      ),
    ...(constant.length
      ? [
          `${listed(constant)} gave the SFT policy's answers one and the same reward, so there is no scale to measure differences on; win rates stand.`,
        ]
      : []),
  ].join(' ')
}
