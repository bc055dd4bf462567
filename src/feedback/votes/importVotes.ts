/** Exports of labelling tools, leaderboards and judges as rankings, one for each vote, in the order of the files. */
import { z } from 'zod'
import { conform, type Layout, type RawRecord, type RecordLocation, recordOf, rowFault } from '../../data/check.ts'
import { type RowReader, rowReader } from '../../data/formats.ts'
import { dataFiles, openRecords, type ResolveDataset } from '../../data/input.node.ts'
import type { Votes } from '../../data/labels.ts'
import { keptRows } from '../../data/openRows.node.ts'
import type { Ranking, Row, Unpaired } from '../../data/rows.ts'
import { badInput } from '../../util/fault.ts'
import { type LabelVote, labelReader } from '../agreement/votes.ts'
import { mtBenchGatherer } from './mtBench.ts'

type Columns = Record<string, unknown>

/** Where votes come from, and the formats of rows that such a file may have. */
const formats = {
  'label-studio': ['label-studio'],
  argilla: ['argilla'],
  oasst: ['openassistant', 'openassistant messages'],
  'alpaca-eval': undefined,
  'mt-bench': undefined,
  rows: ['ranking', 'preference', 'preference without prompt', 'best-of-n', 'hh-rlhf', 'unpaired'],
} as const

export type Source = keyof typeof formats
export const sources = Object.keys(formats) as [Source, ...Source[]]

export type ImportedVotes = {
  rankings: Ranking[]
  /** Votes on one response: good or bad. */
  unpaired: Unpaired[]
  /** What models said, beside the votes. */
  predicted: (Ranking | Unpaired)[]
  /** Tasks of labelling tools on which nobody has voted. */
  open: Ranking[]
  /** Votes of rows {"item", "annotator", "label"}, and of labelling tools' tasks that compare nothing. */
  labels: (LabelVote & { question?: string })[]
  /** How the file writes the items and labels, which votes have as text: 7 and not "7". */
  written: Map<string, string | number | boolean>
  records: number
  /** What gave no row, by reason. */
  dropped: Record<string, number>
}

export type ImportOptions = { columns?: Record<string, string>; resolve?: ResolveDataset }

/** @throws Fault for a malformed row, and where a file is of another kind than `from` says */
export const importVotes = async (
  files: string[],
  from: Source,
  { columns = {}, resolve }: ImportOptions = {},
): Promise<ImportedVotes> => {
  const gatherer = voteGatherer(from, columns)
  for (const file of await dataFiles(files, resolve)) {
    const { layout, batches } = await openRecords(file, { columns })
    const read = gatherer.file(file, layout)
    for await (const batch of batches) batch.forEach(read.add)
    read.end()
  }
  return gatherer.end()
}

/** Votes of records that come one by one: `file` names where they come from in messages. */
export const voteGatherer = (from: Source, columns: Record<string, string> = {}) => {
  const found: ImportedVotes = {
    rankings: [],
    unpaired: [],
    predicted: [],
    open: [],
    labels: [],
    written: new Map(),
    records: 0,
    dropped: {},
  }
  const drop = (reason: string) => {
    found.dropped[reason] = (found.dropped[reason] ?? 0) + 1
  }
  const bench = mtBenchGatherer()
  const keep = (row: Row | string) => {
    if (typeof row === 'string') return drop(row)
    if (row.kind === 'unpaired') found.unpaired.push(row)
    else
      for (const kept of keptRows(row, undefined, drop)) {
        const ranking = kept as Ranking
        if (ranking.responses.length < 2) drop('one-response')
        else if (ranking.vote?.prediction) found.predicted.push(ranking)
        else found.rankings.push(ranking)
      }
  }
  const keepLabels = (record: Columns, location: RecordLocation) => {
    const { votes, skipped } = labelReader(record)!(record, location)
    found.labels.push(...votes)
    for (const value of [record.item, record.label, record.rank])
      if (typeof value === 'number' || typeof value === 'boolean') found.written.set(String(value), value)
    skipped.forEach(drop)
  }
  const keepBeside = ({ predicted, labels, open }: Beside, voted: boolean) => {
    found.predicted.push(...predicted)
    for (const { item, annotator, label, question } of labels) {
      found.labels.push({ item: String(item), annotator: String(annotator), label, question })
      if (typeof item === 'number') found.written.set(String(item), item)
    }
    if (open && !voted && !predicted.length && !labels.length) found.open.push(open)
  }
  return {
    file: (file: string, layout: Layout) => {
      let reader: RowReader | undefined
      return {
        add: (raw: RawRecord) => {
          found.records++
          const location: RecordLocation = { file, layout, row: raw.row, line: raw.line }
          const record = recordOf(raw.value, location)
          if (from === 'mt-bench' && !('conversation_a' in record)) bench.add(record, location)
          else if (from === 'alpaca-eval') keep(alpacaEval(record, location))
          else if (from === 'rows' && 'item' in record && 'annotator' in record) keepLabels(record, location)
          else {
            reader ??= rowReader(file, layout, { columns })
            const { rows, skipped, beside } = reader.read(raw)
            requireFormat(reader, from, location)
            for (const { reason } of skipped) drop(reason)
            const [judge] = from === 'mt-bench' ? [record.judge].flat() : []
            const vote = typeof judge === 'string' ? { vote: { annotator: judge } } : {}
            for (const row of rows) keep({ ...row, ...vote })
            if (beside) keepBeside(beside, rows.length > 0 || skipped.length > 0)
          }
        },
        end: () => {
          for (const row of reader?.end().rows ?? []) keep(row)
        },
      }
    },
    end: (): ImportedVotes => {
      const { rows, dropped } = bench.end()
      rows.forEach(keep)
      dropped.forEach(drop)
      return found
    },
  }
}

type Beside = Pick<Votes, 'predicted' | 'labels' | 'open'>

const requireFormat = (reader: RowReader, from: Source, { file, row, line }: RecordLocation) => {
  const name = reader.format()?.name
  // Votes of MT-bench that hold whole conversations are read as two responses and their winner
  const wanted: readonly string[] = formats[from] ?? ['ranking']
  if (name === undefined || wanted.includes(name)) return
  const other = sources.find((source) => (formats[source] as readonly string[] | undefined)?.includes(name))
  throw badInput(
    'wrong-kind',
    `holds rows of the format "${name}", which are not of --from ${from}${other ? `; try --from ${other}` : ''}`,
    { file, row, line },
  )
}

const annotation = z.object({
  instruction: z.string(),
  output_1: z.string(),
  output_2: z.string(),
  annotator: z.union([z.string(), z.number()]).nullish(),
  preference: z
    .number()
    .refine(
      (x) => x === 0 || (x >= 1 && x <= 2),
      'must be from 1 (output_1 wins) to 2 (output_2 wins); 1.5 or 0 is a tie',
    )
    .nullable(),
})

/** AlpacaEval's annotation. A preference between 1 and 2 is a probability, which stays beside the ranks. */
const alpacaEval = (record: Columns, location: RecordLocation): Ranking | string => {
  if (!('preference' in record))
    throw rowFault(
      'missing-column',
      'is missing; outputs alone are no votes, annotations have it',
      location,
      'preference',
    )
  const { instruction, output_1, output_2, preference, annotator } = conform(annotation, record, location)
  if (preference === null) return 'no-verdict'
  const second = preference === 0 ? 0.5 : preference - 1
  return {
    kind: 'ranking',
    prompt: instruction,
    responses: [output_1, output_2],
    ranks: second === 0.5 ? [1, 1] : second < 0.5 ? [1, 2] : [2, 1],
    ...(second > 0 && second < 1 && second !== 0.5 && { prob: 1 - second }),
    ...(annotator !== null && annotator !== undefined && { vote: { annotator } }),
  }
}
