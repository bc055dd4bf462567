/** The result of a comparison in one line of plain words: who beats whom, the model before training too, and where no difference is shown. */
import { listed, percent } from '../../util/format.ts'
import type { CompareFindings, PairFindings } from './findings.ts'
import { groupByPair, judgedBy, mostlyTies, preferringNone, verdictOf } from './verdicts.ts'

type Pair = readonly [string, string]
type JudgedPair = { names: Pair; judged: PairFindings[] }

/** @returns 'dpo and grpo beat sft; no difference between them is shown; the judge end mostly ties (in 96 % of cases)' */
export const headlineOf = ({ between, against, judges, prompts }: CompareFindings): string => {
  if (prompts < 2) return 'One prompt is too little to compare models'
  const pairs = [...groupByPair(against), ...groupByPair(between)].map((pair) => {
    const verdict = verdictOf(pair, judges)
    const { a, b } = pair[0]
    const names: Pair = 'winner' in verdict && verdict.winner === 'b' ? [b, a] : [a, b]
    return { kind: verdict.kind, names, judged: judgedBy(pair, judges) }
  })
  const of = (kind: (typeof pairs)[number]['kind']) =>
    pairs.filter((pair) => pair.kind === kind).map(({ names }) => names)
  const victories = victoriesOf(of('better'))
  const ownJudges = judges.filter(({ trained }) => trained.length).length
  const clauses = [
    ...victories.map(({ winners, losers }) => `${listed(winners)} ${beat(winners)} ${listed(losers)}`),
    ...victoriesOf(of('own')).map(
      ({ winners, losers }) =>
        `${listed(winners)} ${beat(winners)} ${listed(losers)} only by ${ownJudges > 1 ? 'judges' : 'a judge'} that one of them was trained on`,
    ),
    ...of('divided').map((names) => `the judges disagree on ${listed(names)}`),
    ...of('equal').map((names) => `${listed(names)} are equal`),
    ...openText(
      of('undecided'),
      victories.map(({ winners }) => winners),
    ),
    ...tiesText(
      pairs,
      pairs.filter(({ kind }) => kind === 'tied'),
    ),
  ]
  const text = clauses.join('; ')
  return /^(the judges?|no difference) /.test(text) ? text[0].toUpperCase() + text.slice(1) : text
}

/** The judges that mostly tie on all pairs, and the pairs about which no other judge says anything. */
const tiesText = (pairs: readonly JudgedPair[], tied: readonly JudgedPair[]): string[] => {
  const names = [...new Set(pairs.flatMap(({ judged }) => judged.map(({ judge }) => judge)))]
  const always = names.filter((name) => {
    const own = pairs.flatMap(({ judged }) => judged.filter(({ judge }) => judge === name))
    return own.every(mostlyTies) && preferringNone(own).length === own.length
  })
  const groups = new Map<string, JudgedPair[]>()
  for (const pair of tied) {
    const key = JSON.stringify(pair.judged.map(({ judge }) => judge))
    groups.set(key, [...(groups.get(key) ?? []), pair])
  }
  const said = new Set(tied.flatMap(({ judged }) => judged.map(({ judge }) => judge)))
  const others = pairs.map(({ judged }) => judged.filter(({ judge }) => always.includes(judge) && !said.has(judge)))
  return [
    ...[...groups.values()].map((group) => {
      const { judged } = group[0]
      const says = new Set(judged.map(({ judge }) => judge)).size > 1 ? 'say' : 'says'
      return `${tyingText(group.flatMap(({ judged }) => judged))} and ${says} little ${pairsText(
        'about',
        group.map(({ names }) => names),
      )}`
    }),
    ...(others.flat().length ? [tyingText(others.flat())] : []),
  ]
}

/** the judges neutral and other mostly tie (in 94 % of cases or more) */
const tyingText = (judged: readonly PairFindings[]): string => {
  const names = [...new Set(judged.map(({ judge }) => judge))]
  const shares = [...new Set(judged.map(({ outcome }) => percent(outcome.ties)))]
  const least = percent(Math.min(...judged.map(({ outcome }) => outcome.ties)))
  const many = names.length > 1
  return `the ${many ? 'judges' : 'judge'} ${listed(names)} mostly ${many ? 'tie' : 'ties'} (in ${least} of cases${shares.length > 1 ? ' or more' : ''})`
}

/** 'between a, b and c', or where these are not all pairs of them 'between a and b and between a and c' */
const pairsText = (word: string, pairs: readonly Pair[]): string => {
  const names = [...new Set(pairs.flat())]
  const isEvery = pairs.length === (names.length * (names.length - 1)) / 2
  return isEvery ? `${word} ${listed(names)}` : listed(pairs.map((pair) => `${word} ${listed(pair)}`))
}

const beat = (names: readonly string[]) => (names.length > 1 ? 'beat' : 'beats')

/** Winners that beat the same ones together. */
const victoriesOf = (pairs: readonly Pair[]): { winners: string[]; losers: string[] }[] => {
  const winners = [...new Set(pairs.map(([winner]) => winner))]
  const groups = new Map<string, { winners: string[]; losers: string[] }>()
  for (const name of winners) {
    const losers = pairs.filter(([winner]) => winner === name).map(([, loser]) => loser)
    const key = JSON.stringify([...losers].sort())
    const group = groups.get(key)
    if (group) group.winners.push(name)
    else groups.set(key, { winners: [name], losers })
  }
  return [...groups.values()]
}

/** @param named the groups of policies that the line names before */
const openText = (pairs: readonly Pair[], named: readonly string[][]): string[] => {
  if (!pairs.length) return []
  const names = [...new Set(pairs.flat())]
  const isEvery = pairs.length === (names.length * (names.length - 1)) / 2
  const isNamed =
    named.length === 1 && names.length === named[0].length && names.every((name) => named[0].includes(name))
  return [`no difference ${isEvery && isNamed ? 'between them' : pairsText('between', pairs)} is shown`]
}
