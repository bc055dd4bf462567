/**
 * Parses JSON from files and servers. JSON.parse is fast, but does not tell where a text is wrong, and accepts nesting so deep
 * that it overflows the stack of code that walks the value. So depth is limited here, and a text that fails is scanned again
 * for the offset of its first error.
 */
import { badInput, type Fault, type Where } from './fault.ts'
import { withWritten } from './jsonNotes.ts'
import { quoted } from './quote.ts'

/** Lists and objects inside of each other; what people write by hand or by schema stays below 30. */
export const MAX_DEPTH = 200

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

/** Makes an error from the offset of the first mistake, the top-level key that it belongs to and, for deep nesting, a message. */
type Fail = (offset: number, column?: string, problem?: string) => Error

/**
 * The value of a text, which notes how its numbers and keys were written where JavaScript loses that (util/written.ts).
 * @throws what `fail` makes
 */
export const parseJson = (text: string, fail: Fail): unknown => withWritten(plainValue(text, fail), text)

const plainValue = (text: string, fail: Fail): unknown => {
  const deep = tooDeep(text)
  if (deep !== undefined) throw fail(deep, undefined, `is nested deeper than ${MAX_DEPTH} levels`)
  try {
    return JSON.parse(text)
  } catch {
    const { offset, column } = firstError(text)
    throw fail(offset, column)
  }
}

export const jsonFault = (text: string, offset: number, where: Where, problem?: string): Fault => {
  const near = text.slice(Math.max(0, offset - 10), offset + 20)
  const what = offset >= text.length ? 'ends too early' : `goes wrong at ${quoted(near)}`
  return badInput('bad-json', problem ?? `is not valid JSON: it ${what}`, where)
}

/** The value of a whole file. A byte order mark is let pass. @throws Fault with the line */
export const jsonOf = (text: string, where: Where, code = 'bad-json'): unknown => {
  const body = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
  return plainValue(body, (offset, _, problem) => {
    const line = body.slice(0, offset).split('\n').length
    const { message } = jsonFault(body, offset, {}, problem)
    return badInput(code, `${message}; write it again, or fetch it again`, { ...where, line })
  })
}

/** Whether a text of JSON spells half of a surrogate pair, which is no character: no tokenizer takes it. */
export const hasHalfPair = (text: string, value: unknown): boolean => {
  if (!/\\u[dD][89a-fA-F]/.test(text)) return false
  for (const open: unknown[] = [value]; open.length; ) {
    const at = open.pop()
    if (typeof at === 'string' && /\p{Surrogate}/u.test(at)) return true
    if (typeof at === 'object' && at !== null) for (const entry of Object.entries(at)) open.push(...entry)
  }
  return false
}

/** Where brackets open deeper than they may; undefined where they do not. Most texts have too few of them to look. */
const tooDeep = (text: string): number | undefined => {
  if (text.length <= MAX_DEPTH || countUpTo(text, '[', MAX_DEPTH) + countUpTo(text, '{', MAX_DEPTH) <= MAX_DEPTH)
    return undefined
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at)
    if (c === 0x22) {
      at = closingQuote(text, at)
      if (at < 0) return undefined
    } else if (c === 0x5b || c === 0x7b) {
      if (++depth > MAX_DEPTH) return at
    } else if (c === 0x5d || c === 0x7d) depth--
  }
}

/** How often a character is in a text, or any number above `most`. */
export const countUpTo = (text: string, char: string, most: number): number => {
  let n = 0
  for (let at = text.indexOf(char); at >= 0 && n <= most; at = text.indexOf(char, at + 1)) n++
  return n
}

/** The quote that ends the string which begins at `start`, or -1. */
const closingQuote = (text: string, start: number): number => {
  for (let at = text.indexOf('"', start + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0
    while (text.charCodeAt(at - 1 - slashes) === 0x5c) slashes++
    if (slashes % 2 === 0) return at
  }
  return -1
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
