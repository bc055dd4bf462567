/** Writes files of rows as a file of another program. */
import { basename } from 'node:path'
import type { ResolveDataset } from '../../data/input.node.ts'
import { type OpenedRows, openRows } from '../../data/openRows.node.ts'
import type { Row } from '../../data/rows.ts'
import { badInput } from '../../util/fault.ts'
import { refuseTakenFile, writeNew } from '../../util/files.node.ts'
import { stringify } from '../../util/written.ts'
import { datasetInfo, type Exported, llamaFactoryRecords, type TrainingKind, trlRecords } from './exportRows.ts'
import type { ExportTarget } from './exportTargets.ts'
import { argillaRecord, labelStudioTask } from './exportVotes.ts'
import { taskGatherer } from './tasks.ts'

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
}

/** What a program reads: a list in one JSON file, lines, or either. */
const endings: Record<ExportTarget, readonly string[]> = {
  'label-studio': ['.json'],
  argilla: ['.json', '.jsonl'],
  trl: ['.jsonl', '.json'],
  'llama-factory': ['.json', '.jsonl'],
}

/** What votes become is told apart from what is lost. */
const isChange = (what: string) => what === 'unranked-as-last' || what.endsWith('-left-out')

/** Scores and probabilities of rankings, for which none of the programs has a place. */
const leftOut = (row: Row): string[] =>
  row.kind === 'ranking'
    ? (['ratings', 'prob'] as const).filter((name) => row[name] !== undefined).map((name) => `${name}-left-out`)
    : []

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
  const rows = await openRows(files, { columns, resolve })
  try {
    const report: ExportReport = { rows: rows.length, written: 0, dropped: { ...rows.dropped }, changed: {} }
    const count = (what: string, n = 1) => {
      const counts = isChange(what) ? report.changed : report.dropped
      counts[what] = (counts[what] ?? 0) + n
    }
    let kind: TrainingKind | undefined
    const records =
      to === 'label-studio' || to === 'argilla'
        ? await tasksOf(rows, to, count)
        : trainingRecords(rows, to, count, (found, row) => (kind = oneKind(kind, found, rows.where(row))))
    await writeNew(output, written(records, output.toLowerCase().endsWith('.json'), report, files))
    return {
      ...report,
      ...(to === 'llama-factory' &&
        kind && { dataset_info: { [nameOf(output)]: datasetInfo(kind, basename(output)) } }),
    }
  } finally {
    await rows.close()
  }
}

const nameOf = (path: string) => basename(path).replace(/\.jsonl?$/i, '')

type Count = (what: string, n?: number) => void

const tasksOf = async (rows: OpenedRows, to: 'label-studio' | 'argilla', count: Count): Promise<object[]> => {
  const gatherer = taskGatherer()
  for (let i = 0; i < rows.length; i++) {
    const row = await rows.row(i)
    if (row.kind !== 'ranking')
      throw badInput(
        'wrong-kind',
        `is a row of the kind "${row.kind}"; ${to} takes responses to compare: preferences or rankings`,
        rows.where(i),
      )
    const dropped = row.responses.length < 2 ? 'one-response' : gatherer.add(row)
    if (dropped) count(dropped)
    for (const what of leftOut(row)) count(what)
  }
  const write = to === 'argilla' ? argillaRecord : labelStudioTask
  return gatherer.tasks().flatMap((task, i) => write(task, i + 1, count) ?? [])
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
    for (const what of leftOut(row)) count(what)
    for (const reason of found.dropped) count(reason)
    yield* found.records
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
