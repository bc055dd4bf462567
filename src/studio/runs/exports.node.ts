/** A run to take along: every logged number as CSV, and the run's page as one HTML file. */
import { readdir } from 'node:fs/promises'
import { hasChatTemplate } from '../../recipes/trainer/runPage.ts'
import { runReport } from '../../recipes/trainer/runReport.ts'
import { readSamples } from '../../recipes/trainer/samples.ts'
import { resultOf } from '../../runs/find.node.ts'
import type { LoggedEvent } from '../../runs/log.node.ts'
import type { RunRow } from './api.ts'
import type { Table } from './columns.ts'
import type { LogIndex } from './logIndex.node.ts'
import { defaultsOfMethod } from './page.node.ts'
import type { OpenRun } from './store.node.ts'

/** Rows of one piece of text. */
const rowsAtOnce = 2000

/** A line for each step and each evaluation, in their order; `event` says which it is. */
export function* csvOf({ steps, evaluations }: Pick<LogIndex, 'steps' | 'evaluations'>): Generator<string> {
  const names = [...new Set([...steps.names(), ...evaluations.names()])].filter((name) => name !== 'step')
  const columnsOf = (table: Table) => names.map((name) => table.column(name))
  const [ofSteps, ofEvaluations] = [columnsOf(steps), columnsOf(evaluations)]
  const line = (event: string, step: number, columns: readonly (Float64Array | undefined)[], row: number) =>
    `${event},${step},${columns.map((column) => (column && Number.isFinite(column[row]) ? column[row] : '')).join(',')}\r\n`
  yield `${['event', 'step', ...names].map(csvField).join(',')}\r\n`
  const [at, atEvaluations] = [steps.column('step') ?? [], evaluations.column('step') ?? []]
  let text = ''
  let j = 0
  for (let i = 0; i <= at.length; i++) {
    // Evaluations follow the step that they were made after
    for (; j < atEvaluations.length && (i === at.length || atEvaluations[j] < at[i]); j++)
      text += line('eval', atEvaluations[j], ofEvaluations, j)
    if (i < at.length) text += line('step', at[i], ofSteps, i)
    if (i % rowsAtOnce === 0 || i === at.length) {
      if (text) yield text
      text = ''
    }
  }
}

/** RFC 4180. A name that a spreadsheet would compute is made a text. */
const csvField = (text: string): string => {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** Steps of a report, at most: more than its charts can show. */
const mostSteps = 2000

/** The page as one file that needs no network. */
export const reportOf = async ({ name, dir, info, log, row }: OpenRun): Promise<string> => {
  const marks = log.marks.filter(({ event }) => event === 'warning' || event === 'end' || event === 'sample')
  const fewer = marks.length > mostSteps ? [...marks.slice(0, mostSteps / 2), ...marks.slice(-mostSteps / 2)] : marks
  return runReport({
    ...{ name, info, steps: row.steps, totalSteps: row.totalSteps, state: shownState(row) },
    events: [...thinned(log.steps, 'step'), ...thinned(log.evaluations, 'eval'), ...(await log.read(fewer))],
    defaults: await defaultsOfMethod(info.method),
    result: await resultOf(dir),
    links: false,
    beforeAfter: await readSamples(dir),
    chats: await hasChatTemplate(info),
    files: (await readdir(dir)).sort(),
  })
}

/** As reports of runs name it. */
const shownState = ({ state, reason }: RunRow): string =>
  state === 'done' ? (reason ?? 'done') : state === 'stopped' ? 'interrupted' : state

/** Every so many rows of a table as events, the first and the last among them. */
const thinned = (table: Table, event: 'step' | 'eval'): LoggedEvent[] => {
  const columns = table.names().map((name) => [name, table.column(name)!] as const)
  const rows = table.rows()
  const every = Math.ceil(rows / mostSteps)
  const kept = Array.from({ length: rows }, (_, i) => i).filter((i) => i % every === 0 || i === rows - 1)
  return kept.map((i) => ({
    event,
    ...Object.fromEntries(columns.flatMap(([name, { [i]: value }]) => (Number.isFinite(value) ? [[name, value]] : []))),
  }))
}
