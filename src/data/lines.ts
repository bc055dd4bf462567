/** JSON lines from a stream of bytes: one record a line; blank lines, a byte order mark and CRLF are accepted. */
import { concatBytes } from '../util/bytes.ts'
import { badInput, Fault, type Where } from '../util/fault.ts'
import { badUtf8, countUpTo, decodeUtf8, hasHalfPair, jsonFault, parseJson } from '../util/json.ts'
import type { RawRecord } from './check.ts'

/** No row of text is this long; parsed JSON can take twenty times its text. */
export const MAX_LINE = 8 * 2 ** 20

/** What a row that is too long is told. */
export const tooLong = `is longer than ${MAX_LINE} bytes, which no row of text is; look for a line break or a quote that is missing`

export type Chunks = AsyncIterable<Uint8Array>

/** Batches of records, with the byte range of each line. @throws Fault bad-json, bad-utf8 or what the stream throws */
export async function* jsonLines(file: string, chunks: Chunks): AsyncGenerator<RawRecord[]> {
  const state = { line: 0, row: 0, offset: 0 }
  let rest: Uint8Array[] = []
  let held = 0
  try {
    for await (const chunk of chunks) {
      const records: RawRecord[] = []
      let from = rest.length ? 0 : skipBlank(chunk, 0, state)
      for (let end = chunk.indexOf(10, from); end >= 0; end = chunk.indexOf(10, from)) {
        if (held + end - from > MAX_LINE) break
        yield* pushLine(file, joined(rest, chunk.subarray(from, end)), state, records)
        rest = []
        held = 0
        from = skipBlank(chunk, end + 1, state)
      }
      if (from < chunk.length) rest.push(chunk.subarray(from))
      held += chunk.length - from
      if (records.length) yield records
      if (held > MAX_LINE) throw badInput('bad-json', tooLong, { file, line: state.line + 1, row: state.row })
    }
  } catch (error) {
    throw placed(error, file, held ? { line: state.line + 1, row: state.row } : {})
  }
  const last: RawRecord[] = []
  if (held) yield* pushLine(file, joined(rest), state, last)
  if (last.length) yield last
}

/** Past lines of nothing but white space: files of nothing else go by at once. */
const skipBlank = (chunk: Uint8Array, from: number, state: { line: number; offset: number }): number => {
  let start = from
  for (let at = from; at < chunk.length; at++) {
    const c = chunk[at]
    if (c === 10) {
      state.line++
      start = at + 1
    } else if (c !== 32 && c !== 13 && c !== 9) break
  }
  state.offset += start - from
  return start
}

/**
 * Whether a file is in another encoding. That is said before anything of the rows that were read with it, since a table in
 * the wrong encoding gets no further by other columns.
 */
export const isEncodingFault = (error: unknown): boolean => error instanceof Fault && error.code === 'bad-utf8'

/** Adds a line's record to the batch; what came before a bad line is yielded before the line is refused. */
function* pushLine(
  file: string,
  bytes: Uint8Array,
  state: { line: number; row: number; offset: number },
  records: RawRecord[],
) {
  const start = state.offset
  state.line++
  state.offset += bytes.length + 1
  try {
    const value = lineValue(bytes, { file, line: state.line, row: state.row })
    if (value !== undefined)
      records.push({ value, row: state.row++, line: state.line, start, end: start + bytes.length })
  } catch (error) {
    if (records.length && !isEncodingFault(error)) yield records.splice(0)
    throw error
  }
}

/** The value on a line; undefined where it is blank. */
export const lineValue = (bytes: Uint8Array, where: { file: string; line?: number; row?: number }): unknown => {
  const decoded = decodeUtf8(bytes)
  if (decoded === undefined) throw badUtf8(where)
  const text = where.line === 1 && decoded.charCodeAt(0) === 0xfeff ? decoded.slice(1) : decoded
  if (/^[ \t\r]*$/.test(text)) return undefined
  return rowValue(text, where, (offset, column, problem) => jsonFault(text, offset, { ...where, column }, problem))
}

/** Lists and objects of one row: each takes thirty times its two characters in memory. */
const MAX_PARTS = 200_000

/** The value of a row's text, within what a row may be. */
export const rowValue = (text: string, where: Where, fail: Parameters<typeof parseJson>[1]): unknown => {
  if (text.length > MAX_PARTS && countUpTo(text, '[', MAX_PARTS) + countUpTo(text, '{', MAX_PARTS) > MAX_PARTS)
    throw badInput('bad-json', `holds more than ${MAX_PARTS} lists and objects, which no row of text does`, where)
  const value = parseJson(text, fail)
  if (hasHalfPair(text, value)) throw halfPair(where)
  return value
}

const halfPair = (where: Where) =>
  badInput(
    'bad-utf8',
    'spells half of a surrogate pair (\\ud800 to \\udfff), which is no character; take it out',
    where,
  )

/** The pieces of a row that began in earlier chunks, and its end. A row within one chunk is not copied. */
export const joined = (pieces: readonly Uint8Array[], end?: Uint8Array): Uint8Array =>
  pieces.length === 0 && end ? end : concatBytes(end ? [...pieces, end] : pieces)

/** A fault of the stream below (gzip) does not know its place: adds the file, and where the reader was. */
export const placed = (error: unknown, file: string, where: { line?: number; row?: number } = {}) =>
  error instanceof Fault && error.where.file === undefined
    ? badInput(error.code, error.message, { file, ...where })
    : error
