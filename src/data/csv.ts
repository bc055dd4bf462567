/**
 * Streaming csv (RFC 4180). csv-parse is not used, because it keeps every field of a record as an object, without a
 * limit on their number, copies what is open at every chunk, and counts lines only at the end of a record: 60 MB of
 * commas took 3.6 GB, an unclosed quote took hours. Here each byte is parsed once, and a record has a limit of fields
 * and of bytes. Delimiter and encoding are found out from the beginning (csvDialect.ts).
 */
import { badInput, type Where } from '../util/fault.ts'
import { decodeUtf8 } from '../util/json.ts'
import { quoted } from '../util/quote.ts'
import type { RawRecord } from './check.ts'
import { type Dialect, delimiterName, notUtf8, readDialect } from './csvDialect.ts'
import { type Chunks, isEncodingFault, joined, MAX_LINE, placed, rowValue, tooLong } from './lines.ts'

/** Columns that hold numbers: there an empty field is null. */
const NUMBERS =
  /^(score_chosen|score_rejected|chosen_rating|rejected_rating|margin|prob|best|helpfulness|correctness|coherence|complexity|verbosity)$/
/** Columns that hold a list, written as JSON. */
const LISTS =
  /^(responses|ranks|messages|conversations|labels|(\w+_)?input_ids|(prompt|chosen|rejected|completion)_ids)$/

const MAX_COLUMNS = 10_000

export type CsvOptions = {
  /** The file is named .tsv. */
  tabs?: boolean
  /** Called with the dialect of the file, before the first record. */
  onDialect?: (dialect: Dialect) => void
}

/** Batches of records. @throws Fault bad-csv, bad-utf8 with the record's row and the line it begins on */
export async function* csvRecords(
  file: string,
  chunks: Chunks,
  columns: Record<string, string>,
  { tabs, onDialect }: CsvOptions = {},
): AsyncGenerator<RawRecord[]> {
  const names: string[] = []
  let row = 0
  let delimiter = ','
  const record = ({ fields, line }: Parsed): RawRecord[] => {
    if (!names.length) {
      names.push(...header(file, fields, line))
      return []
    }
    const place = { file, line, row, delimiter }
    if (fields.length !== names.length) {
      const what = `has ${fields.length} fields, the header ${names.length}; ${parted(delimiter)}`
      throw badInput('bad-csv', `${what}; ${CHECK}`, { file, line, row })
    }
    row++
    const value = Object.fromEntries(fields.map((bytes, i) => [names[i], field(names[i], bytes, place, columns)]))
    return [{ value, row: place.row, line }]
  }
  try {
    const { dialect, bytes } = await readDialect(chunks, tabs)
    delimiter = dialect.delimiter
    onDialect?.(dialect)
    const parser = recordParser(delimiter, dialect.skip.lines)
    for await (const chunk of after(dialect.skip.bytes, bytes)) yield* given(parser.push(chunk), record)
    yield* given(parser.end(), record)
  } catch (error) {
    if (!(error instanceof BadCsv)) throw placed(error, file)
    throw badInput('bad-csv', error.message, { file, line: error.line, row: names.length ? row : undefined })
  }
}

const parted = (delimiter: string) => `fields are parted by ${delimiterName(delimiter)}`

/** The records of a chunk; those before a fault come before it, unless the file is in another encoding. */
function* given(parsed: Generator<Parsed>, record: (parsed: Parsed) => RawRecord[]): Generator<RawRecord[]> {
  const records: RawRecord[] = []
  try {
    for (const one of parsed) records.push(...record(one))
  } catch (error) {
    if (records.length && !isEncodingFault(error)) yield records
    throw error
  }
  if (records.length) yield records
}

// ---- bytes to fields -------------------------------------------------------------------------------------------------

type Parsed = { fields: Uint8Array[]; line: number }

class BadCsv extends Error {
  readonly line: number
  constructor(message: string, line: number) {
    super(message)
    this.line = line
  }
}

const CHECK = 'check the quotes and the number of fields'
const [QUOTE, NEWLINE, RETURN, TAB] = [...'"\n\r\t'].map((c) => c.charCodeAt(0))

/** Where in a field a byte is: at its start, in plain text, in quotes, behind a quote that may end it, behind that and \r. */
const [START, PLAIN, QUOTED, BEHIND, RETURNED] = [0, 1, 2, 3, 4]

/** @param lines before the first record */
const recordParser = (delimiter: string, lines: number) => {
  const comma = delimiter.charCodeAt(0)
  let rest: Uint8Array[] = []
  let held = 0
  let line = 1 + lines
  /** Of the record that is open: where it began, its state, and the delimiters outside of quotes. */
  let from = line
  let state = START
  let commas = 0
  const fail = (what: string): never => {
    throw new BadCsv(what, from)
  }
  const step = (c: number) => {
    if (state === QUOTED) {
      if (c === QUOTE) state = BEHIND
    } else if (c === comma && state !== RETURNED) {
      if (++commas >= MAX_COLUMNS) fail(`has more than ${MAX_COLUMNS} fields; ${parted(delimiter)}; ${CHECK}`)
      state = START
    } else if (c === QUOTE && comma === TAB && state === PLAIN) {
      // Programs that write tabs seldom quote: there a quote within a field is text
    } else if (c === QUOTE) {
      if (state !== START && state !== BEHIND)
        fail('has a quote inside a field that is not in quotes; write it twice, in quotes')
      state = QUOTED
    } else if (state === BEHIND) {
      if (c !== RETURN) fail('goes on behind the quote that ends a field; a quote inside a field is written twice')
      state = RETURNED
    } else if (state === RETURNED)
      fail('goes on behind the quote that ends a field; a quote inside a field is written twice')
    else state = PLAIN
  }
  const take = (bytes: Uint8Array): Parsed[] => {
    const end = bytes[bytes.length - 1] === RETURN && state !== QUOTED ? bytes.length - 1 : bytes.length
    const parsed = end ? [{ fields: fieldsOf(bytes.subarray(0, end), comma, commas), line: from }] : []
    rest = []
    held = 0
    state = START
    commas = 0
    return parsed
  }
  return {
    push: function* (chunk: Uint8Array): Generator<Parsed> {
      let begin = 0
      for (let at = 0; at < chunk.length; at++) {
        const c = chunk[at]
        if (c === NEWLINE) line++
        if (c !== NEWLINE || state === QUOTED) {
          step(c)
          continue
        }
        const blank = at === begin || (at === begin + 1 && chunk[begin] === RETURN)
        if (blank && !rest.length) state = START
        else yield* take(joined(rest, chunk.subarray(begin, at)))
        begin = at + 1
        from = line
      }
      if (begin < chunk.length) rest.push(chunk.subarray(begin))
      held += chunk.length - begin
      if (held > MAX_LINE) fail(tooLong)
    },
    end: function* (): Generator<Parsed> {
      if (state === QUOTED) fail('begins a field in quotes that never ends; look for a quote that is missing')
      yield* take(joined(rest))
    },
  }
}

/** The fields of a record whose quotes are known to be sound. */
const fieldsOf = (bytes: Uint8Array, comma: number, commas: number): Uint8Array[] => {
  const fields: Uint8Array[] = []
  for (let at = 0; fields.length <= commas; ) {
    if (bytes[at] !== QUOTE) {
      const next = bytes.indexOf(comma, at)
      const end = next < 0 ? bytes.length : next
      fields.push(bytes.subarray(at, end))
      at = end + 1
      continue
    }
    let end = bytes.indexOf(QUOTE, at + 1)
    let twice = 0
    for (; bytes[end + 1] === QUOTE; end = bytes.indexOf(QUOTE, end + 2)) twice++
    const inside = bytes.subarray(at + 1, end)
    fields.push(twice ? undoubled(inside, inside.length - twice) : inside)
    at = end + 2
  }
  return fields
}

const undoubled = (bytes: Uint8Array, length: number): Uint8Array => {
  const out = new Uint8Array(length)
  for (let from = 0, to = 0; to < length; from++) {
    out[to++] = bytes[from]
    if (bytes[from] === QUOTE) from++
  }
  return out
}

// ---- fields to values ------------------------------------------------------------------------------------------------

const header = (file: string, fields: Uint8Array[], line: number): string[] => {
  const where = { file, line }
  const seen = new Set<string>()
  for (const bytes of fields) {
    const name = decodeUtf8(bytes)
    if (name === undefined) throw badInput('bad-utf8', notUtf8(bytes), where)
    if (seen.has(name)) throw badInput('bad-csv', `the header names ${quoted(name)} twice`, where)
    seen.add(name)
  }
  return [...seen]
}

type At = { file: string; line: number; row: number; delimiter: string }

const field = (
  column: string,
  bytes: Uint8Array,
  { delimiter, ...where }: At,
  columns: Record<string, string>,
): unknown => {
  const text = decodeUtf8(bytes)
  if (text === undefined) throw badInput('bad-utf8', notUtf8(bytes), { ...where, column })
  const name = Object.hasOwn(columns, column) ? columns[column] : column
  if (NUMBERS.test(name)) return numberOf(delimiter === ',' ? text : withPoint(text))
  if (LISTS.test(name)) return listOf(text, { ...where, column })
  if (name === 'label') return labels.get(text.trim().toLowerCase()) ?? text
  return text
}

/** A 1 is left as it is: it may be the lowest of five stars. */
const labels = new Map([
  ['true', true],
  ['false', false],
])

/** Where the delimiter is no comma, a comma may stand in a number as its decimal sign: 4,5. */
const withPoint = (text: string) => (/^\s*[+-]?\d*,\d+(e[+-]?\d+)?\s*$/i.test(text) ? text.replace(',', '.') : text)

/** A text that is no number stays a text: the check of the row says so. */
const numberOf = (text: string): number | string | null => {
  const word = text.trim().toLowerCase()
  if (word === '') return null
  if (/^[+-]?(nan|inf|infinity)$/.test(word)) return Number.NaN
  const number = Number(word)
  return Number.isNaN(number) ? text : number
}

const listOf = (text: string, where: Where): unknown =>
  text.trim() === ''
    ? null
    : rowValue(text, where, (_, __, problem) =>
        badInput('wrong-type', problem ?? 'must be a list, written as JSON', where),
      )

async function* after(skip: number, chunks: Chunks): AsyncGenerator<Uint8Array> {
  let left = skip
  for await (const chunk of chunks) {
    yield chunk.subarray(left)
    left = Math.max(0, left - chunk.length)
  }
}
