/** The result of a comparison in one line of plain words: who beats whom, the model before training too, and where no difference is shown. */
import { listed, percent } from '../../util/format.ts'
import type { CompareFindings, PairFindings } from './findings.ts'
import { groupByPair, judgedBy, mostlyTies, verdictOf } from './verdicts.ts'

type Pair = readonly [string, string]

/** @returns 'dpo and grpo beat sft; no difference between them is shown' */
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
  const clauses = [
    ...victories.map(({ winners, losers }) => `${listed(winners)} ${beat(winners)} ${listed(losers)}`),
    ...victoriesOf(of('own')).map(
      ({ winners, losers }) =>
        `${listed(winners)} ${beat(winners)} ${listed(losers)} only by ${winners.length * losers.length > 1 ? 'judges' : 'a judge'} that one of them was trained on`,
    ),
    ...of('divided').map((names) => `the judges disagree on ${listed(names)}`),
    ...pairs.flatMap(({ kind, names, judged }) =>
      kind === 'equal' ? [`${listed(names)} are equal${tiesText(judged)}`] : [],
    ),
    ...openText(
      of('undecided'),
      victories.map(({ winners }) => winners),
    ),
  ]
  const text = clauses.join('; ')
  return /^(the judges|no difference) /.test(text) ? text[0].toUpperCase() + text.slice(1) : text
}

/** ' by words and end, which mostly tie (94 % and 96 %)': equal by judges that hardly tell any answers apart. */
const tiesText = (judged: readonly PairFindings[]): string => {
  if (!judged.every(mostlyTies)) return ''
  const shares = listed(judged.map(({ outcome }) => percent(outcome.ties)))
  return ` by ${listed(judged.map(({ judge }) => judge))}, which mostly ${judged.length > 1 ? 'tie' : 'ties'} (${shares})`
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
  if (isEvery) return [`no difference between ${isNamed ? 'them' : listed(names)} is shown`]
  return [`no difference ${listed(pairs.map((pair) => `between ${listed(pair)}`))} is shown`]
}
