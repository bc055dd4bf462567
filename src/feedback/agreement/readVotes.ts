/** The votes of files: labels, judgements, or rankings and preferences with their annotator. */
import type { RecordLocation } from '../../data/check.ts'
import { rowReader } from '../../data/formats.ts'
import { dataFiles, openRecords, type ResolveDataset } from '../../data/input.node.ts'
import type { Ranking, Row, Unpaired } from '../../data/rows.ts'
import { badInput } from '../../util/fault.ts'
import { taskGatherer } from '../votes/tasks.ts'
import { type Described, labelInput, rankingInput } from './inputs.ts'
import { type LabelVote, labelVoteReader } from './votes.ts'

type Columns = Record<string, unknown>

/**
 * Reads votes. Files of labels and of judgements may stand beside each other, and files of rankings.
 * @param columns what the files call the columns item, annotator, label or rank
 * @throws Fault for a row that is malformed, and where no item has votes of two annotators
 */
export const readVotes = async (
  files: string[],
  { columns = {}, resolve }: { columns?: Record<string, string>; resolve?: ResolveDataset } = {},
): Promise<Described> => {
  const labels: LabelVote[] = []
  const skipped: Record<string, number> = {}
  const skip = (reason: string) => (skipped[reason] = (skipped[reason] ?? 0) + 1)
  const gatherer = taskGatherer()
  let rankings = 0
  const paths = await dataFiles(files, resolve)
  for (const file of paths) {
    const records = await openRecords(file, { columns })
    let read: ReturnType<typeof labelVoteReader> | null
    let rows: ReturnType<typeof rowReader> | undefined
    for await (const batch of records.batches)
      for (const raw of batch) {
        const location: RecordLocation = { file, layout: records.layout, row: raw.row, line: raw.line }
        const record = underNames(raw.value as Columns, columns)
        read ??= labelVoteReader(record) ?? null
        if (read) {
          const found = read(record, location)
          labels.push(...found.votes)
          for (const reason of found.skipped) skip(reason)
          continue
        }
        rows ??= rowReader(file, records.layout, { columns })
        const found = rows.read(raw)
        for (const { reason } of found.skipped) skip(reason)
        for (const { item, annotator, label } of found.beside?.labels ?? [])
          labels.push({ item: String(item), annotator: String(annotator), label })
        for (const row of found.rows) {
          if (row.kind === 'unpaired' && row.vote) {
            if (!row.vote.prediction) labels.push(goodOrBad(row))
            continue
          }
          const ranking = rankingOf(row, location)
          const dropped = gatherer.add(/preference|hh-rlhf/.test(rows.format()!.name) ? byText(ranking) : ranking)
          if (dropped) skip(dropped)
          rankings++
        }
      }
  }
  const names = paths.join(', ')
  if (rankings && labels.length)
    throw badInput('wrong-kind', 'hold labels and rankings; give files of one kind', { file: names })
  if (!rankings && !labels.length) throw badInput('empty-data', 'holds no votes', { file: names })
  const input = rankings ? rankingInput(gatherer.tasks(), names) : labelInput(labels, names)
  return { ...input, skipped: { ...skipped, ...input.skipped } }
}

/** A vote on one response as a label of it. */
const goodOrBad = ({ prompt, completion, label, vote }: Unpaired): LabelVote => ({
  item: JSON.stringify([prompt, completion]),
  annotator: String(vote?.annotator ?? 'unknown'),
  label: label ? 'good' : 'bad',
})

/** A record with its columns under the usual names. */
const underNames = (record: Columns, columns: Record<string, string>): Columns => {
  if (typeof record !== 'object' || record === null || !Object.keys(columns).length) return Object(record) as Columns
  return { ...record, ...Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, record[column]])) }
}

/** The responses of a preference in an order that the vote does not decide, as coefficients of two annotators need it. */
const byText = (row: Ranking): Ranking => {
  const [first, second] = row.responses.map((response) => JSON.stringify(response))
  return first <= second ? row : { ...row, responses: row.responses.toReversed(), ranks: row.ranks.toReversed() }
}

const rankingOf = (row: Row, { file, row: at, line }: RecordLocation) => {
  if (row.kind === 'ranking') return row
  throw badInput(
    'wrong-kind',
    `is a row of the kind "${row.kind}"; agreement is of votes: item, annotator and label or rank, or rankings with their annotator (--column NAME=COLUMN renames)`,
    { file, row: at, line },
  )
}
