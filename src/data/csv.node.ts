/**
 * csv by csv-parse, streamed. Fields come as bytes and are decoded here, because the parser would replace what is not
 * UTF-8; lines are counted here, because its own count is of the end of a record, and a fault belongs to the beginning.
 */
import { parse } from 'csv-parse'
import { badInput } from '../util/fault.ts'
import type { RawRecord } from './check.ts'
import { badUtf8, decodeUtf8 } from './json.ts'
import { type Chunks, joined, MAX_LINE, placed } from './lines.ts'

/** Columns that hold numbers: there an empty field is null. */
const NUMBERS =
  /^(score_chosen|score_rejected|chosen_rating|rejected_rating|margin|prob|best|helpfulness|correctness|coherence|complexity|verbosity)$/
/** Columns that hold a list, written as JSON. */
const LISTS =
  /^(responses|ranks|messages|conversations|labels|(\w+_)?input_ids|(prompt|chosen|rejected|completion)_ids)$/

type Parsed = { fields: Uint8Array[]; end: number }

/** Batches of records. @throws Fault bad-csv, bad-utf8 with the record's row and the line it begins on */
export async function* csvRecords(
  file: string,
  chunks: Chunks,
  columns: Record<string, string>,
): AsyncGenerator<RawRecord[]> {
  const parser = recordParser()
  const lines = lineCounter()
  const names: string[] = []
  let row = 0
  const record = ({ fields, end }: Parsed): RawRecord[] => {
    const line = lines.begin()
    lines.advance(end)
    if (!names.length) {
      names.push(...header(file, fields))
      return []
    }
    const place = { file, line, row: row++ }
    const value = Object.fromEntries(fields.map((bytes, i) => [names[i], field(names[i], bytes, place, columns)]))
    return [{ value, row: place.row, line }]
  }
  const fail = (error: Error) =>
    badInput('bad-csv', `${error.message.split(':')[0]}; check the quotes and the number of fields`, {
      file,
      line: lines.begin(),
      row: names.length ? row : undefined,
    })
  try {
    for await (const chunk of withoutMark(chunks)) {
      lines.hold(chunk)
      const { parsed, error } = await parser.push(chunk)
      yield parsed.flatMap(record)
      if (error) throw fail(error)
    }
    const { parsed, error } = await parser.end()
    yield parsed.flatMap(record)
    if (error) throw fail(error)
  } catch (error) {
    throw placed(error, file)
  }
}

/** csv-parse, fed by hand: what it found before an error comes with the error. */
const recordParser = () => {
  let parsed: Parsed[] = []
  const stream = parse({
    encoding: null,
    record_delimiter: ['\r\n', '\n'],
    skip_empty_lines: true,
    max_record_size: MAX_LINE,
    on_record: (fields, { bytes }) => {
      // without an encoding the fields are bytes, which the types do not say
      parsed.push({ fields: fields as unknown as Uint8Array[], end: bytes })
      return null
    },
  })
  let failed: Error | undefined
  let wake = () => {}
  stream.on('error', (error) => {
    failed = error
    wake() // a failed write may not call back
  })
  stream.resume()
  const settled = async (start: (done: () => void) => void) => {
    await new Promise<void>((done) => {
      wake = done
      start(done)
    })
    const ready = parsed
    parsed = []
    return { parsed: ready, error: failed }
  }
  return {
    push: (chunk: Uint8Array) => settled((done) => stream.write(chunk, done)),
    end: () => settled((done) => stream.end(done)),
  }
}

/** The physical line at which the record after the last one begins; holds only bytes of records not yet seen. */
const lineCounter = () => {
  let held = new Uint8Array()
  let offset = 0
  let line = 1
  const skip = (bytes: number) => {
    for (let i = held.indexOf(10); i >= 0 && i < bytes; i = held.indexOf(10, i + 1)) line++
    held = held.subarray(bytes)
    offset += bytes
  }
  return {
    hold: (chunk: Uint8Array) => (held = joined([held, chunk]) as Uint8Array<ArrayBuffer>),
    /** Blank lines are skipped. */
    begin: () => {
      let blank = 0
      while (held[blank] === 10 || held[blank] === 13) blank++
      skip(blank)
      return line
    },
    /** To the byte offset at which a record ends. */
    advance: (end: number) => skip(end - offset),
  }
}

const header = (file: string, fields: Uint8Array[]): string[] => {
  const names = fields.map((bytes) => decodeUtf8(bytes))
  const where = { file, line: 1 }
  if (names.includes(undefined)) throw badUtf8(where)
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined) throw badInput('bad-csv', `the header names ${JSON.stringify(twice)} twice`, where)
  return names as string[]
}

type At = { file: string; line: number; row: number }

const field = (column: string, bytes: Uint8Array, where: At, columns: Record<string, string>): unknown => {
  const text = decodeUtf8(bytes)
  if (text === undefined) throw badUtf8({ ...where, column })
  const name = columns[column] ?? column
  if (NUMBERS.test(name)) return numberOf(text)
  if (LISTS.test(name)) return listOf(text, { ...where, column })
  if (name === 'label') return { true: true, false: false, '1': true, '0': false }[text.trim().toLowerCase()] ?? text
  return text
}

/** A text that is no number stays a text: the check of the row says so. */
const numberOf = (text: string): number | string | null => {
  const word = text.trim().toLowerCase()
  if (word === '') return null
  if (/^[+-]?(nan|inf|infinity)$/.test(word)) return Number.NaN
  const number = Number(word)
  return Number.isNaN(number) ? text : number
}

const listOf = (text: string, where: At & { column: string }): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    throw badInput('wrong-type', 'must be a list, written as JSON', where)
  }
}

async function* withoutMark(chunks: Chunks): AsyncGenerator<Uint8Array> {
  let first = true
  for await (const chunk of chunks) {
    const marked = first && chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf
    first = false
    yield marked ? chunk.subarray(3) : chunk
  }
}
