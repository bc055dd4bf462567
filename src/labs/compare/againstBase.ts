/** Each policy of a comparison against the model before training, in one sentence. */
import { listed } from '../../util/format.ts'
import type { CompareFindings, JudgeInfo, PairFindings } from './findings.ts'
import {
  doNotTell,
  notCounted,
  ownText,
  rates,
  rateText,
  trainedText,
  verb,
  winnerFirst,
  winRateOf,
} from './phrases.ts'
import { equivalence, groupByPair, preferring, preferringNone, type Side, splitJudges, verdictOf } from './verdicts.ts'

/** @param findings each pair with the winner first */
export const againstBase = ({ against, sft, judges }: CompareFindings): string =>
  `Against ${sft}, the model before training: ${groupByPair(against)
    .map((pair) => pairText(pair, sft, judges))
    .join('; ')}.`

const pairText = (pair: readonly PairFindings[], sft: string, judges: readonly JudgeInfo[]): string => {
  const verdict = verdictOf(pair, judges)
  const { own, independent } = splitJudges(pair, judges)
  const [{ a, b }] = pair
  const policy = a === sft ? b : a
  if (verdict.kind === 'better') {
    const { winner } = verdict
    const [better] = winnerFirst(winner, pair[0])
    const inFavour = preferring(winner, independent)
    const unsure = preferringNone(independent)
    const said = [
      rates(winner, inFavour),
      ...(unsure.length ? [`${rates(winner, unsure)} ${doNotTell(unsure)}`] : []),
      ...(own.length ? [ownText(winner, own, judges)] : []),
    ]
    const start = better === sft ? `${sft} is preferred to ${policy}` : `${policy} is preferred`
    return `${start} (${said.join('; ')})${better === sft ? '' : atEqualLengthText(winner, inFavour)}`
  }
  if (verdict.kind === 'own') {
    const { winner } = verdict
    const [better] = winnerFirst(winner, pair[0])
    const inFavour = preferring(winner, own)
    const unsure = [...preferringNone(own), ...independent]
    const others = unsure.length ? ` (${rates(winner, unsure)} ${doNotTell(unsure)})` : ''
    const start = better === sft ? `${sft} is preferred to ${policy}` : `${policy} is preferred`
    return `${start} by ${rates(winner, inFavour)} alone, though ${trainedText(inFavour, judges)}${others}`
  }
  const judged = independent.length ? independent : own
  const left = independent.length && own.length ? `; ${notCounted(own, judges)}` : ''
  if (verdict.kind === 'divided') {
    const said =
      verdict.by === 'own' ? `${rates('a', pair)}; ${trainedText(own, judges)}` : `${rates('a', independent)}${left}`
    return `the judges contradict each other on ${policy} (win rate of ${a} over ${b}: ${said})`
  }
  const found = `(win rate of ${a} over ${b}: ${rates('a', judged)}${left})`
  if (verdict.kind === 'tied')
    return `little is said about ${policy}, since ${listed(judged.map(({ judge }) => judge))} mostly ${verb(judged, 'ties', 'tie')} ${found}`
  if (verdict.kind === 'equal') return `${policy} is equal to it to within ${100 * equivalence} points ${found}`
  return `${policy} is not shown to differ ${found}`
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
