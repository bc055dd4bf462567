/**
 * parquet by hyparquet, a row group at a time. Mended here: text that is not UTF-8 is found (the library replaces it),
 * 64-bit integers become numbers or, beyond 2^53, text, sizes are checked against the file before anything is read, and
 * a page that cannot be read names its column.
 */
import { type FileMetaData, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors, decompressZstd } from 'hyparquet-compressors'
import type { ByteSource } from '../util/bytes.ts'
import { badInput, Fault } from '../util/fault.ts'
import type { RawRecord } from './check.ts'
import { badUtf8, decodeUtf8 } from './json.ts'

/** A page of parquet is about 1 MiB; a header that asks for more than these is not believed. */
const MAX_PAGE = 2 ** 30
const FREE_PAGE = 2 ** 26
const MAX_RATIO = 2000
const MAX_GROUP = 8 * 2 ** 30

/** What stands for text that is not UTF-8 until its row and column are known. */
const BAD_TEXT = Symbol('not UTF-8')

const parsers = { stringFromBytes: (bytes?: Uint8Array) => bytes && (decodeUtf8(bytes) ?? BAD_TEXT) }

type Unpack = (input: Uint8Array, length: number) => Uint8Array
const capped =
  (unpack: Unpack): Unpack =>
  (input, length) => {
    if (length > MAX_PAGE || (length > FREE_PAGE && length > input.length * MAX_RATIO))
      throw new Error(`a page claims ${length} bytes`)
    return unpack(input, length)
  }
const bounded = Object.fromEntries(
  Object.entries({
    ...compressors,
    // with a buffer of the page's size, so that the frame's own header cannot ask for another
    ZSTD: (input: Uint8Array, length: number) => decompressZstd(input, new Uint8Array(length)),
  }).map(([name, unpack]) => [name, capped(unpack as Unpack)]),
)

/** Batches of records, one a row group. @throws Fault bad-parquet, bad-utf8 */
export async function* parquetRecords(source: ByteSource): AsyncGenerator<RawRecord[]> {
  const file = {
    byteLength: source.size,
    slice: async (start: number, end = source.size) => {
      if (!(start >= 0 && start <= end && end <= source.size)) throw new Error('a page lies outside the file')
      const bytes = await source.read(start, end)
      return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
    },
  }
  const metadata = await parquetMetadataAsync(file).catch((error) => {
    throw bad(source.name, error)
  })
  checkSizes(source, metadata)
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    const options = { file, metadata, rowStart, rowEnd, compressors: bounded, parsers }
    const rows = await parquetReadObjects(options).catch(async (error) => {
      throw bad(source.name, error, await badColumn(options))
    })
    yield rows.map((row, i) => ({ value: plainRow(row, source.name, rowStart + i), row: rowStart + i }))
    rowStart = rowEnd
  }
}

const bad = (file: string, error: unknown, column?: string) =>
  error instanceof Fault
    ? error
    : badInput('bad-parquet', `cannot be read (${(error as Error).message}); the file is damaged or cut off`, {
        file,
        column,
      })

/** Nothing is allocated by a size in the footer that the file cannot hold. */
const checkSizes = ({ name, size }: ByteSource, { row_groups }: FileMetaData) => {
  for (const { columns, num_rows } of row_groups) {
    let unpacked = 0
    for (const { meta_data } of columns) {
      if (!meta_data) continue
      const start = Number(meta_data.dictionary_page_offset || meta_data.data_page_offset)
      const length = Number(meta_data.total_compressed_size)
      unpacked += Number(meta_data.total_uncompressed_size)
      if (start < 0 || length < 0 || start + length > size)
        throw badInput('bad-parquet', 'a column lies outside the file', {
          file: name,
          column: meta_data.path_in_schema[0],
        })
    }
    if (num_rows < 0 || unpacked > MAX_GROUP || Number(num_rows) > MAX_GROUP / 8)
      throw badInput('bad-parquet', `a row group of ${num_rows} rows and ${unpacked} bytes is too large`, {
        file: name,
      })
  }
}

/** The first column that cannot be read by itself. */
const badColumn = async (options: Parameters<typeof parquetReadObjects>[0]): Promise<string | undefined> => {
  const names = options.metadata!.row_groups[0].columns.map(({ meta_data }) => meta_data!.path_in_schema[0])
  for (const column of new Set(names))
    try {
      await parquetReadObjects({ ...options, columns: [column] })
    } catch {
      return column
    }
}

const plainRow = (row: Record<string, unknown>, file: string, number: number) =>
  Object.fromEntries(
    Object.entries(row).map(([column, value]) => [column, plain(value, () => badUtf8({ file, row: number, column }))]),
  )

/** A value as JSON would have it. */
const plain = (value: unknown, fail: () => Fault): unknown => {
  if (value === BAD_TEXT) throw fail()
  if (value === undefined || value === null) return null
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (value instanceof Date) return value.toISOString()
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array)
  if (Array.isArray(value)) return value.map((item) => plain(item, fail))
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, fail)]))
  return value
}
