/** What a run changed, in words: the headline of its page, the last line in the terminal, its place in a list of runs. */
import { type Change, changeOf } from '../../runs/change.ts'
import type { Curves } from '../../runs/curves.ts'
import { wilson } from '../../statistics/intervals.ts'
import { studentTQuantile } from '../../statistics/quantiles.ts'
import { formatNumber, percent, plural, whole } from '../../util/format.ts'
import { labelOf, shownValue } from './runCharts.ts'

/** loss 2.300 → 1.900 */
const arrow = ({ metric, from, to }: Change): string => {
  const shown = ({ value }: { value: number }) => shownValue(metric, value)
  return `${labelOf(metric).toLowerCase()} ${from ? `${shown(from)} → ${shown(to)}` : shown(to)}`
}

/** Which rows or steps were measured: held-out, training; nothing for rows of self-play that the run learns from. */
const prefix = ({ heldOut, steps }: Change) => (heldOut ? 'held-out ' : steps ? 'training ' : '')

/** held-out loss */
export const nameText = (change: Change): string => `${prefix(change)}${labelOf(change.metric).toLowerCase()}`

/** The interval of 95 % of a change by Student's t, and whether no change lies outside it; undefined where its error is not known. */
const intervalOf = ({ difference, from, to }: Change) => {
  if (!difference || !from) return undefined
  const { error, rows } = difference
  const half = studentTQuantile(0.975, rows - 1) * error
  const value = to.value - from.value
  return { low: value - half, high: value + half, rows, isSure: Math.abs(value) > half }
}

/** The same in few words. */
const certainty = ({ low, high, rows, isSure }: NonNullable<ReturnType<typeof intervalOf>>): string =>
  isSure
    ? `a change of ${signed(low)} to ${signed(high)} at 95 % confidence`
    : `${plural(rows, 'prompt')}: too few to tell`

const signed = (value: number) => `${value < 0 ? '−' : '+'}${formatNumber(Math.abs(value))}`

/** held-out loss 2.300 → 1.900; training loss 2.300 → 1.900 (means of the first and last 5 steps) */
export const changeText = (change: Change): string => {
  const { heldOut, from, steps } = change
  const interval = intervalOf(change)
  const how =
    steps && from
      ? steps > 1
        ? ` (means of the first and last ${steps} steps)`
        : ' (the first and the last step)'
      : heldOut && from && from.step > 0
        ? ` (first measured after step ${whole(from.step)})`
        : ''
  const sure = interval ? ` (${certainty(interval)})` : ''
  return `${prefix(change)}${arrow(change)}${how}${sure}`.replaceAll('\u00a0', ' ')
}

/** held-out loss 1.900 */
export const reachedText = ({ from: _, ...change }: Change): string =>
  `${prefix(change)}${arrow(change)}`.replaceAll('\u00a0', ' ')

/**
 * What the run is about, in one line, and what to know of its numbers.
 * @param accuracy the share of pairs in order by the result   @param heldRows how many rows were held out
 */
export const headlineText = (
  change: Change,
  method: string,
  { accuracy, heldRows }: { accuracy?: number; heldRows?: number } = {},
): { text: string; note?: string } => {
  const { heldOut, steps } = change
  const rows = heldRows === undefined ? 'held-out rows' : plural(heldRows, 'held-out row')
  const unsure = intervalOf(change)?.isSure === false ? ', too few to tell' : ''
  const text = heldOut ? `${arrow(change)} on ${rows}${unsure}` : `${steps ? 'training ' : ''}${arrow(change)}`
  const interval = accuracy === undefined || !heldRows ? undefined : accuracyNote(accuracy, heldRows)
  const notes = [measuredNote(change), differenceNote(change), interval].filter((note) => note !== undefined)
  return { text: `${method}: ${text}`, ...(notes.length && { note: notes.join(' ') }) }
}

/** The same of the curves of a run; undefined where nothing was measured. @param through the step of the result */
export const headlineOf = (
  curves: Curves,
  method: string,
  facts: { through?: number; heldRows?: number; bestMetric?: unknown } = {},
): { text: string; note?: string } | undefined => {
  const change = changeOf(curves, facts)
  const accuracy = heldAccuracy(curves, facts.through)
  return change && headlineText(change, method, { accuracy, heldRows: facts.heldRows })
}

const measuredNote = ({ heldOut, from, steps = 0 }: Change): string | undefined => {
  if (heldOut && from && from.step > 0) return `The first evaluation was after step ${whole(from.step)}.`
  if (steps > 1) return `No rows were held out: the numbers are means of the first and last ${steps} steps.`
  return steps ? 'No rows were held out: the numbers are of single steps.' : undefined
}

/** Each held-out prompt is answered once in an evaluation. */
const differenceNote = (change: Change): string | undefined => {
  const interval = intervalOf(change)
  if (!interval) return undefined
  const { low, high, rows, isSure } = interval
  const prompts = `${plural(rows, 'held-out prompt')} with one answer each`
  const known = `The change of the ${labelOf(change.metric).toLowerCase()} is known to lie between ${signed(low)} and ${signed(high)} (95 % confidence)`
  return isSure ? `${known}, by ${prompts}.` : `${known}: ${prompts} are too few to tell whether it changed.`
}

/** Of a result: the share of held-out pairs in order. Of pairs each row has one at least. */
export const heldAccuracy = (curves: Curves, through = Number.POSITIVE_INFINITY): number | undefined => {
  const points = ['rewards/accuracies', 'accuracy'].map((name) => curves.get(`eval_${name}`)).find((all) => all?.length)
  return points?.filter(([step]) => step <= through).at(-1)?.[1]
}

/** Wilson's interval with rows as the units: pairs of one row stand together. */
const accuracyNote = (share: number, rows: number): string => {
  const { low, high } = wilson(share * rows, rows)
  return `The accuracy on ${plural(rows, 'held-out row')} is ${percent(share)}, and known to lie between ${percent(low)} and ${percent(high)} (95 % confidence).`
}
