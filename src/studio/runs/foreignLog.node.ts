/** Runs of other tools in the form of attune's own: their curves as columns, and what little is known of their settings. */
import { type ForeignRun, readForeignRun } from '../../runs/foreign.node.ts'
import type { RunInfo } from '../../runs/run.node.ts'
import { makeTable, type Table } from './columns.ts'
import type { LogIndex } from './logIndex.node.ts'

export type ForeignLog = LogIndex & {
  /** To be called with what a search has found, before `update`. */
  found(run: ForeignRun): void
  readonly totalSteps: number | undefined
  /** What is wrong with the files, where something is. */
  readonly problem: string | undefined
}

const tools = { board: 'TensorBoard', trainer: 'transformers' } as const

export const toolOf = ({ kind }: ForeignRun): string => tools[kind]

export const foreignInfo = (run: ForeignRun): RunInfo => ({
  ...{ format: 1, method: toolOf(run), created: new Date(run.changed).toISOString(), command: [] },
  ...{ config: {}, versions: {}, machine: {}, resumes: [] },
})

export const makeForeignLog = (first: ForeignRun): ForeignLog => {
  let run = first
  let read: { bytes: number; changed: number } | undefined
  let state = { steps: makeTable(), evaluations: makeTable() }
  let totalSteps: number | undefined
  let problem: string | undefined
  return {
    get steps() {
      return state.steps
    },
    get evaluations() {
      return state.evaluations
    },
    get totalSteps() {
      return totalSteps
    },
    get problem() {
      return problem
    },
    get size() {
      return read?.bytes ?? 0
    },
    get changed() {
      return run.changed
    },
    ...{ marks: [], damaged: 0, isThere: true },
    found(again) {
      run = again
    },
    async update() {
      if (read && read.bytes === run.bytes && read.changed === run.changed) return false
      const { bytes, changed } = run
      const summary = await readForeignRun(run)
      const names = [...summary.curves.keys()]
      state = {
        steps: tableOf(
          summary.curves,
          names.filter((name) => !name.startsWith('eval_')),
        ),
        evaluations: tableOf(
          summary.curves,
          names.filter((name) => name.startsWith('eval_')),
        ),
      }
      totalSteps = summary.totalSteps
      problem = summary.problem
      read = { bytes, changed }
      return true
    },
    read: async () => [],
    bytes: () => state.steps.bytes() + state.evaluations.bytes(),
    forget() {
      read = undefined
      state = { steps: makeTable(), evaluations: makeTable() }
    },
  }
}

type Curves = Awaited<ReturnType<typeof readForeignRun>>['curves']

/** One row a step, whichever curves have a value there. */
const tableOf = (curves: Curves, names: readonly string[]): Table => {
  const rows = new Map<number, Record<string, number>>()
  for (const name of names)
    for (const [step, value] of curves.get(name)!) {
      let row = rows.get(step)
      if (!row) rows.set(step, (row = { step }))
      row[name] = value
    }
  const table = makeTable()
  for (const step of [...rows.keys()].sort((a, b) => a - b)) table.append(rows.get(step)!)
  return table
}
