/** What is told of rows that are odd or not used, by reason. */

import type { OpenedRows } from '../../data/openRows.node.ts'
import { unreadColumns } from '../../data/unread.ts'
import type { WarningEvent } from '../../runs/events.ts'
import type { ExampleStream } from '../../train/stream.ts'
import { quoted } from '../../util/quote.ts'

const meaning: Record<string, string> = {
  'prompt-not-prefix':
    "rows whose prompt is no prefix of prompt and response once tokenised; the response was taken after the prompt's length",
  'no-reply-left': 'rows dropped: the length limits left no response',
  'no-target-left': 'rows dropped: the length limit left nothing to predict',
  'equal-replies':
    'rows with responses that are ranked apart and are the same tokens, so that nothing can be learnt from them',
  truncated: 'rows cut to the length limits',
  tie: 'rows dropped: two responses of equal rank say nothing to a loss on pairs',
  contradiction: 'rows dropped: a response is rated above one that it is ranked below (--margins ratings)',
  empty: 'rows dropped: too short to predict anything',
}

/** @param own words of a method, which come first */
export const countWarnings = (counts: Iterable<[string, number]>, own: Record<string, string> = {}): WarningEvent[] =>
  Array.from(counts, ([code, count]) => {
    const message = own[code] ?? meaning[code] ?? code
    return { event: 'warning', code, message, count }
  })

/** What the survey of a stream found. */
export const rowWarnings = (
  stream: Pick<ExampleStream<never>, 'found'>,
  own?: Record<string, string>,
): WarningEvent[] => {
  const { odd, dropped } = stream.found()
  return countWarnings([...Object.entries(odd), ...Object.entries(dropped)], own)
}

/** Columns that would change a result elsewhere and are not read, once each. */
export const unreadWarnings = (opened: readonly (Pick<OpenedRows, 'unread'> | undefined)[]): WarningEvent[] => {
  const counts: Record<string, number> = {}
  for (const rows of opened)
    for (const [column, n] of Object.entries(rows?.unread ?? {})) counts[column] = (counts[column] ?? 0) + n
  return Object.entries(counts).map(([column, count]) => {
    const message = `the column ${quoted(column)} is not read: ${unreadColumns[column]}`
    return { event: 'warning', code: 'column-not-read', message, count }
  })
}
