/** Which files a --data value names, and their records as a stream. */
import { stat } from 'node:fs/promises'
import type { ByteSource } from '../util/bytes.ts'
import { badInput, Fault, type Where, withNote } from '../util/fault.ts'
import { fileSource } from '../util/files.node.ts'
import type { Layout, RawRecord } from './check.ts'
import { csvRecords } from './csv.ts'
import { type Dialect, delimiterName } from './csvDialect.ts'
import { asUtf8, HEAD } from './encoding.ts'
import { type ReaderOptions, type RowReader, rowReader } from './formats.ts'
import { gunzip } from './gzip.node.ts'
import { jsonArray } from './jsonArray.ts'
import { jsonLines, placed } from './lines.ts'
import type { Row } from './rows.ts'

/** `owner/name:split#config` of a data set on the hub. */
export type HubSpec = { id: string; split?: string; config?: string }

/** Downloads a data set of the hub and answers the paths of its files, in order. */
export type ResolveDataset = (id: string, options: { split?: string; config?: string }) => Promise<string[]>

const HUB = /^([\w.-]+\/[\w.-]+?)(?::([\w.-]+))?(?:#([\w.-]+))?$/

/** The spec, or undefined when the value cannot be a hub id. */
export const parseHubSpec = (value: string): HubSpec | undefined => {
  const [, id, split, config] = HUB.exec(value) ?? []
  return id && !/^\.{1,2}\//.test(id) ? { id, split, config } : undefined
}

/** The files that --data values name, in order. @throws Fault no-file */
export const dataFiles = async (values: string[], resolve?: ResolveDataset): Promise<string[]> => {
  const files: string[] = []
  for (const value of values) {
    const there = await stat(value).then(
      () => true,
      () => false,
    )
    const hub = there || formatOf(value) ? undefined : parseHubSpec(value)
    if (hub && resolve) files.push(...(await resolve(hub.id, { split: hub.split, config: hub.config })))
    else files.push(value)
  }
  return files
}

const READ = ['.jsonl', '.ndjson', '.json', '.csv', '.tsv', '.parquet'] as const
type Ending = (typeof READ)[number]

const formatOf = (path: string): { ending: Ending; zipped: boolean } | undefined => {
  const zipped = /\.gz$/i.test(path)
  const name = path.toLowerCase().replace(/\.gz$/, '')
  const ending = READ.find((ending) => name.endsWith(ending))
  return ending && !(zipped && ending === '.parquet') ? { ending, zipped } : undefined
}

/** The records of one file in batches, and how it lays its columns out. */
export type Records = {
  layout: Layout
  batches: AsyncGenerator<RawRecord[]> /** Lines can be read again by offset. */
  seekable: boolean
  /** How a csv is written, known once a batch was read. */
  dialect?: () => Dialect | undefined
}

/** @throws Fault no-file, bad-file: what cannot be opened, or is of a kind that attune does not read */
export const openRecords = async (path: string, { columns = {} }: ReaderOptions = {}): Promise<Records> => {
  const format = formatOf(path) ?? (await textTable(path))
  if (!format) throw await unread(path)
  const source = await fileSource(path)
  if (format.ending === '.parquet') {
    // Its reader takes a tenth of a second to load
    const { parquetRecords } = await import('./parquet.ts')
    return { layout: 'parquet', batches: parquetRecords(source), seekable: false }
  }
  const chunks = format.zipped ? gunzip(chunksOf(source)) : chunksOf(source)
  const names = Object.fromEntries(Object.entries(columns).map(([name, column]) => [column, name]))
  if (format.ending === '.csv' || format.ending === '.tsv') {
    let dialect: Dialect | undefined
    const onDialect = (found: Dialect) => (dialect = found)
    const batches = csvRecords(path, chunks, names, { tabs: format.ending === '.tsv', onDialect })
    return { layout: 'csv', batches, seekable: false, dialect: () => dialect }
  }
  const { encoding, bytes } = await asUtf8(chunks).catch((error) => {
    throw placed(error, path)
  })
  if (format.ending === '.json') return { layout: 'rows', batches: jsonArray(path, bytes), seekable: false }
  return { layout: 'rows', batches: jsonLines(path, bytes), seekable: !format.zipped && encoding === 'utf-8' }
}

/** Excel names its tables "Text (tab delimited)" and "Unicode Text" .txt: a text with a tab in its first line is a table. */
const textTable = async (path: string): Promise<ReturnType<typeof formatOf>> => {
  const info = await stat(path).catch(() => undefined)
  if (!/\.(txt|tab)$/i.test(path) || !info?.isFile()) return
  const source = await fileSource(path)
  const head = source.read(0, Math.min(source.size, HEAD))
  async function* start() {
    yield head
  }
  const { bytes: text } = await asUtf8(start()).catch((error) => {
    throw placed(error, path)
  })
  for await (const bytes of text) {
    const [newline, tab] = [bytes.indexOf(10), bytes.indexOf(9)]
    return tab >= 0 && (newline < 0 || tab < newline) ? { ending: '.tsv', zipped: false } : undefined
  }
}

const unread = async (path: string) => {
  const where: Where = { file: path }
  const info = await stat(path).catch(() => undefined)
  const kinds = 'jsonl, json, jsonl.gz, csv, tsv or parquet'
  if (/\.(arrow|feather|ipc)$/i.test(path))
    return badInput('bad-file', `arrow files are not read; save it as parquet or jsonl`, where)
  if (info?.isDirectory()) return badInput('bad-file', `is a folder; name its files (${kinds})`, where)
  if (info && /\.(txt|text|md)$/i.test(path))
    return badInput(
      'bad-file',
      `is a text, and rows are needed (${kinds}); of one with a prompt a line jq -Rc '{prompt: .}' FILE > prompts.jsonl makes them`,
      where,
    )
  if (info) return badInput('bad-file', `is of no kind that is read; name it by what it is: ${kinds}`, where)
  return badInput(
    'no-file',
    `there is no such file; --data takes ${kinds}, or a data set of the hub as owner/name`,
    where,
  )
}

const CHUNK = 2 ** 20

async function* chunksOf(source: ByteSource): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < source.size; start += CHUNK)
    yield source.read(start, Math.min(start + CHUNK, source.size))
}

/** Rows of a file with where they stood, in a stream: nothing is dropped, oddities are flags. */
export async function* readRows(path: string, options: ReaderOptions = {}): AsyncGenerator<{ row: Row; where: Where }> {
  let last: { reader: RowReader; where: Where } | undefined
  for await (const { raw, rows, reader } of scan(path, await openRecords(path, options), options)) {
    last = { reader, where: { file: path, row: raw.row, line: raw.line } }
    for (const row of rows) yield { row, where: last.where }
  }
  if (last) for (const row of last.reader.end().rows) yield { row, where: last.where }
}

export type Scanned = { raw: RawRecord; reader: RowReader } & ReturnType<RowReader['read']>

/** The records of a file with the rows they hold. */
export async function* scan(
  path: string,
  { layout, batches, dialect }: Records,
  options: ReaderOptions,
): AsyncGenerator<Scanned> {
  const reader = rowReader(path, layout, options)
  const read = (raw: RawRecord) => {
    try {
      return reader.read(raw)
    } catch (error) {
      throw withDelimiter(error, dialect?.())
    }
  }
  for await (const batch of batches) for (const raw of batch) yield { raw, reader, ...read(raw) }
}

/** A fault about the columns of a csv says what parts them: a wrong guess shows there first. */
const withDelimiter = (error: unknown, dialect: Dialect | undefined) =>
  dialect && error instanceof Fault && ['unknown-columns', 'missing-column'].includes(error.code)
    ? withNote(error, `; fields are parted by ${delimiterName(dialect.delimiter)}`)
    : error
