/** JSON lines from a stream of bytes: one record a line, blank lines skipped, a byte order mark and CRLF let pass. */
import { badInput, Fault } from '../util/fault.ts'
import type { RawRecord } from './check.ts'
import { badUtf8, decodeUtf8, jsonFault, parseJson } from './json.ts'

/** No row of text is this long; a line without an end must not fill the memory. */
export const MAX_LINE = 256 * 2 ** 20

export type Chunks = AsyncIterable<Uint8Array>

/** Batches of records, with the byte range of each line. @throws Fault bad-json, bad-utf8 or what the stream throws */
export async function* jsonLines(file: string, chunks: Chunks): AsyncGenerator<RawRecord[]> {
  const state = { line: 0, row: 0, offset: 0 }
  let rest: Uint8Array[] = []
  let held = 0
  try {
    for await (const chunk of chunks) {
      const records: RawRecord[] = []
      let from = 0
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        yield* pushLine(file, joined(rest, chunk.subarray(from, end)), state, records)
        rest = []
        held = 0
        from = end + 1
      }
      if (from < chunk.length) rest.push(chunk.subarray(from))
      held += chunk.length - from
      if (held > MAX_LINE)
        throw badInput('bad-json', `is longer than ${MAX_LINE} bytes`, { file, line: state.line + 1, row: state.row })
      if (records.length) yield records
    }
  } catch (error) {
    throw placed(error, file, held ? { line: state.line + 1, row: state.row } : {})
  }
  const last: RawRecord[] = []
  if (held) yield* pushLine(file, joined(rest), state, last)
  if (last.length) yield last
}

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
    if (records.length) yield records.splice(0)
    throw error
  }
}

/** The value on a line; undefined where it is blank. */
export const lineValue = (bytes: Uint8Array, where: { file: string; line?: number; row?: number }): unknown => {
  const decoded = decodeUtf8(bytes)
  if (decoded === undefined) throw badUtf8(where)
  const text = where.line === 1 && decoded.charCodeAt(0) === 0xfeff ? decoded.slice(1) : decoded
  if (/^[ \t\r]*$/.test(text)) return undefined
  return parseJson(text, (offset, column) => jsonFault(text, offset, { ...where, column }))
}

export const joined = (pieces: Uint8Array[], last?: Uint8Array): Uint8Array => {
  if (!pieces.length && last) return last
  const all = last ? [...pieces, last] : pieces
  const bytes = new Uint8Array(all.reduce((sum, piece) => sum + piece.length, 0))
  let at = 0
  for (const piece of all) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

/** A fault of the stream below (gzip) does not know its place: adds the file, and where the reader was. */
export const placed = (error: unknown, file: string, where: { line?: number; row?: number } = {}) =>
  error instanceof Fault && error.where.file === undefined
    ? badInput(error.code, error.message, { file, ...where })
    : error
