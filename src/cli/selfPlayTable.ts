/** The table at the end of a run with iterations: the evaluation of each. */

import type { EvalEvent } from '../train/loop.ts'
import { formatNumber, percent } from '../util/format.ts'
import { columns } from './format.ts'

type Column = {
  head: string
  /** Undefined where the evaluation does not have the value. */
  text(evaluation: EvalEvent): string | undefined
}

const number =
  (key: string, format: (x: number) => string): Column['text'] =>
  ({ [key]: value }) =>
    typeof value === 'number' ? format(value) : undefined

const tableColumns: readonly Column[] = [
  { head: 'iteration', text: number('iteration', String) },
  { head: 'loss', text: number('eval_loss', formatNumber) },
  { head: 'nats/token', text: number('eval_nll', formatNumber) },
  { head: 'log p data', text: number('eval_logps/data', formatNumber) },
  { head: 'log p own', text: number('eval_logps/own', formatNumber) },
  { head: 'margin', text: number('eval_margin', formatNumber) },
  {
    head: '95 %',
    text: ({ eval_margin_low: low, eval_margin_high: high }) =>
      typeof low === 'number' && typeof high === 'number' ? `${formatNumber(low)} to ${formatNumber(high)}` : undefined,
  },
  { head: 'data wins', text: number('eval_win_rate', percent) },
  { head: 'exact', text: number('eval_exact_match', percent) },
  // Of self-rewarding
  { head: 'pairs', text: number('eval_pairs', String) },
  { head: 'scores read', text: number('eval_parse_rate', percent) },
  { head: 'mean score', text: number('eval_mean_score', formatNumber) },
  { head: 'words', text: number('eval_words', formatNumber) },
  { head: 'judge agrees', text: number('eval_judge_agreement', percent) },
  { head: 'new wins', text: number('eval_new_win_rate', percent) },
]

/** One row for each iteration; columns without any value are left out. Empty if no evaluation belongs to an iteration. */
export const iterationTable = (evals: readonly EvalEvent[]): string => {
  const iterations = evals.filter(({ iteration }) => iteration !== undefined)
  if (iterations.length === 0) return ''
  const shown = tableColumns.filter(({ text }) => iterations.some((event) => text(event) !== undefined))
  const rows = iterations.map((event) => shown.map(({ text }) => text(event) ?? ''))
  return columns(
    [shown.map(({ head }) => head), ...rows],
    shown.map((_, i) => i),
  )
}
