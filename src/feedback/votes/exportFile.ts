/** Writes files of rows as a file of another program. */
import { basename } from 'node:path'
import type { ResolveDataset } from '../../data/input.node.ts'
import { type OpenedRows, openRows } from '../../data/openRows.node.ts'
import { templateColumns } from '../../data/records.ts'
import type { Row } from '../../data/rows.ts'
import { badInput } from '../../util/fault.ts'
import { refuseTakenFile, writeNew } from '../../util/files.node.ts'
import { stringify } from '../../util/written.ts'
import { parseTemplate } from '../labelStudio/parseTemplate.ts'
import { labelStudioTask } from '../labelStudio/taskForm.ts'
import { writeTemplate } from '../labelStudio/writeTemplate.ts'
import { datasetInfo, type Exported, llamaFactoryRecords, type TrainingKind, trlRecords } from './exportRows.ts'
import type { ExportTarget } from './exportTargets.ts'
import { argillaRecord } from './exportVotes.ts'
import { type Task, taskGatherer } from './tasks.ts'

type Counts = Record<string, number>

export type ExportReport = {
  /** Rows read. */
  rows: number
  /** Tasks or records written. */
  written: number
  /** Rows, pairs or votes that are not in the file, by reason. */
  dropped: Counts
  /** Votes that the program can hold in another form only, by what was done. */
  changed: Counts
  /** Of LLaMA-Factory: the file's entry in dataset_info.json. */
  dataset_info?: object
  /** Of Label Studio: the labelling template of a project for the tasks. */
  template?: string
}

/** What a program reads: a list in one JSON file, lines, or either. */
const endings: Record<ExportTarget, readonly string[]> = {
  'label-studio': ['.json'],
  argilla: ['.json', '.jsonl'],
  trl: ['.jsonl', '.json'],
  'llama-factory': ['.json', '.jsonl'],
}

/** What votes become is told apart from what is lost. */
export const isChange = (what: string) => what === 'unranked-as-last' || what.endsWith('-left-out')

/** Scores and probabilities of rankings, for which none of the programs has a place, and what only TRL gives a chat template. */
const leftOut = (row: Row, to: string): string[] => [
  ...(row.kind === 'ranking'
    ? (['ratings', 'prob'] as const).filter((name) => row[name] !== undefined).map((name) => `${name}-left-out`)
    : []),
  ...(row.template && to !== 'trl' ? ['template-arguments-left-out'] : []),
]

/**
 * @throws Fault for rows that the program has no form for at all, and for a file of several kinds; 'taken' where the file is
 * there already
 */
export const exportVotes = async (
  files: string[],
  to: ExportTarget,
  output: string,
  { columns = {}, resolve }: { columns?: Record<string, string>; resolve?: ResolveDataset } = {},
): Promise<ExportReport> => {
  if (!endings[to].some((ending) => output.toLowerCase().endsWith(ending)))
    throw badInput('bad-flag', `must end in ${endings[to].join(' or ')} for ${to}`, { flag: '--output' })
  await refuseTakenFile(output)
  const forPeople = to === 'label-studio' || to === 'argilla'
  const rows = await openRows(files, { columns, resolve, unranked: forPeople })
  try {
    const report: ExportReport = { rows: rows.length, written: 0, dropped: { ...rows.dropped }, changed: {} }
    const count = (what: string, n = 1) => {
      const counts = isChange(what) ? report.changed : report.dropped
      counts[what] = (counts[what] ?? 0) + n
    }
    let kind: TrainingKind | undefined
    const tasks = forPeople ? await tasksOf(rows, to, count) : []
    const template = to === 'label-studio' ? templateFor(tasks) : undefined
    const records =
      template !== undefined
        ? labelStudioTasks(tasks, template, count)
        : forPeople
          ? tasks.flatMap((task, i) => argillaRecord(task, i + 1, count) ?? [])
          : trainingRecords(rows, to, count, (found, row) => (kind = oneKind(kind, found, rows.where(row))))
    await writeNew(output, written(records, output.toLowerCase().endsWith('.json'), report, files))
    return {
      ...report,
      ...(template !== undefined && { template }),
      ...(to === 'llama-factory' &&
        kind && { dataset_info: { [nameOf(output)]: datasetInfo(kind, basename(output)) } }),
    }
  } finally {
    await rows.close()
  }
}

const nameOf = (path: string) => basename(path).replace(/\.jsonl?$/i, '')

type Count = (what: string, n?: number) => void

/**
 * Rows as tasks to label: rankings and preferences, ranked or not, or responses that are good or bad.
 * @throws Fault 'wrong-kind' for other rows, and for both kinds in one
 */
export const tasksOf = async (rows: OpenedRows, to: string, count: Count): Promise<Task[]> => {
  const gatherer = taskGatherer()
  let first: Row['kind'] | undefined
  for (let i = 0; i < rows.length; i++) {
    const row = await rows.row(i)
    if (row.kind !== 'ranking' && row.kind !== 'unpaired')
      throw badInput(
        'wrong-kind',
        `is a row of the kind "${row.kind}"; ${to} takes responses to compare: preferences or rankings`,
        rows.where(i),
      )
    first ??= row.kind
    if (row.kind !== first)
      throw badInput(
        'wrong-kind',
        `is a row of the kind "${row.kind}", and rows before it are of the kind "${first}"; export each by itself`,
        rows.where(i),
      )
    const dropped = row.kind === 'ranking' && row.responses.length < 2 ? 'one-response' : gatherer.add(row)
    if (dropped) count(dropped)
    for (const what of leftOut(row, to)) count(what)
  }
  return gatherer.tasks()
}

/** The template that asks for what these votes say. */
export const templateFor = (tasks: readonly Task[]): string => {
  const votes = tasks.flatMap(({ votes, predictions = [] }) => [...votes, ...predictions])
  const unranked = votes.some(({ ranks }) => ranks.includes(null))
  const single = tasks.every(({ responses }) => responses.length === 1)
  return writeTemplate({ mode: single ? 'good' : 'rank', responses: single ? 1 : 2, unranked })
}

const labelStudioTasks = (tasks: readonly Task[], template: string, count: Count): object[] => {
  const form = { template: parseTemplate(template) }
  return tasks.flatMap((task, i) => labelStudioTask(task, i + 1, count, form) ?? [])
}

async function* trainingRecords(
  rows: OpenedRows,
  to: 'trl' | 'llama-factory',
  count: Count,
  onKind: (kind: TrainingKind, row: number) => void,
): AsyncGenerator<object> {
  const read: (row: Row) => Exported = to === 'trl' ? trlRecords : llamaFactoryRecords
  for (let i = 0; i < rows.length; i++) {
    const row = await rows.row(i)
    const found = read(row)
    if ('reason' in found) {
      count(found.reason)
      continue
    }
    onKind(found.kind, i)
    for (const what of leftOut(row, to)) count(what)
    for (const reason of found.dropped) count(reason)
    const more = to === 'trl' ? templateColumns(row.template) : {}
    yield* found.records.map((record) => ({ ...record, ...more }))
  }
}

const oneKind = (known: TrainingKind | undefined, found: TrainingKind, where: object): TrainingKind => {
  if (known !== undefined && known !== found)
    throw badInput(
      'wrong-kind',
      `is a row of the kind ${found}, and rows before it are ${known}; export each by itself`,
      where,
    )
  return found
}

async function* written(
  records: Iterable<object> | AsyncIterable<object>,
  list: boolean,
  report: ExportReport,
  files: readonly string[],
): AsyncGenerator<Uint8Array> {
  for await (const record of records) {
    const before = list ? (report.written ? ',\n' : '[\n') : ''
    yield Buffer.from(`${before}${stringify(record)}${list ? '' : '\n'}`)
    report.written++
  }
  if (!report.written) {
    const why = Object.entries(report.dropped).map(([reason, n]) => `${reason}: ${n}`)
    throw badInput('empty-data', `no row is left (${why.join(', ')})`, { file: files.join(', ') })
  }
  if (list) yield Buffer.from('\n]\n')
}
