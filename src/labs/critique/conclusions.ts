/** What a run of `attune critique` made, in sentences: how many rows, what was dropped and why, and what to beware of. */
import { type PairCounts, type PairDropReason, pairDropReasons } from '../../feedback/constitution/preference.ts'
import { type CritiqueCounts, type DropReason, dropReasons } from '../../feedback/constitution/transcript.ts'
import { wilson } from '../../statistics/intervals.ts'
import { sum } from '../../statistics/summary.ts'
import { percent, plural, whole } from '../../util/format.ts'

/** Each reason with its number and what it means, the commonest first. */
const reasonsText = (dropped: Readonly<Record<string, number>>, meanings: Readonly<Record<string, string>>): string =>
  Object.entries(dropped)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, n]) => `${whole(n)} because ${meanings[reason]}`)
    .join(', ')

const failuresText = (failures: Readonly<Record<string, number>>): string[] => {
  const others = Object.entries(failures).filter(([code]) => code !== 'prompt-too-long')
  if (!others.length) return []
  const codes = others.map(([code, n]) => `${code} ${whole(n)}`).join(', ')
  return [`Calls failed (${codes}). Nothing is kept of them: the same command asks again.`]
}

/** A share of cut or doubtful texts from which on a reader has to know of it. */
const worthSaying = 0.1

export const critiqueWords = ({ rows, kept, dropped, failures, cut, length }: CritiqueCounts): string[] => [
  `${whole(kept)} of ${plural(rows, 'prompt')} gave a row to learn from.${
    kept < rows ? ` Dropped were ${reasonsText(dropped, dropReasons satisfies Record<DropReason, string>)}.` : ''
  }`,
  ...(kept
    ? [
        `In these rows a response had ${whole(length.before)} words on average, and its last revision ${whole(length.after)}.`,
      ]
    : []),
  ...(cut.critique + cut.response > worthSaying * rows
    ? [
        `${plural(cut.response, 'response')} and ${plural(cut.critique, 'critique')} were cut at the limit of new tokens and used as they are; a higher --max-new-tokens lets them end.`,
      ]
    : []),
  ...failuresText(failures),
]

export const preferenceWords = (counts: PairCounts): string[] => {
  const { pairs, kept, dropped, failures, compared, consistent, first, prob, mass } = counts
  return [
    `${whole(kept)} of ${plural(pairs, 'pair')} gave a row.${
      kept < pairs
        ? ` Dropped were ${reasonsText(dropped, pairDropReasons satisfies Record<PairDropReason, string>)}.`
        : ''
    }`,
    ...(compared
      ? [
          `In ${whole(consistent)} of ${plural(compared, 'comparison')} both orders preferred the same reply; (A) got ${percent(first)} of the probability, whatever stood there. A row says by its prob how sure the judge is: ${prob.toFixed(2)} on average, where 0.5 is a guess.`,
        ]
      : []),
    ...(compared && wilson(consistent, compared).high < 0.5
      ? [
          'The judge looks more at the place of a reply than at the reply: use these rows only after a look at the samples.',
        ]
      : []),
    ...(compared && mass < 0.5
      ? [
          `(A) and (B) had only ${percent(mass)} of all probability together: the judge would rather have said something else, so its preferences mean little.`,
        ]
      : []),
    ...failuresText(failures),
  ]
}

/** @param dropped records of the files that gave no prompt, by reason */
export const recordWords = (dropped: Readonly<Record<string, number>>): string[] => {
  const reasons = Object.entries(dropped)
  const all = sum(reasons.map(([, n]) => n))
  if (!all) return []
  return [
    `${plural(all, 'record')} of the files gave no prompt (${reasons.map(([why, n]) => `${why} ${whole(n)}`).join(', ')}).`,
  ]
}
