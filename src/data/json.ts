/**
 * JSON text with places: JSON.parse is fast but does not say where a text goes wrong, so a failing text is scanned again
 * by hand for the offset of its first error.
 */
import { badInput, type Fault, type Where } from '../util/fault.ts'
import { withWritten } from '../util/jsonNotes.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The bytes as text, or undefined where they are not UTF-8. A byte order mark is kept. */
export const decodeUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

export const badUtf8 = (where: Where): Fault =>
  badInput('bad-utf8', 'is not UTF-8; save the file as UTF-8 and try again', where)

/**
 * Parses a text, noting how its numbers and keys were written where JavaScript loses that (util/written.ts); `fail` turns the offset of the first error (and the top-level key it stands at) into what is thrown.
 */
export const parseJson = (text: string, fail: (offset: number, column?: string) => Error): unknown => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    const { offset, column } = firstError(text)
    throw fail(offset, column)
  }
  return withWritten(value, text)
}

export const jsonFault = (text: string, offset: number, where: Where): Fault => {
  const near = text.slice(Math.max(0, offset - 10), offset + 20)
  const what = offset >= text.length ? 'ends too early' : `goes wrong at ${JSON.stringify(near)}`
  return badInput('bad-json', `is not valid JSON: it ${what}`, where)
}

const LITERAL = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y
const SPACE = /[ \t\n\r]*/y

/** Where JSON stops being JSON. A loop with a stack: nesting from a stranger must not overflow ours. */
const firstError = (text: string): { offset: number; column?: string } => {
  const open: ('{' | '[')[] = []
  let key: string | undefined
  let expect: 'value' | 'value-or-end' | 'key' | 'key-or-end' | 'colon' | 'more' = 'value'
  for (let at = 0; ; ) {
    at = after(SPACE, text, at) ?? at
    const c = text[at]
    const top = open.at(-1)
    if (c === undefined) return { offset: at }
    if (expect === 'colon' && c === ':') {
      expect = 'value'
      at++
    } else if (expect === 'more' && c === ',' && top) {
      expect = top === '{' ? 'key' : 'value'
      at++
    } else if (c === (top === '{' ? '}' : ']') && top && (expect === 'more' || expect.endsWith('-or-end'))) {
      open.pop()
      expect = 'more'
      at++
    } else if (expect.startsWith('key') && c === '"') {
      const end = stringEnd(text, at)
      if (end.bad) return { offset: end.at }
      if (open.length === 1) key = text.slice(at + 1, end.at - 1)
      at = end.at
      expect = 'colon'
    } else if (expect.startsWith('value')) {
      if (c === '{' || c === '[') {
        open.push(c)
        expect = c === '{' ? 'key-or-end' : 'value-or-end'
        at++
        continue
      }
      const end =
        c === '"'
          ? stringEnd(text, at)
          : { at: after(LITERAL, text, at) ?? at, bad: after(LITERAL, text, at) === undefined }
      if (end.bad) return { offset: end.at, column: c !== '"' && open.length === 1 ? key : undefined }
      at = end.at
      expect = 'more'
    } else return { offset: at }
  }
}

const after = (pattern: RegExp, text: string, at: number): number | undefined => {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : undefined
}

/** The offset after a string's closing quote, or of what is wrong in it. */
const stringEnd = (text: string, start: number): { at: number; bad: boolean } => {
  for (let at = start + 1; at < text.length; at++) {
    const c = text.charCodeAt(at)
    if (c === 0x22) return { at: at + 1, bad: false }
    if (c < 0x20) return { at, bad: true }
    if (c !== 0x5c) continue
    if (
      text[at + 1] === 'u'
        ? !/^[0-9a-fA-F]{4}$/.test(text.slice(at + 2, at + 6))
        : !'"\\/bfnrt'.includes(text[at + 1] ?? ' ')
    )
      return { at, bad: true }
    at++
  }
  return { at: text.length, bad: true }
}
