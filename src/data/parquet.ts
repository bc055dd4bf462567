/**
 * parquet files by hyparquet, page by page: one decoded page of each column is in memory, so that row groups of any
 * size stream.
 *
 * Added to the library: sizes are checked before it trusts them (parquetGuard.ts); text that is not UTF-8 is refused
 * (it would be replaced); 64-bit integers become numbers or, beyond 2^53, text; errors name the column.
 */
import { type ColumnMetaData, type FileMetaData, parquetMetadata, parquetSchema, type SchemaTree } from 'hyparquet'
import { assembleNested } from 'hyparquet/src/assemble.js'
import { readPage } from 'hyparquet/src/column.js'
import { convert, DEFAULT_PARSERS } from 'hyparquet/src/convert.js'
import { getTreePath } from 'hyparquet/src/schema.js'
import { compressors, decompressSnappy, decompressZstd } from 'hyparquet-compressors'
import type { ByteSource } from '../util/bytes.ts'
import { badInput, Fault } from '../util/fault.ts'
import { badUtf8, decodeUtf8, parseJson } from '../util/json.ts'
import { noteNumber } from '../util/written.ts'
import type { RawRecord } from './check.ts'
import { MAX_LINE } from './lines.ts'
import { type ColumnDecoder, checkPage, checkThrift, type Page, packedPart, pagesOf } from './parquetGuard.ts'

const MAX_FOOTER = 2 ** 24
/** What the pages that are held at once may take beyond the file's own size. */
const FREE_PAGES = 96 * 2 ** 20
/** Values of the pages held at once. */
const MAX_VALUES = 2 ** 24
/** Rows of a data set repeat a few texts at most so often; small files may have any ratio. */
const MAX_RATIO = 1000
const FREE_BYTES = 2 ** 28
const MAX_DEPTH = 32
/** Rows handed on at a time. */
const BATCH = 1024

/** What stands for a text that is not UTF-8 until its row and column are known. */
const BAD_TEXT = Symbol('not UTF-8')

const parsers = {
  ...DEFAULT_PARSERS,
  stringFromBytes: (bytes?: Uint8Array) => {
    if (bytes && bytes.length > MAX_LINE) throw new Error(`a text of ${bytes.length} bytes`)
    return bytes && (decodeUtf8(bytes) ?? BAD_TEXT)
  },
  jsonFromBytes: (bytes?: Uint8Array) =>
    bytes && parseJson(decodeUtf8(bytes) ?? '', () => new Error('a value that is no JSON')),
}

type Unpack = (input: Uint8Array, length: number) => Uint8Array
const unpackers: Record<string, Unpack> = {
  ...(compressors as Record<string, Unpack>),
  UNCOMPRESSED: (input) => input,
  SNAPPY: decompressSnappy,
  // with a buffer of the page's size, so that the frame's own header cannot ask for another
  ZSTD: (input, length) => decompressZstd(input, new Uint8Array(length)),
}

/** Batches of records, in order. @throws Fault bad-parquet, bad-utf8 */
export async function* parquetRecords(source: ByteSource): AsyncGenerator<RawRecord[]> {
  const { row_groups, schema } = await footer(source).catch((error) => {
    throw bad(source.name, error)
  })
  const budget = { left: source.size, written: 0 }
  let row = 0
  for (const { columns, num_rows } of row_groups) {
    const opened = await openColumns(
      source,
      schema,
      columns.map(({ meta_data }) => meta_data),
      budget,
    )
    const rows = Number(num_rows)
    for (let from = 0; from < rows; from += BATCH)
      yield rowsOf(opened, Math.min(BATCH, rows - from), row + from, source, budget)
    for (const { end } of opened) end()
    row += rows
  }
}

const bad = (file: string, error: unknown, column?: string) =>
  error instanceof Fault
    ? error
    : badInput('bad-parquet', `cannot be read (${reason(error)}); the file is damaged or cut off`, { file, column })

/** What the library stumbles over inside a damaged page says nothing to anybody. */
const reason = (error: unknown) =>
  error instanceof TypeError || error instanceof RangeError
    ? 'its numbers contradict each other'
    : (error as Error).message

/** The metadata at the end of the file, with every size in it checked. */
const footer = async (source: ByteSource): Promise<{ row_groups: FileMetaData['row_groups']; schema: SchemaTree }> => {
  const { size, name } = source
  if (size < 12) throw new Error(`it has ${size} bytes`)
  const end = await source.read(size - 8, size)
  const view = new DataView(end.buffer, end.byteOffset, 8)
  if (view.getUint32(4, true) !== 0x31524150) throw new Error('it does not end in PAR1')
  const length = view.getUint32(0, true)
  if (length > size - 12 || length > MAX_FOOTER) throw new Error(`its footer takes ${length} bytes`)
  const bytes = await source.read(size - 8 - length, size)
  checkThrift(bytes.subarray(0, length), 0)
  const metadata = parquetMetadata(new Uint8Array(bytes).buffer, { geoparquet: false })
  const { row_groups } = metadata
  for (const { columns, num_rows } of row_groups)
    if (!(num_rows >= 0 && num_rows <= Number.MAX_SAFE_INTEGER) || !columns.length)
      throw badInput('bad-parquet', `a row group of ${num_rows} rows and ${columns.length} columns`, { file: name })
  return { row_groups, schema: parquetSchema(metadata) }
}

// ---- columns ---------------------------------------------------------------------------------------------------------

/** A stored column: the values of its pages so far that no row has taken. */
type Leaf = { path: string[]; take(n: number): unknown[] }
type Column = {
  name: string
  take(n: number): ArrayLike<unknown>
  /** No row may be left. */
  end(): void
}
type Budget = { left: number; written: number }

const openColumns = async (
  source: ByteSource,
  schema: SchemaTree,
  stored: (ColumnMetaData | undefined)[],
  budget: Budget,
): Promise<Column[]> => {
  const leaves: Leaf[] = []
  const held = { bytes: 0, values: 0 }
  for (const meta of stored) {
    const column = meta?.path_in_schema?.[0]
    try {
      if (!meta?.path_in_schema?.length) throw new Error('a column without a place')
      leaves.push(await openLeaf(source, schema, meta, budget, held))
    } catch (error) {
      throw bad(source.name, error, column)
    }
  }
  return schema.children.map((child) => {
    const name = child.element.name
    const own = leaves.filter(({ path }) => path[0] === name)
    if (!own.length) throw bad(source.name, new Error('it is not stored'), name)
    const named =
      <A extends unknown[], T>(run: (...args: A) => T) =>
      (...args: A): T => {
        try {
          return run(...args)
        } catch (error) {
          throw bad(source.name, error, name)
        }
      }
    const take = (n: number) => {
      const values = child.children.length ? assembled(child, own, n) : own[0].take(n)
      if (values.length !== n) throw new Error(`its pages end ${n - values.length} rows too early`)
      return values
    }
    const end = () => {
      if (own.some(({ take }) => take(1).length)) throw new Error('its pages hold more rows than the group')
    }
    return { name, take: named(take), end: named(end) }
  })
}

const assembled = (child: SchemaTree, own: Leaf[], n: number): ArrayLike<unknown> => {
  const parts = new Map(own.map(({ path, take }) => [path.join('.'), take(n)]))
  assembleNested(parts as Parameters<typeof assembleNested>[0], child, parsers as never)
  return parts.get(child.element.name) ?? []
}

/** Reads and checks a column's bytes; its pages are unpacked when their rows are asked for. */
const openLeaf = async (
  source: ByteSource,
  schema: SchemaTree,
  meta: ColumnMetaData,
  budget: Budget,
  held: { bytes: number; values: number },
): Promise<Leaf> => {
  const start = Number(meta.dictionary_page_offset || meta.data_page_offset)
  const length = Number(meta.total_compressed_size)
  if (!(start >= 0 && length >= 0 && start + length <= source.size)) throw new Error('it lies outside the file')
  if ((budget.left -= length) < 0) throw new Error('columns overlap')
  const bytes = new Uint8Array(await source.read(start, start + length))
  const schemaPath = getTreePath(schema, meta.path_in_schema)
  const { element } = schemaPath.at(-1)!
  checkKind(schemaPath)
  const pages = pagesOf(bytes, Number(meta.num_values))
  const unpack = Object.hasOwn(unpackers, meta.codec) ? unpackers[meta.codec] : undefined
  if (!unpack) throw new Error(`it is packed by ${meta.codec}, which is not read`)
  const largest = (of: (page: Page) => number) => pages.reduce((most, page) => Math.max(most, of(page)), 0)
  held.bytes += largest(({ header }) => header.uncompressed_page_size)
  held.values += largest(({ header }) => (header.data_page_header ?? header.data_page_header_v2)?.num_values ?? 0)
  const large =
    held.bytes > source.size + FREE_PAGES
      ? `${held.bytes} bytes`
      : held.values > MAX_VALUES
        ? `${held.values} values`
        : undefined
  if (large)
    throw badInput(
      'bad-parquet',
      `would have to hold pages of ${large} at a time; write it again with smaller row groups`,
      {
        file: source.name,
        column: meta.path_in_schema[0],
      },
    )
  const decoder = { ...meta, pathInSchema: meta.path_in_schema, element, schemaPath, parsers: parsers as never }
  const take = cursor(pages, (page, open) => decoded(bytes, page, decoder, unpack, open))
  const isFloat = element.type === 'DOUBLE' || element.type === 'FLOAT'
  // Inside of messages a whole float is another text than an integer
  return {
    path: meta.path_in_schema,
    take: isFloat && meta.path_in_schema.length > 1 ? (n) => asFloats(take(n)) : take,
  }
}

/** Whole numbers of a column of floats as objects, which `plain` knows; lists of them too. */
const asFloats = (values: unknown[]): unknown[] =>
  values.map((value) =>
    Array.isArray(value) ? asFloats(value) : Number.isInteger(value) ? Object(value as number) : value,
  )

const checkKind = (path: SchemaTree[]) => {
  if (path.length > MAX_DEPTH) throw new Error(`it is nested ${path.length} deep`)
  for (const { element } of path) {
    const kind = element.logical_type?.type ?? ''
    if (/^(VARIANT|GEOMETRY|GEOGRAPHY)$/.test(kind)) throw new Error(`columns of ${kind} are not read`)
    if (element.converted_type === 'DECIMAL' && element.type === 'BYTE_ARRAY')
      throw new Error('decimals of any length are not read')
    if (element.type_length !== undefined && element.converted_type === 'DECIMAL' && element.type_length > 64)
      throw new Error(`decimals of ${element.type_length} bytes`)
  }
}

/** The values of a page, and (of a dictionary page) whether they are the dictionary. */
type Decoded = { values: unknown[]; dictionary?: unknown[] }
type Open = { dictionary?: unknown[]; last?: unknown[] }

const decoded = (bytes: Uint8Array, page: Page, decoder: ColumnDecoder, unpack: Unpack, open: Open): Decoded => {
  const { header, start, end } = page
  const part = packedPart(page)
  const isPlain = header.data_page_header_v2?.is_compressed === false
  const packed = bytes.subarray(part.start, part.end)
  // an empty dictionary may still be packed
  const values = isPlain ? packed : part.size ? unpack(packed, part.size) : new Uint8Array()
  if (!isPlain && values.length !== part.size) throw new Error('a page that unpacks to another size')
  checkPage(header, bytes.subarray(start, end), values, decoder)
  const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, end), offset: start }
  const given = { ...decoder, codec: 'UNPACKED', compressors: { UNPACKED: () => values } } as unknown as ColumnDecoder
  const { data } = readPage(reader, header, given, open.dictionary as never, open.last as never, 0)
  if (header.type !== 'DICTIONARY_PAGE') return { values: (data ?? []) as unknown[] }
  return { values: [], dictionary: convert(data ?? [], given) as unknown[] }
}

/** Takes rows off the front, and decodes the next page where they do not suffice. A row of lists may go on in the next page. */
const cursor = (pages: Page[], decode: (page: Page, open: Open) => Decoded) => {
  const open: Open = {}
  let next = 0
  let at = 0
  return (n: number): unknown[] => {
    const taken: unknown[] = []
    for (;;) {
      // the last row of a page is whole only when the next page has begun, or there is none
      const whole = (open.last?.length ?? 0) - (next < pages.length && Array.isArray(open.last) ? 1 : 0)
      while (taken.length < n && at < whole) taken.push(open.last![at++])
      if (taken.length === n || next === pages.length) return taken
      const kept = open.last && Array.prototype.slice.call(open.last, at)
      const { values, dictionary } = decode(pages[next++], { ...open, last: kept })
      if (dictionary) open.dictionary = dictionary
      // lists go on in the array that was given; plain values come in one of their own
      open.last = dictionary || values === kept ? kept : kept?.length ? [...kept, ...values] : values
      at = 0
    }
  }
}

// ---- rows ------------------------------------------------------------------------------------------------------------

const rowsOf = (columns: Column[], n: number, first: number, { name: file, size }: ByteSource, budget: Budget) => {
  const values = columns.map(({ name, take }) => ({ name, values: take(n) }))
  const records: RawRecord[] = []
  for (let i = 0; i < n; i++) {
    const row = first + i
    const entries = values.map(({ name, values }) => [name, plain(values[i], { file, row, column: name }, budget)])
    if (budget.written > FREE_BYTES && budget.written > size * MAX_RATIO)
      throw badInput(
        'bad-parquet',
        `unpacks to more than ${MAX_RATIO} times its size; save it as jsonl if you trust it`,
        {
          file,
          row,
        },
      )
    records.push({ value: Object.fromEntries(entries), row })
  }
  return records
}

/** A value as JSON would have it. */
const plain = (value: unknown, where: { file: string; row: number; column: string }, budget: Budget): unknown => {
  budget.written += typeof value === 'string' ? value.length : 8
  if (value === BAD_TEXT) throw badUtf8(where)
  if (value === undefined || value === null) return null
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (value instanceof Number) return Number(value)
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw badInput('bad-value', 'is no date that there is', where)
    return value.toISOString()
  }
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array)
  if (Array.isArray(value)) {
    const list = value.map((item) => inside(item, where, budget))
    for (let i = 0; i < list.length; i++) note(list, i, value[i])
    return list
  }
  if (typeof value === 'object') {
    const entries = Object.entries(value)
    const object = Object.fromEntries(entries.map(([key, item]) => [key, inside(item, where, budget)]))
    for (const [key, item] of entries) note(object, key, item)
    return object
  }
  return value
}

const isLong = (value: unknown): value is bigint => typeof value === 'bigint' && !Number.isSafeInteger(Number(value))

/** Inside of a list or an object a long integer stays a number, and its holder notes its digits. */
const inside = (value: unknown, where: Parameters<typeof plain>[1], budget: Budget) =>
  isLong(value) ? Number(value) : plain(value, where, budget)

/** What a plain number does not say: a whole float, a long integer. */
const note = (holder: object, key: string | number, value: unknown) => {
  if (isLong(value)) noteNumber(holder, key, String(value))
  else if (value instanceof Number) noteNumber(holder, key, floatText(Number(value)))
}

/** A whole float as Python writes it into JSON: 1.0, -0.0, 1e+20. */
const floatText = (value: number): string => {
  const text = Object.is(value, -0) ? '-0' : Math.abs(value) >= 1e16 ? value.toExponential() : String(value)
  return text.includes('e') ? text : `${text}.0`
}
