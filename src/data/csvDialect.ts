/**
 * What a csv file is written in, found out from its beginning: UTF-8 or UTF-16, and the character that parts its fields.
 * The delimiter is the one that gives the header more than one field and the most records the header's number of fields.
 */
import { badInput } from '../util/fault.ts'
import { asUtf8, beginning, type Encoding, HEAD } from './encoding.ts'
import type { Chunks } from './lines.ts'

/** The delimiters that are tried, in order: the first of equals is taken. */
const DELIMITERS = [',', ';', '\t', '|']

const names: Readonly<Record<string, string>> = { ',': 'comma', ';': 'semicolon', '\t': 'tab', '|': 'vertical bar' }

/** "a semicolon (;)", for messages. */
export const delimiterName = (delimiter: string): string => {
  if (delimiter === '\t') return 'a tab'
  return names[delimiter] ? `a ${names[delimiter]} (${delimiter})` : `the character ${delimiter}`
}

export type Dialect = {
  delimiter: string
  encoding: Encoding
  /** Bytes, as UTF-8, before the header (a mark, and Excel's line `sep=;`), and the lines that they end. */
  skip: { bytes: number; lines: number }
}

const MAX_RECORDS = 100

/**
 * The dialect and the whole stream as UTF-8. A fault of the stream comes behind the bytes that were read before it.
 * @param tabs  the file is named .tsv: a tab in the header decides
 * @throws Fault bad-utf8 for UTF-16 without its mark, bad-csv for a line `sep=` of no use
 */
export const readDialect = async (chunks: Chunks, tabs = false): Promise<{ dialect: Dialect; bytes: Chunks }> => {
  const { encoding, bytes } = await asUtf8(chunks)
  const start = await beginning(bytes)
  return { dialect: dialectOf(start.head, start.whole, encoding, tabs), bytes: start.bytes }
}

const dialectOf = (head: Uint8Array, whole: boolean, encoding: Encoding, tabs: boolean): Dialect => {
  const mark = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0
  const declared = declaredDelimiter(head.subarray(mark, mark + 16))
  if (declared) return { encoding, delimiter: declared.delimiter, skip: { bytes: mark + declared.bytes, lines: 1 } }
  const delimiter = likeliest(head.subarray(mark, HEAD), whole && head.length <= HEAD, tabs)
  return { encoding, delimiter, skip: { bytes: mark, lines: 0 } }
}

// ---- fields that are not UTF-8 ---------------------------------------------------------------------------------------

/** A field that is not UTF-8: what it looks like, and how to mend the file. */
export const notUtf8 = (bytes: Uint8Array): string => {
  const guess = singleByteName(bytes)
  if (!guess) return 'is not UTF-8; save the file as UTF-8 and try again'
  const at = bytes.findIndex((byte) => byte > 127)
  const around = fromWindows1252(bytes.subarray(Math.max(0, at - 12), at + 13))
  return `is not UTF-8 but looks like ${guess} ("${around}"); save the file as UTF-8 ("CSV UTF-8" in Excel), or: iconv -f ${guess.toUpperCase()} -t UTF-8 FILE > NEW`
}

/** Windows-1252 from 0x80 to 0x9f. Node's own decoder takes these bytes for control characters. */
const WINDOWS_1252 = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ'

const fromWindows1252 = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => WINDOWS_1252[byte - 0x80] ?? String.fromCharCode(byte)).join('')

/** Bytes that Windows-1252 does not have. */
const NOT_IN_1252 = [0x81, 0x8d, 0x8f, 0x90, 0x9d]

/** Undefined where bytes above 127 follow each other as in UTF-8, or in long rows as in other alphabets. */
const singleByteName = (bytes: Uint8Array): string | undefined => {
  if (/[\xc2-\xf4][\x80-\xbf]/.test(String.fromCharCode(...bytes.subarray(0, 2 ** 12)))) return undefined
  let run = 0
  let low = false
  for (const byte of bytes) {
    run = byte > 127 ? run + 1 : 0
    if (run > 2 || NOT_IN_1252.includes(byte)) return undefined
    low ||= byte > 127 && byte < 160
  }
  return low ? 'Windows-1252' : 'ISO-8859-1'
}

// ---- delimiter -------------------------------------------------------------------------------------------------------

/** Excel's first line: sep=; */
const declaredDelimiter = (start: Uint8Array): { delimiter: string; bytes: number } | undefined => {
  const line = /^"?sep=([^\r\n]?)"?\r?\n/i.exec(String.fromCharCode(...start))
  if (!line) return undefined
  const [text, delimiter] = line
  if (!/^[\t -~]$/.test(delimiter) || /["\w]/.test(delimiter))
    throw badInput(
      'bad-csv',
      'its first line, sep=, names no delimiter that is read; write one of , ; | or a tab there',
    )
  return { delimiter, bytes: text.length }
}

const likeliest = (head: Uint8Array, whole: boolean, tabs: boolean): string => {
  let best = { delimiter: tabs ? '\t' : ',', fit: -1, fields: 1 }
  for (const delimiter of DELIMITERS) {
    const [header, ...counts] = fieldCounts(head, delimiter.charCodeAt(0), whole)
    if (header === undefined || header < 2) continue
    if (tabs && delimiter === '\t') return delimiter
    const fit = counts.length ? counts.filter((n) => n === header).length / counts.length : 0
    if (fit > best.fit || (fit === best.fit && header > best.fields)) best = { delimiter, fit, fields: header }
  }
  return best.delimiter
}

const [QUOTE, NEWLINE, RETURN] = [...'"\n\r'].map((c) => c.charCodeAt(0))

/** The number of fields of the header and of the first records that are whole; blank lines do not count. */
const fieldCounts = (head: Uint8Array, delimiter: number, whole: boolean): number[] => {
  const counts: number[] = []
  let fields = 1
  let length = 0
  let start = true
  let inside = false
  for (const byte of head) {
    if (byte === NEWLINE && !inside) {
      if (length) counts.push(fields)
      if (counts.length > MAX_RECORDS) return counts
      fields = 1
      length = 0
      start = true
      continue
    }
    if (byte !== RETURN) length++
    // A quote that is written twice leaves and enters again
    if (byte === QUOTE && (start || inside)) {
      inside = !inside
      start = !inside
    } else if (!inside) {
      if (byte === delimiter) fields++
      start = byte === delimiter
    }
  }
  if (length && (whole ? !inside : !counts.length)) counts.push(fields)
  return counts
}
