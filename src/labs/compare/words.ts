/**
 * What can be concluded and what cannot, in sentences made from the numbers. Peculiar: a preference by a judge that one
 * of the policies was trained on is no evidence by itself, for a policy learns its reward model's faults too; what counts
 * is a judge that neither was trained on.
 */
import type { Interval } from '../interval.ts'
import type { CompareFindings, JudgeMaterial, PairFindings } from './findings.ts'

/** The level of all tests of a question together. */
export const level = 0.05
/** Win rates within this of a half are equal for every purpose. */
const negligible = 0.05

export type Verdict = 'a' | 'b' | 'equal' | 'unsure'

/** Of one pair under one judge. */
export const verdictOf = ({ corrected, winRate: { value, low, high } }: PairFindings): Verdict => {
  if (corrected < level) return value > 0.5 ? 'a' : 'b'
  return low >= 0.5 - negligible && high <= 0.5 + negligible ? 'equal' : 'unsure'
}

const percent = (x: number) => `${(100 * x).toFixed(0)} %`
const bare = (x: number) => (100 * x).toFixed(0)
export const rateText = ({ value, low, high }: Interval) => `${percent(value)} (${bare(low)} to ${bare(high)})`
const number = (x: number) => x.toFixed(Math.abs(x) < 10 ? 2 : 0)
/** Of a single prompt there is no interval. */
export const spanText = ({ value, low, high }: Interval) =>
  Number.isFinite(low) && Number.isFinite(high)
    ? `${number(value)} (${number(low)} to ${number(high)})`
    : Number.isFinite(value)
      ? number(value)
      : '–'
const listed = (items: readonly string[]) =>
  items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`
const times = (n: number, one: string, many = `${one}s`) => `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`

/** One paragraph a policy or a pair, the limits last. */
export const inWords = (findings: CompareFindings): string[] => {
  const { between, against, judges, prompts } = findings
  if (prompts < 2)
    return [
      'One prompt allows no statistics: no interval, no test, nothing to conclude. The answers and their rewards are below; give more prompts.',
    ]
  return [
    ...pairsOf(between).map((pair) => pairText(pair, judges)),
    ...(against.length ? [againstText(pairsOf(against), findings)] : []),
    limits(findings),
  ]
}

/** All judges of each pair together. */
const pairsOf = (found: readonly PairFindings[]): PairFindings[][] => {
  const pairs = new Map<string, PairFindings[]>()
  for (const each of found) {
    const key = JSON.stringify([each.a, each.b])
    pairs.set(key, [...(pairs.get(key) ?? []), each])
  }
  return [...pairs.values()]
}

type Sides = { own: PairFindings[]; third: PairFindings[] }

const sidesOf = (pair: readonly PairFindings[], judges: readonly JudgeMaterial[]): Sides => {
  const trained = new Map(judges.map(({ name, trained: by }) => [name, by]))
  const isOwn = ({ judge, a, b }: PairFindings) => trained.get(judge)?.some((name) => name === a || name === b)
  return { own: pair.filter(isOwn), third: pair.filter((each) => !isOwn(each)) }
}

/** By how often a is preferred, as seen from the one that is. */
const seenFrom = (verdict: Verdict, { winRate: { value, low, high } }: PairFindings): Interval =>
  verdict === 'b' ? { value: 1 - value, low: 1 - high, high: 1 - low } : { value, low, high }

const rates = (verdict: Verdict, pairs: readonly PairFindings[]) =>
  listed(pairs.map((each) => `${each.judge} ${rateText(seenFrom(verdict, each))}`))

const namesOf = (pairs: readonly PairFindings[]) => listed(pairs.map(({ judge }) => judge))

export const pairText = (pair: readonly PairFindings[], judges: readonly JudgeMaterial[]): string => {
  const { own, third } = sidesOf(pair, judges)
  const [byThird, byOwn] = [winnersOf(third), winnersOf(own)]
  if (byThird.length > 1) return contradiction(third)
  const [winner] = byThird
  if (winner === undefined) {
    if (byOwn.length > 1) return `${contradiction(own)} ${neutralText(third)}`
    return byOwn.length
      ? ownOnly(byOwn[0], own, third, judges)
      : undecided(third.length ? third : own, third.length > 0, pair[0])
  }
  const first = third.find((each) => verdictOf(each) === winner)!
  return [
    preferred(winner, pair, third, own),
    lengthText(winner, first),
    klText(winner, first),
    seedsText(winner, first),
  ]
    .filter(Boolean)
    .join(' ')
}

const winnersOf = (pairs: readonly PairFindings[]): Verdict[] => [
  ...new Set(pairs.map(verdictOf).filter((verdict) => verdict === 'a' || verdict === 'b')),
]

const sided = (winner: Verdict, { a, b }: PairFindings) => (winner === 'a' ? [a, b] : [b, a])
const by = (verdict: Verdict, pairs: readonly PairFindings[]) => pairs.filter((each) => verdictOf(each) === verdict)
const doNot = (pairs: readonly PairFindings[]) => `${pairs.length > 1 ? 'do' : 'does'} not tell them apart`

const preferred = (
  winner: Verdict,
  pair: readonly PairFindings[],
  third: readonly PairFindings[],
  own: readonly PairFindings[],
): string => {
  const [better, worse] = sided(winner, pair[0])
  const against = by(winner === 'a' ? 'b' : 'a', own)
  const unsure = pair.filter((each) => !['a', 'b'].includes(verdictOf(each)))
  const said = `The answers of ${better} are preferred to those of ${worse} by`
  if (!against.length && !unsure.length) {
    const every = pair.length === 1 ? `the only judge, ${rates(winner, pair)}` : `every judge: ${rates(winner, pair)}`
    return `${said} ${every}.`
  }
  const rest = [
    ...(against.length ? [`${rates(winner, against)} ${against.length > 1 ? 'prefer' : 'prefers'} ${worse}`] : []),
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
  const decided = by(winner, own)
  const trained = judges
    .filter(({ name }) => decided.some(({ judge }) => judge === name))
    .flatMap((each) => each.trained)
  const who = [better, worse].filter((name) => trained.includes(name))
  const others = third.length
    ? `; ${rates(winner, third)}, which neither was trained on, ${doNot(third)}`
    : ', and there is no judge that neither was trained on (--judge)'
  return `The answers of ${better} are preferred to those of ${worse} by ${rates(winner, decided)} alone, which ${listed(who)} ${who.length > 1 ? 'were' : 'was'} trained on${others}. Learning a reward model's faults looks the same, so this does not show better answers.`
}

const undecided = (judged: readonly PairFindings[], neutral: boolean, { a, b }: PairFindings): string => {
  const equal = judged.every((each) => verdictOf(each) === 'equal')
  const bound = rates('a', judged)
  if (equal) return `${a} and ${b} are equal for every purpose: answers of ${a} are preferred by ${bound}.`
  const least = Math.max(...judged.map(({ detectable }) => detectable))
  const many = judged.some(({ winRate: { low, high } }) => low > 0.5 || high < 0.5)
    ? ' An interval that leaves out 50 % is not enough where so many tests are made.'
    : ''
  const lacking = neutral ? '' : ' No judge is there that neither was trained on.'
  const few = `With ${times(judged[0].prompts, 'prompt')} a win rate below ${percent(Math.min(1, least))} would mostly go unseen, so this is no evidence that they are equal: it takes more prompts.`
  return `${a} and ${b} cannot be told apart: answers of ${a} are preferred by ${bound}.${many} ${few}${lacking}`
}

/** Whether it is length that is preferred. */
const lengthText = (winner: Verdict, pair: PairFindings): string => {
  const { longer, controlled, judge } = pair
  const [better] = sided(winner, pair)
  const gap = winner === 'a' ? longer : { value: -longer.value, low: -longer.high, high: -longer.low }
  const how = `Answers of ${better} are ${times(Math.abs(Math.round(gap.value)), 'character')} ${gap.value < 0 ? 'shorter' : 'longer'}`
  if (!controlled) return ''
  const rate = seenFrom(winner, { ...pair, winRate: controlled.winRate })
  if (controlled.beyond) return `${how}, and so on every prompt: length and preference cannot be told apart here.`
  if (rate.low > 0.5) return `It is not length: at equal length ${judge} still prefers ${better} in ${rateText(rate)}.`
  if (gap.low > 0 || gap.high < 0)
    return `${how}; at equal length ${judge} prefers ${better} in ${rateText(rate)}, so length may be all that is preferred.`
  return `At equal length ${judge} prefers ${better} in ${rateText(rate)}, which is not sure any more.`
}

/** Whether going farther is all that was done. */
const klText = (winner: Verdict, pair: PairFindings): string => {
  const { equalKl, judge } = pair
  const [better, worse] = sided(winner, pair)
  if (!equalKl) return ''
  const { farther, kl, difference, between } = equalKl
  const [far, near] = kl.map(({ value }) => number(value))
  if (farther === worse)
    return `It is better at less distance, too: ${near} nats of KL from the SFT policy against ${far}.`
  const how = between
    ? `by ${times(between, 'checkpoint')} on its way`
    : 'by a straight line over the root of the KL, for no checkpoint on its way was kept'
  const went = `${better} has gone farther from the SFT policy, ${far} nats against ${near};`
  const reward = `standard deviations of reward by ${judge}: ${spanText(difference)}`
  if (difference.low > 0) return `${went} at equal KL (${how}) it is still ahead, in ${reward}.`
  if (difference.high < 0)
    return `${went} at equal KL (${how}) it is behind, in ${reward}, so distance is what was bought with.`
  return `${went} at equal KL (${how}) it is not ahead beyond doubt, in ${reward}, so distance may be all of it.`
}

/** Whether another training would tell the same. */
const seedsText = (winner: Verdict, pair: PairFindings): string => {
  if (!pair.seeds) return ''
  const { low, high, value } = seenFrom(winner, { ...pair, winRate: pair.seeds })
  const rate = rateText({ value, low, high })
  return low > 0.5
    ? `It holds for the method and not for these runs alone: over training seeds the win rate is ${rate}.`
    : `It holds for these runs; of the method it is not shown, for over training seeds the win rate is ${rate}.`
}

/** Each policy against the one that all began with. */
const againstText = (pairs: readonly PairFindings[][], { sft, judges }: CompareFindings): string => {
  const each = pairs.map((pair) => {
    const { own, third } = sidesOf(pair, judges)
    const of = (verdict: Verdict, from: readonly PairFindings[]) => from.filter((one) => verdictOf(one) === verdict)
    const { a } = pair[0]
    const [up, down] = [of('a', third), of('b', third)]
    const seen = third.length ? third : own
    if (up.length && down.length) return `${a} is better by ${namesOf(up)} and worse by ${namesOf(down)}`
    if (up.length) return `${a} is better (${rates('a', up)})${atEqualLength(up)}`
    if (down.length) return `${a} is worse (${rates('a', down)})`
    const ownUp = of('a', own)
    if (ownUp.length) return `${a} is better by ${rates('a', ownUp)} alone, which it was trained on`
    return `${a} is not shown to differ (${rates('a', seen)})`
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
  const failed = judges.filter((judge) => judge.failed)
  const steady = judges.filter(({ scale }) => !scale).map(({ name }) => name)
  return [
    `All of it is about ${times(prompts, 'held-out prompt')} with ${times(samples, 'answer')} each; intervals hold 95 % over prompts, and the tests of a question (${tests.join(' and ')} of them) are corrected together (Holm).`,
    runs === 1
      ? 'Each policy is one training run: another seed could turn what is concluded, and nothing here says how easily.'
      : `Each policy is ${times(runs, 'training run')}.`,
    ...failed.map(
      ({ name, failed: n }) =>
        `${times(n, 'reward')} of ${name} ${n === 1 ? 'is' : 'are'} no number, left out and not counted as 0.`,
    ),
    ...(steady.length
      ? [
          `${listed(steady)} gave the SFT policy's answers one and the same reward, so there is no scale to measure differences on; win rates stand.`,
        ]
      : []),
  ].join(' ')
}
