/**
 * A data set as rows that can be read in any order and are not kept in memory.
 *
 * Opening reads everything once, so that every Fault comes before training, and keeps 16 bytes a row: its offset, and
 * its place in the file for messages. Rows of a plain jsonl file are read again from the file; files without usable
 * offsets (gzip, csv, parquet, json, pairs of neighbouring rows) are copied to a temporary file, which is removed at
 * the end.
 */
import type { ByteSource } from '../util/bytes.ts'
import { badInput, Fault, type Where } from '../util/fault.ts'
import { fileSource } from '../util/files.node.ts'
import { columnNames, type RawRecord } from './check.ts'
import { bestRank, conversions, type Kinds, pairNeighbours } from './convert.ts'
import { type Format, type ReaderOptions, type RowReader, rowReader } from './formats.ts'
import { dataFiles, openRecords, type ResolveDataset, scan } from './input.node.ts'
import type { LabelCounts } from './labelRule.ts'
import { lineValue } from './lines.ts'
import { offsetIndex, placeIndex } from './offsets.ts'
import { isBlank } from './plainText.ts'
import type { Ranking, Row } from './rows.ts'
import type { RowSource } from './source.ts'
import { openSpill, type Spill } from './spill.node.ts'
import { nearestColumns } from './suggest.ts'

/** Rows of one or several files as one list. A row is read when it is asked for. */
export type OpenedRows<R = Row> = RowSource<R> & {
  /** The files read, in order. */
  readonly files: string[]
  /** Records of the files, kept or not. */
  readonly records: number
  /** The most responses that a row holds; 1 for rows that are not ranked. */
  readonly widest: number
  /** Whether any row gives the probability of its preference. */
  readonly probable: boolean
  /** Whether every list of more than two has one best response and tells no others apart. */
  readonly bestOnly: boolean
  /** Where a row stands in the user's file. */
  where(i: number): Where
  /** Records that gave no row, by reason: empty-chosen, no-completion, prefix-differs, cancelled, tie, ... */
  readonly dropped: Record<string, number>
  /** Records with columns that would change a result elsewhere and are not read, by column (unread.ts). */
  readonly unread: Record<string, number>
  /** How labels that are no plain true or false were read (labelRule.ts). */
  readonly labels: LabelCounts
  /** Removes temporary files; rows cannot be read afterwards. */
  close(): Promise<void>
}

/** How files are opened as rows. */
export type OpenOptions<K extends keyof Kinds | undefined = undefined> = ReaderOptions & {
  /** The kind of row wanted; without it each row comes as its file has it. */
  as?: K
  /** The first so many rows. */
  maxSamples?: number
  /** Finds the files of a hub data set; without it only files of this machine are read. */
  resolve?: ResolveDataset
}

type Converted<K> = K extends keyof Kinds ? Kinds[K] : Row
type Part = { start: number; length: number; row(i: number): Promise<Row>; where(i: number): Where }
type Tally = {
  records: number
  rows: number
  widest: number
  probable: boolean
  bestOnly: boolean
  dropped: Record<string, number>
  unread: Record<string, number>
  labels: LabelCounts
}

/**
 * Opens jsonl, json, csv, tsv, parquet files (and .gz of all but the last) and hub data sets as one list of rows.
 * @throws Fault for a row that is malformed, naming file, row and column; `empty-data` when no row is left
 */
export const openRows = async <K extends keyof Kinds | undefined = undefined>(
  data: string | string[],
  options: OpenOptions<K> = {},
): Promise<OpenedRows<Converted<K>>> => {
  const files = await dataFiles([data].flat(), options.resolve)
  const tally: Tally = {
    records: 0,
    rows: 0,
    widest: 1,
    probable: false,
    bestOnly: true,
    dropped: {},
    unread: {},
    labels: {},
  }
  const parts: Part[] = []
  const spill = openSpill()
  try {
    for (const file of files) parts.push(await openPart(file, options, tally, spill))
    await spill.flush()
    if (!tally.rows) throw badInput('empty-data', emptyMessage(tally), { file: files.join(', ') })
  } catch (error) {
    await spill.close()
    throw error
  }
  const partOf = (i: number) => {
    const part = parts.findLast(({ start }) => start <= i)
    if (!part || !Number.isInteger(i) || i >= tally.rows) throw new RangeError(`row ${i} of ${tally.rows}`)
    return { part, at: i - part.start }
  }
  const row = async (i: number) => {
    const { part, at } = partOf(i)
    return part.row(at) as Promise<Converted<K>>
  }
  const where = (i: number) => {
    const { part, at } = partOf(i)
    return part.where(at)
  }
  return { ...tally, length: tally.rows, row, where, files, close: spill.close }
}

const emptyMessage = ({ records, dropped }: Tally) =>
  records
    ? `none of ${records} records gave a row (${Object.entries(dropped)
        .map(([why, n]) => `${why}: ${n}`)
        .join(', ')})`
    : 'holds no rows'

/** Reads a file once: checks, converts and indexes its rows. */
const openPart = async (
  file: string,
  options: OpenOptions<keyof Kinds | undefined>,
  tally: Tally,
  spill: Spill,
): Promise<Part> => {
  const { as, maxSamples = Number.POSITIVE_INFINITY } = options
  const start = tally.rows
  const drop = (reason: string, n = 1) => (tally.dropped[reason] = (tally.dropped[reason] ?? 0) + n)
  const neighbours = pairNeighbours(drop)
  const records = await openRecords(file, options)
  // What closures name lives as long as the rows, so none of them names `records`, whose stream holds its last records
  const { seekable, layout } = records
  const index = offsetIndex()
  const places = placeIndex()
  let format: Format | undefined
  let end = 0
  let lastReader: RowReader | undefined
  const add = async (raw: RawRecord, { rows, skipped, unread, from }: ReturnType<RowReader['end']>) => {
    for (const { reason } of skipped) drop(reason)
    for (const column of unread)
      if (as !== 'sft' || !heeded(column, rows)) tally.unread[column] = (tally.unread[column] ?? 0) + 1
    const direct = seekable && format!.local
    const place = from ?? raw
    let sub = 0
    for (const row of rows)
      for (const converted of row.kind === 'rated' && as === 'ranking'
        ? neighbours.push(row)
        : keepFrom(raw, row, as, drop, { file, row: place.row })) {
        if (tally.rows >= maxSamples) break
        index.push(direct ? raw.start! : await spill.write(converted), sub)
        places.push(place.row, place.line)
        sub += direct ? 1 : 0
        tally.rows++
        if (converted.kind === 'ranking') noteRanking(tally, converted)
      }
  }
  let lastRaw: RawRecord | undefined
  for await (const { raw, reader, ...read } of scan(file, records, options)) {
    if (tally.rows >= maxSamples) break
    format = reader.format()!
    lastReader = reader
    lastRaw = raw
    tally.records++
    end = raw.end ?? 0
    await add(raw, read)
  }
  if (lastRaw && tally.rows < maxSamples) await add(lastRaw, lastReader!.end())
  for (const [value, { label, count }] of Object.entries(lastReader?.labels() ?? {})) {
    tally.labels[value] ??= { label, count: 0 }
    tally.labels[value].count += count
  }
  if (tally.rows < maxSamples) neighbours.end()
  const { length } = index
  const where = (i: number): Where => ({ file, ...places.at(i) })
  if (!seekable || !format?.local) return { start, length, where, row: (i) => spill.row(index.at(i).offset) }
  const source = await fileSource(file)
  const reader = rowReader(file, layout, options, format)
  return { start, length, where, row: (i) => directRow(i, index, end, source, reader, as) }
}

/** Whether fine-tuning heeds a field of messages: turns that are left out of whole conversations (examples.ts). */
const heeded = (column: string, rows: readonly Row[]) =>
  /^messages\.(weight|train)$/.test(column) &&
  rows.every(
    (row) =>
      row.kind === 'messages' &&
      row.messages.every(
        ({ role, weight, train }) =>
          [undefined, null, 0, 1].includes(weight as number) &&
          (role === 'assistant' || (weight !== 0 && train !== false)),
      ),
  )

const noteRanking = (tally: Tally, { responses, ranks, prob }: Ranking) => {
  tally.widest = Math.max(tally.widest, responses.length)
  tally.probable ||= prob !== undefined
  if (responses.length < 3 || !tally.bestOnly) return
  const best = bestRank(ranks)
  const others = ranks.filter((rank) => rank !== best)
  tally.bestOnly = others.length === ranks.length - 1 && others.every((rank) => rank === others[0])
}

/** The rows to train on that a row of a file gives. */
export const keptRows = (
  row: Row,
  as: keyof Kinds | undefined,
  drop: (reason: string) => void,
  where?: Where,
): Row[] => {
  if (row.kind === 'ranking' && row.flags) {
    drop(row.flags[0])
    return []
  }
  if (row.kind === 'ranking' && row.responses.length < 2 && (as === 'ranking' || as === 'unpaired')) {
    drop('one-response')
    return []
  }
  if (!as) return [row]
  if (as !== 'prompt' && row.kind === 'ranking' && preferredNothing(row)) {
    drop('empty-chosen')
    return []
  }
  const { of, none } = conversions[as]
  const rows = of(row, where)
  if (!rows.length) drop(none)
  return rows.filter((made) => {
    if (!praisedNothing(made)) return true
    drop('no-completion')
    return false
  })
}

/** Of a pair the better response is blank, as in a table where somebody wrote a better answer to some questions only. */
const preferredNothing = ({ responses, ranks }: Ranking): boolean => {
  if (responses.length !== 2) return false
  const [a, b] = ranks.map((rank) => rank ?? Number.POSITIVE_INFINITY)
  return a !== b && isBlank(responses[a < b ? 0 : 1])
}

/** A blank completion that would be learnt as a good one. */
const praisedNothing = (row: Row): boolean =>
  (row.kind === 'completion' || (row.kind === 'unpaired' && row.label)) && isBlank(row.completion)

/** As `keptRows`; where the file is of another kind, the message says which flags may read it. */
const keepFrom = (
  { value }: RawRecord,
  row: Row,
  as: keyof Kinds | undefined,
  drop: (reason: string) => void,
  where: Where,
): Row[] => {
  try {
    return keptRows(row, as, drop)
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'wrong-kind') throw error
    const record = value as Record<string, unknown>
    const near = nearestColumns(record, as)
    const message = `${error.message}; columns are ${columnNames(record)}`
    throw badInput('wrong-kind', message, where, near === undefined ? [] : [near])
  }
}

/** Reads a line again; it was checked before, so only a file that has changed since can fail. */
const directRow = async (
  i: number,
  index: ReturnType<typeof offsetIndex>,
  end: number,
  source: ByteSource,
  reader: RowReader,
  as: keyof Kinds | undefined,
): Promise<Row> => {
  const { offset, sub } = index.at(i)
  let next = i + 1
  while (next < index.length && index.at(next).offset === offset) next++
  const bytes = await source.read(offset, next < index.length ? index.at(next).offset : end)
  const newline = bytes.indexOf(10)
  const where = { file: source.name, line: offset === 0 ? 1 : undefined }
  const value = lineValue(newline < 0 ? bytes : bytes.subarray(0, newline), where)
  const { rows } = reader.read({ value, row: i })
  return rows.flatMap((row) => keptRows(row, as, () => {}))[sub]
}
