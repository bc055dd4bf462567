/**
 * Checks of a parquet file before hyparquet decodes it. The library trusts counts and lengths, so that a few bytes
 * could ask for gigabytes or never end. Thrift structures are read with bounds, every page header is compared with the
 * bytes there are, and every run of levels, of dictionary indices and of deltas with the values of its page.
 * https://github.com/apache/parquet-format
 */
import type { PageHeader, SchemaTree } from 'hyparquet'
import { parquetHeader, type readPage } from 'hyparquet/src/column.js'
import { deltaBinaryUnpack } from 'hyparquet/src/delta.js'
import { readRleBitPackedHybrid } from 'hyparquet/src/encoding.js'
import { getMaxDefinitionLevel, getMaxRepetitionLevel } from 'hyparquet/src/schema.js'

/** Values of one page. Writers put a million of equal ones or nulls into one page, seldom more. */
export const MAX_PAGE_VALUES = 2 ** 21
/** Fields and items of one thrift structure: a footer of 1,000 row groups and 20 columns has 800,000. */
const MAX_THRIFT_ITEMS = 2_000_000
const MAX_THRIFT_DEPTH = 32
/** A last run of packed bits may be longer than the values that are left, as writers pad it. */
const MAX_PADDING = 4096
const MAX_DELTA_BLOCK = 2 ** 16

/** What the library is told of a column. */
export type ColumnDecoder = Parameters<typeof readPage>[2]
export type Page = { header: PageHeader; start: number; end: number }

// ---- thrift, compact protocol ----------------------------------------------------------------------------------------

/** Walks a structure without building it; answers where it ends. @throws Error where it is larger than its bytes */
export const checkThrift = (bytes: Uint8Array, start: number): number => {
  let at = start
  let items = 0
  const byte = () => {
    if (at >= bytes.length) throw new Error('a structure is cut off')
    return bytes[at++]
  }
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const part = byte()
      value += (part & 0x7f) * 2 ** shift
      if (part < 0x80) return value
    }
    throw new Error('a number has too many bytes')
  }
  const skip = (n: number) => {
    if (n > bytes.length - at) throw new Error('a text goes past the end')
    at += n
  }
  const element = (type: number, depth: number): void => {
    if (++items > MAX_THRIFT_ITEMS) throw new Error(`a structure of more than ${MAX_THRIFT_ITEMS} items`)
    if (depth > MAX_THRIFT_DEPTH) throw new Error(`a structure nested deeper than ${MAX_THRIFT_DEPTH}`)
    if (type === 3) skip(1)
    else if (type >= 4 && type <= 6) varint()
    else if (type === 7) skip(8)
    else if (type === 8) skip(varint())
    else if (type === 9) list(depth)
    else if (type === 12) struct(depth)
    else if (type !== 1 && type !== 2) throw new Error(`a structure of the unknown type ${type}`)
  }
  const list = (depth: number) => {
    const head = byte()
    const size = head >> 4 === 15 ? varint() : head >> 4
    if (size > bytes.length - at) throw new Error(`a list of ${size} items goes past the end`)
    const type = head & 15
    for (let i = 0; i < size; i++) element(type === 1 || type === 2 ? 3 : type, depth + 1)
  }
  const struct = (depth: number) => {
    for (;;) {
      const head = byte()
      if ((head & 15) === 0) return
      if (head >> 4 === 0) varint()
      element(head & 15, depth + 1)
    }
  }
  struct(0)
  return at
}

// ---- pages -----------------------------------------------------------------------------------------------------------

/** The pages of a column's bytes, up to its last value. @throws Error */
export const pagesOf = (bytes: Uint8Array, values: number): Page[] => {
  const pages: Page[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0, seen = 0; seen < values; ) {
    if (at >= bytes.length) throw new Error(`its pages hold ${seen} of ${values} values`)
    const start = checkThrift(bytes, at)
    const header = parquetHeader({ view, offset: at })
    const size = header.compressed_page_size
    if (!isCount(size) || size > bytes.length - start || !isCount(header.uncompressed_page_size))
      throw new Error(`a page of ${size} bytes goes past the end`)
    const count = countOf(header)
    if (!isCount(count) || count > MAX_PAGE_VALUES) throw new Error(`a page of ${count} values`)
    if (header.type !== 'DICTIONARY_PAGE') seen += count
    at = start + size
    pages.push({ header, start, end: at })
    if (seen > values) throw new Error(`its pages hold more than the ${values} values that it says`)
  }
  return pages
}

const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0

const countOf = ({ type, data_page_header, data_page_header_v2, dictionary_page_header }: PageHeader) => {
  if (type === 'DATA_PAGE') return data_page_header?.num_values
  if (type === 'DICTIONARY_PAGE') return dictionary_page_header?.num_values
  const v2 = type === 'DATA_PAGE_V2' ? data_page_header_v2 : undefined
  if (!v2) throw new Error(`a page of the type ${type ?? 'unknown'}`)
  const parts = [v2.num_nulls, v2.num_rows, v2.definition_levels_byte_length, v2.repetition_levels_byte_length]
  if (!parts.every(isCount) || v2.num_nulls > v2.num_values || v2.num_rows > v2.num_values)
    throw new Error('a page whose counts are no counts')
  return v2.num_values
}

/** The stored bytes of a page that are packed: in the second layout the levels stand before them as they are. */
export const packedPart = ({ header, start, end }: Page) => {
  const v2 = header.data_page_header_v2
  const levels = v2 ? v2.definition_levels_byte_length + v2.repetition_levels_byte_length : 0
  if (levels > end - start || levels > header.uncompressed_page_size) throw new Error('levels longer than their page')
  return { start: start + levels, end, size: header.uncompressed_page_size - levels, levels }
}

/** Holds what a page says inside against its counts. `stored` are its bytes in the file, `values` its unpacked part. */
export const checkPage = (header: PageHeader, stored: Uint8Array, values: Uint8Array, decoder: ColumnDecoder) => {
  if (header.type === 'DICTIONARY_PAGE') return
  const { schemaPath } = decoder
  const [repetition, definition] = [getMaxRepetitionLevel(schemaPath), getMaxDefinitionLevel(schemaPath)].map(bitWidth)
  const v2 = header.data_page_header_v2
  const { num_values: count, encoding } = v2 ?? header.data_page_header!
  if (v2) {
    checkRuns(stored, 0, repetition, count)
    checkRuns(stored, v2.repetition_levels_byte_length, definition, count)
    checkValues(values, 0, encoding, count - v2.num_nulls, decoder)
    return
  }
  const levels = (width: number, at: number) => {
    if (!width) return at
    const end = at + 4 + viewOf(values).getUint32(at, true)
    if (end > values.length) throw new Error('levels longer than their page')
    checkRuns(values, at + 4, width, count)
    return end
  }
  const nulls = levels(repetition, 0)
  const at = levels(definition, nulls)
  const filled = () => (definition ? filledOf(values, nulls, definition, count, schemaPath) : count)
  checkValues(values, at, encoding, encoding === 'PLAIN' ? 0 : filled(), decoder)
}

const bitWidth = (value: number) => 32 - Math.clz32(value)
const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** How many of a page's values are not null. */
const filledOf = (page: Uint8Array, at: number, width: number, count: number, path: SchemaTree[]): number => {
  const levels = new Array<number>(count)
  readRleBitPackedHybrid({ view: viewOf(page), offset: at }, width, levels)
  const whole = getMaxDefinitionLevel(path)
  return levels.reduce((n, level) => n + Number(level === whole), 0)
}

/** Runs of equal or bit-packed values: no run may be longer than the values that are left. */
const checkRuns = (bytes: Uint8Array, start: number, width: number, count: number) => {
  if (!width) return
  if (width > 32) throw new Error(`values of ${width} bits`)
  for (let at = start, seen = 0; seen < count; ) {
    const head = varintAt(bytes, at)
    at = head.end
    const run = head.value & 1 ? (head.value >>> 1) * 8 : head.value >>> 1
    if (run > count - seen + (head.value & 1 ? MAX_PADDING : 0)) throw new Error(`a run of ${run} values`)
    at += head.value & 1 ? (run / 8) * width : (width + 7) >> 3
    seen += run
  }
}

const varintAt = (bytes: Uint8Array, at: number): { value: number; end: number } => {
  let value = 0
  for (let i = 0; i < 5; i++) {
    if (at + i >= bytes.length) throw new Error('a run is cut off')
    value = (value | ((bytes[at + i] & 0x7f) << (7 * i))) >>> 0
    if (bytes[at + i] < 0x80) return { value, end: at + i + 1 }
  }
  throw new Error('a number has too many bytes')
}

const checkValues = (
  bytes: Uint8Array,
  at: number,
  encoding: string,
  count: number,
  { type, element }: ColumnDecoder,
) => {
  if (encoding === 'RLE_DICTIONARY' || encoding === 'PLAIN_DICTIONARY') {
    if (count) checkRuns(bytes, at + 1, bytes[at], count)
  } else if (encoding === 'RLE') checkRuns(bytes, at + 4, 1, count)
  else if (encoding === 'BYTE_STREAM_SPLIT') {
    const width = { INT32: 4, FLOAT: 4, INT64: 8, DOUBLE: 8 }[type as string] ?? element.type_length ?? 0
    if (!(width * count <= bytes.length - at)) throw new Error(`${count} values of ${width} bytes go past the page`)
  } else if (encoding?.startsWith('DELTA') && count) {
    const lengths = checkDeltas(bytes, at, count, type !== 'INT64' || encoding !== 'DELTA_BINARY_PACKED')
    if (encoding === 'DELTA_BYTE_ARRAY') checkPrefixes(bytes, lengths.end, lengths.values, count)
  }
}

/** Deltas of blocks and miniblocks; as 32-bit numbers where they are lengths. */
const checkDeltas = (bytes: Uint8Array, at: number, count: number, narrow: boolean) => {
  const block = varintAt(bytes, at)
  const mini = varintAt(bytes, block.end)
  if (!mini.value || block.value > MAX_DELTA_BLOCK || block.value % mini.value)
    throw new Error(`blocks of ${block.value} deltas in ${mini.value} parts`)
  const values = new Int32Array(narrow ? count : 0)
  const reader = { view: viewOf(bytes), offset: at }
  if (narrow) deltaBinaryUnpack(reader, count, values)
  return { values, end: reader.offset }
}

/** Each value begins with a piece of the one before it: together they may not be larger than a page can be. */
const checkPrefixes = (bytes: Uint8Array, at: number, prefixes: Int32Array, count: number) => {
  const suffixes = checkDeltas(bytes, at, count, true).values
  let total = 0
  for (let i = 0, last = 0; i < count; i++) {
    if (prefixes[i] < 0 || prefixes[i] > last || suffixes[i] < 0)
      throw new Error('a value longer than the one before it')
    last = prefixes[i] + suffixes[i]
    total += last
  }
  if (total > 2 ** 26) throw new Error(`a page of ${total} bytes of text`)
}
