/**
 * The records of a file that is one JSON array, one at a time. The brackets are followed by hand, so that a file
 * larger than memory streams and an error in the text has its line.
 */
import { badInput } from '../util/fault.ts'
import { badUtf8, decodeUtf8, jsonFault, MAX_DEPTH } from '../util/json.ts'
import { quoted } from '../util/quote.ts'
import type { RawRecord } from './check.ts'
import { type Chunks, joined, MAX_LINE, placed, rowValue, tooLong } from './lines.ts'

const [QUOTE, COMMA, BACKSLASH, OPEN, CLOSE, NEWLINE] = [...'",\\[]\n'].map((c) => c.charCodeAt(0))
const isSpace = (c: number) => c === 32 || c === 10 || c === 13 || c === 9
const opens = (c: number) => c === 0x5b || c === 0x7b
const closes = (c: number) => c === 0x5d || c === 0x7d

type State = {
  /** Before the array, before its first record, before a later one, in one, after one, after the array. */
  at: 'start' | 'first' | 'next' | 'inside' | 'after' | 'end'
  depth: number
  inString: boolean
  /** The present record is a number or a word: it has no closing mark. */
  bare: boolean
  escaped: boolean
  line: number
  row: number
  /** The line the present record begins on. */
  from: number
}

/** Batches of records. @throws Fault bad-json, bad-utf8 (with the line), wrong-type when the file is no array */
export async function* jsonArray(file: string, chunks: Chunks): AsyncGenerator<RawRecord[]> {
  const state: State = { at: 'start', depth: 0, inString: false, bare: false, escaped: false, line: 1, row: 0, from: 1 }
  let rest: Uint8Array[] = []
  let held = 0
  try {
    for await (const raw of chunks) {
      const chunk = state.at === 'start' ? withoutMark(raw) : raw
      const records: RawRecord[] = []
      let begin = state.at === 'inside' ? 0 : -1
      for (let i = 0; i < chunk.length; i++) {
        const c = chunk[i]
        const was = state.at
        advance(state, c, file)
        if (was !== 'inside' && state.at === 'inside') begin = i
        if (was === 'inside' && state.at !== 'inside') {
          // a bare number or word ends at the comma, bracket or space that follows it
          const end = state.bare ? i : i + 1
          records.push(element(file, joined(rest, chunk.subarray(begin, end)), state))
          rest = []
          held = 0
          begin = -1
          if (state.bare) advance(state, c, file)
        }
        if (c === NEWLINE) state.line++
      }
      if (begin >= 0) {
        rest.push(chunk.subarray(begin))
        held += chunk.length - begin
      }
      if (held > MAX_LINE) throw badInput('bad-json', tooLong, { file, line: state.from, row: state.row })
      if (records.length) yield records
    }
  } catch (error) {
    throw placed(error, file)
  }
  if (state.at !== 'end')
    throw badInput('bad-json', 'the array is not closed; the file is cut off', { file, line: state.line })
}

const withoutMark = (chunk: Uint8Array) =>
  chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf ? chunk.subarray(3) : chunk

/** One byte further. */
const advance = (state: State, c: number, file: string) => {
  if (state.at === 'inside') return inside(state, c, file)
  if (isSpace(c)) return
  if (state.at === 'start') {
    if (c !== OPEN)
      throw badInput('wrong-type', 'must be one JSON array of rows; name a file with one row a line .jsonl', { file })
    state.at = 'first'
  } else if (state.at === 'after' && c === COMMA) state.at = 'next'
  else if ((state.at === 'after' || state.at === 'first') && c === CLOSE) state.at = 'end'
  else if ((state.at === 'first' || state.at === 'next') && c !== COMMA && !closes(c)) {
    state.at = 'inside'
    state.from = state.line
    state.depth = opens(c) ? 1 : 0
    state.inString = c === QUOTE
    state.bare = !state.depth && !state.inString
    state.escaped = false
  } else
    throw badInput('bad-json', `unexpected ${quoted(String.fromCharCode(c))} between rows`, {
      file,
      line: state.line,
    })
}

const inside = (state: State, c: number, file: string) => {
  if (state.inString) {
    if (c < 0x20)
      throw badInput('bad-json', 'a string holds a control character or is not closed', { file, line: state.line })
    if (state.escaped) state.escaped = false
    else if (c === BACKSLASH) state.escaped = true
    else if (c === QUOTE) {
      state.inString = false
      if (!state.depth) state.at = 'after'
    }
  } else if (c === QUOTE) state.inString = true
  else if (opens(c)) {
    if (++state.depth > MAX_DEPTH)
      throw badInput('bad-json', `is nested deeper than ${MAX_DEPTH} levels`, {
        file,
        line: state.line,
        row: state.row,
      })
  } else if (state.depth && closes(c)) {
    if (--state.depth === 0) state.at = 'after'
  } else if (!state.depth && (c === COMMA || closes(c) || isSpace(c))) state.at = 'after'
}

const element = (file: string, bytes: Uint8Array, state: State): RawRecord => {
  const text = decodeUtf8(bytes)
  if (text === undefined) throw badUtf8({ file, line: state.from + badLine(bytes) })
  const value = rowValue(text, { file, line: state.from, row: state.row }, (offset, _, problem) => {
    const line = state.from + text.slice(0, offset).split('\n').length - 1
    return jsonFault(text, offset, { file, line }, problem)
  })
  return { value, row: state.row++ }
}

/** Which line of some bytes, from 0, is not UTF-8. */
const badLine = (bytes: Uint8Array): number => {
  let line = 0
  for (let from = 0, end: number; (end = bytes.indexOf(NEWLINE, from)) >= 0; from = end + 1, line++)
    if (decodeUtf8(bytes.subarray(from, end)) === undefined) return line
  return line
}
