/**
 * What can be concluded and what cannot, in sentences made from the numbers. Peculiar: they say what judges prefer, never
 * why. What goes along with a preference (length, distance, the training seed) is told beside it, as what could account
 * for it.
 */
import { percent, plural } from '../../util/format.ts'
import type { CompareFindings, JudgeMaterial, PairFindings } from './findings.ts'
import { listed, number, rateText, spanText } from './phrases.ts'
import {
  by,
  margin,
  pairsOf,
  seenFrom,
  sided,
  sidesOf,
  undecidedBy,
  type Verdict,
  verdictOf,
  winnersOf,
} from './verdict.ts'

/** One paragraph a policy or a pair, the limits last. */
export const inWords = (findings: CompareFindings): string[] => {
  const { between, against, judges, prompts } = findings
  if (prompts < 2)
    return [
      'One prompt allows no statistics: no interval, no test, nothing to conclude. The answers and their rewards are below; give more prompts.',
    ]
  return [
    ...pairsOf(between).map((pair) => pairText(pair, judges)),
    ...(against.length ? [againstText(findings)] : []),
    limits(findings),
  ]
}

const rates = (winner: Verdict, pairs: readonly PairFindings[]) =>
  listed(pairs.map(({ judge, winRate }) => `${judge} ${rateText(seenFrom(winner, winRate))}`))

const verb = (pairs: readonly PairFindings[], one: string, many: string) => (pairs.length > 1 ? many : one)
const doNot = (pairs: readonly PairFindings[]) => `${verb(pairs, 'does', 'do')} not tell them apart`

export const pairText = (pair: readonly PairFindings[], judges: readonly JudgeMaterial[]): string => {
  const { own, third } = sidesOf(pair, judges)
  const [byThird, byOwn] = [winnersOf(third), winnersOf(own)]
  if (byThird.length > 1) return contradiction(third)
  if (byThird.length === 1) return decided(byThird[0], pair, third, own)
  if (byOwn.length > 1) return `${contradiction(own)} ${neutralText(third)}`
  return byOwn.length ? ownOnly(byOwn[0], own, third, judges) : undecided(third, own)
}

const decided = (
  winner: Verdict,
  pair: readonly PairFindings[],
  third: readonly PairFindings[],
  own: readonly PairFindings[],
): string => {
  const [first] = by(winner, third)
  const beside = [lengthText, klText, seedsText].map((of) => of(winner, first))
  return [preferred(winner, pair, third, own), ...beside].filter(Boolean).join(' ')
}

const preferred = (
  winner: Verdict,
  pair: readonly PairFindings[],
  third: readonly PairFindings[],
  own: readonly PairFindings[],
): string => {
  const [better, worse] = sided(winner, pair[0])
  const against = by(winner === 'a' ? 'b' : 'a', own)
  const unsure = undecidedBy(pair)
  const said = `The answers of ${better} are preferred to those of ${worse} by`
  if (!against.length && !unsure.length)
    return `${said} ${pair.length === 1 ? 'the only judge,' : 'every judge:'} ${rates(winner, pair)}.`
  const rest = [
    ...(against.length ? [`${rates(winner, against)} ${verb(against, 'prefers', 'prefer')} ${worse}`] : []),
    ...(unsure.length ? [`${rates(winner, unsure)} ${doNot(unsure)}`] : []),
  ]
  const why = own.length ? ', which neither was trained on' : ''
  return `${said} ${rates(winner, by(winner, third))}${why}; ${rest.join(', ')}.`
}

const contradiction = (pairs: readonly PairFindings[]): string => {
  const { a, b } = pairs[0]
  return `The judges contradict each other on ${a} and ${b}: ${rates('a', by('a', pairs))} for ${a}, ${rates('b', by('b', pairs))} for ${b}. Which of the two is better depends on whom one asks.`
}

/** Where those that a policy was trained on contradict each other. */
const neutralText = (third: readonly PairFindings[]): string =>
  third.length
    ? `${rates('a', third)} for ${third[0].a}, which neither was trained on, ${doNot(third)}.`
    : 'A judge that neither was trained on (--judge) would have to tell, and there is none.'

const ownOnly = (
  winner: Verdict,
  own: readonly PairFindings[],
  third: readonly PairFindings[],
  judges: readonly JudgeMaterial[],
): string => {
  const [better, worse] = sided(winner, own[0])
  const found = by(winner, own)
  const trained = judges.filter(({ name }) => found.some(({ judge }) => judge === name)).flatMap((each) => each.trained)
  const who = [better, worse].filter((name) => trained.includes(name))
  const others = third.length
    ? `; ${rates(winner, third)}, which neither was trained on, ${doNot(third)}`
    : ', and there is no judge that neither was trained on (--judge)'
  return `The answers of ${better} are preferred to those of ${worse} by ${rates(winner, found)} alone, which ${listed(who)} ${who.length > 1 ? 'were' : 'was'} trained on${others}. Learning a reward model's faults looks the same, so this does not show better answers.`
}

const undecided = (third: readonly PairFindings[], own: readonly PairFindings[]): string => {
  const judged = third.length ? third : own
  const [{ a, b, prompts }] = judged
  const said = `answers of ${a} are preferred by ${rates('a', judged)}.`
  if (judged.every((each) => verdictOf(each) === 'equal'))
    return `${a} and ${b} are equal to within ${100 * margin} points of win rate: ${said}`
  const least = Math.min(1, Math.max(...judged.map(({ detectable }) => detectable)))
  return [
    `${a} and ${b} cannot be told apart: ${said}`,
    ...(judged.some(({ winRate: { low, high } }) => low > 0.5 || high < 0.5)
      ? ['An interval that leaves out 50 % is not enough where so many tests are made.']
      : []),
    `With ${plural(prompts, 'prompt')} a single test misses a win rate below ${percent(least)} more than one time in five, so this is no evidence that they are equal: it takes more prompts.`,
    ...(third.length ? [] : ['No judge is there that neither was trained on.']),
  ].join(' ')
}

/** Whether length could account for it. */
const lengthText = (winner: Verdict, pair: PairFindings): string => {
  const { longer, controlled, judge } = pair
  if (!controlled) return ''
  const [better] = sided(winner, pair)
  const gap = winner === 'a' ? longer.value : -longer.value
  const how = `Answers of ${better} are ${plural(Math.abs(Math.round(gap)), 'character')} ${gap < 0 ? 'shorter' : 'longer'}`
  if (controlled.beyond) return `${how}, and so on every prompt: length and preference cannot be told apart here.`
  const rate = seenFrom(winner, controlled.winRate)
  const left = `equal length ${judge} prefers ${better} in ${rateText(rate)}`
  if (rate.low > 0.5) return `By a straight line, length does not account for it: at ${left}.`
  if (longer.low > 0 || longer.high < 0) return `${how}; at ${left}, so length may be all that is preferred.`
  return `At ${left}, which is not sure any more.`
}

/** Whether distance could. */
const klText = (winner: Verdict, pair: PairFindings): string => {
  if (!pair.equalKl) return ''
  const { farther, kl, difference, between } = pair.equalKl
  const [better, worse] = sided(winner, pair)
  const [far, near] = kl.map(({ value }) => number(value))
  if (farther === worse) return `It has gone less far, too: ${near} nats of KL from the SFT policy against ${far}.`
  const how = between
    ? `by ${plural(between, 'checkpoint')} on its way`
    : 'by a straight line over the root of the KL, for no checkpoint on its way was kept'
  const place = difference.high < 0 ? 'behind' : difference.low > 0 ? 'still ahead' : 'not ahead beyond doubt'
  const so = difference.low > 0 ? '' : ', so distance may be all of it'
  return `${better} has gone farther from the SFT policy, ${far} nats against ${near}; at equal KL (${how}) it is ${place}, in standard deviations of reward by ${pair.judge}: ${spanText(difference)}${so}.`
}

/** Whether another training would tell the same. */
const seedsText = (winner: Verdict, { seeds }: PairFindings): string => {
  if (!seeds) return ''
  const seen = seenFrom(winner, seeds)
  const rate = `over training seeds the win rate is ${rateText(seen)}`
  return seen.low > 0.5
    ? `It holds for the method with this data and these settings, and not for these runs alone: ${rate}.`
    : `It holds for these runs; of the method it is not shown, for ${rate}.`
}

/** Each policy against the one that all began with. */
const againstText = ({ against, sft, judges }: CompareFindings): string => {
  const each = pairsOf(against).map((pair) => {
    const { own, third } = sidesOf(pair, judges)
    const { a } = pair[0]
    const [up, down, unsure] = [by('a', third), by('b', third), undecidedBy(third)]
    const rest = unsure.length ? `; ${rates('a', unsure)} ${doNot(unsure)}` : ''
    if (up.length && down.length) return `${a} is preferred by ${rates('a', up)}, ${sft} by ${rates('b', down)}`
    if (up.length) return `${a} is preferred (${rates('a', up)}${rest})${atEqualLength(up)}`
    if (down.length) return `${sft} is preferred to ${a} (${rates('b', down)}${rest})`
    const ownUp = by('a', own)
    if (ownUp.length) return `${a} is preferred by ${rates('a', ownUp)} alone, which it was trained on`
    return `${a} is not shown to differ (${rates('a', third.length ? third : own)})`
  })
  return `Against the SFT policy ${sft}: ${each.join('; ')}.`
}

/** Where a gain over the SFT policy goes with length. */
const atEqualLength = (pairs: readonly PairFindings[]): string => {
  const gone = pairs.flatMap(({ judge, controlled }) =>
    controlled && controlled.winRate.low <= 0.5 ? [`${judge} ${rateText(controlled.winRate)}`] : [],
  )
  return gone.length ? `, but not beyond doubt at equal length (${listed(gone)})` : ''
}

const limits = ({ prompts, samples, policies, judges, between, against }: CompareFindings): string => {
  const tests = [between, against].map((found) => found.filter(({ p }) => Number.isFinite(p)).length)
  const runs = Math.max(...policies.map((policy) => policy.runs))
  const steady = judges.filter(({ scale }) => !scale).map(({ name }) => name)
  return [
    `All of it is about what these judges prefer on ${plural(prompts, 'held-out prompt')} with ${plural(samples, 'answer')} each; intervals hold 95 % over prompts, each by itself, and the tests of a question (${tests.join(' and ')} of them) are corrected together (Holm).`,
    runs === 1
      ? 'Each policy is one training run: another seed could turn what is concluded, and nothing here says how easily.'
      : `Each policy is ${plural(runs, 'training run')}.`,
    ...judges
      .filter(({ failed }) => failed)
      .map(
        ({ name, failed }) =>
          `${plural(failed, 'reward')} of ${name} ${failed === 1 ? 'is' : 'are'} no number, left out and not counted as 0.`,
      ),
    ...(steady.length
      ? [
          `${listed(steady)} gave the SFT policy's answers one and the same reward, so there is no scale to measure differences on; win rates stand.`,
        ]
      : []),
  ].join(' ')
}
