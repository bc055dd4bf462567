/** Adds to a parsed JSON value what JavaScript lost of its text: how numbers were written, and the order of keys (written.ts). */
import { hasNotes, noteKeys, noteNumber, saysLess } from './written.ts'

/** All JSON tokens but strings. */
const token = /-?\d[\d.eE+-]*|[{}[\],:]|[a-z]+/gy
const space = /[ \t\n\r]*/gy

type Open = { holder: unknown; isList: boolean; key: string | number; keys: string[] }

/**
 * The value with its notes. `text` must be what it was parsed from. A loop with a stack of its own, so that deep nesting cannot
 * overflow the call stack.
 */
export const withWritten = (value: unknown, text: string): unknown => {
  if (typeof value !== 'object' || value === null || !loses(text)) return value
  const open: Open[] = []
  let expectKey = false
  for (let at = 0; at < text.length; ) {
    space.lastIndex = at
    space.test(text)
    const found = tokenAt(text, space.lastIndex)
    if (!found) break
    at = space.lastIndex + found.length
    const top = open.at(-1)
    if (found === '{' || found === '[') {
      open.push({ holder: top ? heldBy(top) : value, isList: found === '[', key: 0, keys: [] })
      expectKey = found === '{'
    } else if (found === '}' || found === ']') {
      if (top && !top.isList) noteOrder(top)
      open.pop()
    } else if (found === ',') {
      expectKey = !top?.isList
      if (top?.isList) top.key = Number(top.key) + 1
    } else if (expectKey && top) {
      top.key = JSON.parse(found)
      top.keys.push(String(top.key))
      expectKey = false
    } else if (top && /^[-\d]/.test(found)) noteOne(top, found)
  }
  return value
}

const tokenAt = (text: string, at: number): string => {
  if (text[at] === '"') return text.slice(at, textEnd(text, at))
  token.lastIndex = at
  return token.exec(text)?.[0] ?? ''
}

/** Whether JavaScript loses the text of any number or the place of any key, which is rare. Strings are skipped. */
const loses = (text: string): boolean => {
  for (let at = 0; at < text.length; at++) {
    const c = text.charCodeAt(at)
    if (c === quote) {
      const end = textEnd(text, at)
      if (isDigit(text.charCodeAt(at + 1)) && isIndexKey(text, at, end)) return true
      at = end - 1
    } else if (isDigit(c) || c === minus) {
      const end = numberEnd(text, at)
      const odd = end < 0 || c === minus || end - at > 15
      const stop = Math.abs(end)
      if (odd && saysLess(text.slice(at, stop), Number(text.slice(at, stop)))) return true
      at = stop - 1
    }
  }
  return false
}

const [quote, minus, zero, nine] = [...'"-09'].map((char) => char.charCodeAt(0))
const isDigit = (c: number): boolean => c >= zero && c <= nine

/** Where a number ends; below 0 where it is more than digits. */
const numberEnd = (text: string, start: number): number => {
  let plain = true
  let end = start + 1
  for (; end < text.length; end++) {
    const c = text.charCodeAt(end)
    if (isDigit(c)) continue
    // . e E + -
    if (c !== 46 && c !== 101 && c !== 69 && c !== 43 && c !== 45) break
    plain = false
  }
  return plain ? end : -end
}

const isIndexKey = (text: string, start: number, end: number): boolean =>
  end - start < 20 && /^\d+$/.test(text.slice(start + 1, end - 1)) && /^\s*:/.test(text.slice(end, end + 100))

const textEnd = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); end > 0; end = text.indexOf('"', end + 1)) {
    let from = end
    while (text[from - 1] === '\\') from--
    if ((end - from) % 2 === 0) return end + 1
  }
  return text.length
}

const isHolder = (value: unknown): value is Record<PropertyKey, unknown> => typeof value === 'object' && value !== null

/** The value that a key holds. Of a key that stands twice the last value counts, and its notes overwrite those of the first. */
const heldBy = ({ holder, key }: Open): unknown =>
  isHolder(holder) && Object.hasOwn(holder, key) ? holder[key] : undefined

const noteOne = ({ holder, key }: Open, text: string) => {
  if (!isHolder(holder)) return
  const lost = saysLess(text, Number(text))
  if (lost) noteNumber(holder, key, text)
  else if (hasNotes(holder)) noteNumber(holder, key, undefined)
}

const noteOrder = ({ holder, keys }: Open) => {
  if (!isHolder(holder)) return
  const order = [...new Set(keys)]
  if (Object.keys(holder).some((key, i) => key !== order[i])) noteKeys(holder, order)
}
