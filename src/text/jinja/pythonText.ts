/** Python's rules for white space, lines and case, which differ from JavaScript's. */

import type { Budget } from './budget.ts'
import { pointLength } from './values.ts'

/** str.isspace, and \s of re. */
export const whiteSpace = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const isSpace = new RegExp(`^[${whiteSpace}]$`)

/** Without the given characters at the chosen ends; without white space where none are given. */
export const strip = (text: string, chars: string | undefined, left: boolean, right: boolean): string => {
  const set = chars === undefined ? undefined : new Set(chars)
  const goes = (char: string) => (set ? set.has(char) : isSpace.test(char))
  let [from, to] = [0, text.length]
  while (left && from < to) {
    const char = String.fromCodePoint(text.codePointAt(from)!)
    if (!goes(char)) break
    from += char.length
  }
  while (right && to > from) {
    const pair = to - from > 1 && /[\ud800-\udbff][\udc00-\udfff]/.test(text.slice(to - 2, to))
    if (!goes(text.slice(pair ? to - 2 : to - 1, to))) break
    to -= pair ? 2 : 1
  }
  return text.slice(from, to)
}

const surrogate = /[\ud800-\udfff]/

/** The characters of a text by index: the text itself, or an array where some characters take two UTF-16 units. */
export const points = (text: string, budget: Budget): string | readonly string[] => {
  if (!surrogate.test(text)) return text
  budget.spend(text.length)
  return [...text]
}

/** The character at an index, counted from the end where it is negative; undefined outside the text. */
export const pointAt = (text: string, place: number, budget: Budget): string | undefined => {
  budget.spend(Math.min(Math.abs(place), text.length) / 16)
  let at = place < 0 ? text.length : 0
  for (let n = place < 0 ? place : -place; n < 0 && at >= 0 && at <= text.length; n++) {
    if (place < 0) at -= at > 1 && isPair(text, at - 2) ? 2 : 1
    else at += isPair(text, at) ? 2 : 1
  }
  const point = at < 0 ? undefined : text.codePointAt(at)
  return point === undefined ? undefined : String.fromCodePoint(point)
}

const isPair = (text: string, at: number): boolean => (text.codePointAt(at) ?? 0) > 0xffff

/** A slice by characters; negative indices count from the end, as in Python. */
export const slicePoints = (text: string, start: number, end: number, budget: Budget): string => {
  const all = points(text, budget)
  const at = (place: number) => Math.min(Math.max(place < 0 ? place + all.length : place, 0), all.length)
  const part = all.slice(at(start), at(end))
  return typeof part === 'string' ? part : part.join('')
}

/** Words between white space, with at most `most` splits from the left or the right; no limit below 0. */
export const splitSpace = (text: string, most: number, right: boolean): string[] => {
  const words = [...text.matchAll(new RegExp(`[^${whiteSpace}]+`, 'g'))]
  if (most < 0 || words.length <= most) return words.map(([word]) => word)
  if (right) {
    const rest = words.length - most
    const end = words[rest - 1]
    return [text.slice(0, end.index + end[0].length), ...words.slice(rest).map(([word]) => word)]
  }
  const heads = words.slice(0, most).map(([word]) => word)
  return [...heads, text.slice(words[most].index)]
}

export const splitAt = (text: string, separator: string, most: number, right: boolean): string[] => {
  const parts = text.split(separator)
  if (most < 0 || parts.length <= most + 1) return parts
  if (right) return [parts.slice(0, parts.length - most).join(separator), ...parts.slice(parts.length - most)]
  return [...parts.slice(0, most), parts.slice(most).join(separator)]
}

const lineEnd = '\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029'
const wholeLines = new RegExp(`[^${lineEnd}]*(?:\\r\\n|[${lineEnd}])|[^${lineEnd}]+$`, 'g')
const endOfLine = new RegExp(`(?:\\r\\n|[${lineEnd}])$`)

/** str.splitlines. */
export const lines = (text: string, keepEnds = false): string[] => {
  const found = text.match(wholeLines) ?? []
  return keepEnds ? found : found.map((line) => line.replace(endOfLine, ''))
}

/** The four letters whose title case is one of its own. */
const titled: Record<string, string> = {}
for (const three of ['\u01c4\u01c5\u01c6', '\u01c7\u01c8\u01c9', '\u01ca\u01cb\u01cc', '\u01f1\u01f2\u01f3'])
  for (const char of three) titled[char] = three[1]

/** A character in title case: of those that become several, only the first is upper. */
const titleChar = (char: string): string => {
  if (Object.hasOwn(titled, char)) return titled[char]
  const [first = '', ...rest] = char.toUpperCase()
  return first + rest.join('').toLowerCase()
}

const firstOf = (text: string): string => (text === '' ? '' : String.fromCodePoint(text.codePointAt(0)!))

export const capitalize = (text: string): string => {
  const first = firstOf(text)
  return titleChar(first) + text.slice(first.length).toLowerCase()
}

/** The first character in upper case, the rest in lower: the filter title does this to its words. */
export const upperFirst = (text: string): string => {
  const first = firstOf(text)
  return first.toUpperCase() + text.slice(first.length).toLowerCase()
}

/** str.title: a letter after none is upper case, all others lower. */
export const titleCase = (text: string): string => text.replace(/\p{Cased}+/gu, (word) => capitalize(word))

export const isUpper = (text: string): boolean => /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text)
export const isLower = (text: string): boolean => /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text)
/** str.istitle: upper case after what has no case, lower case after what has. */
export const isTitle = (text: string): boolean =>
  /\p{Cased}/u.test(text) && !/\p{Cased}[\p{Uppercase}\p{Lt}]|(?<!\p{Cased})\p{Lowercase}/u.test(text)

/** str.expandtabs: how long the result is, and the result. */
export const expandedTabs = (text: string, size: number): { length: number; text: () => string } => {
  const gap = (column: number) => (size > 0 ? size - (column % size) : 0)
  const spans: (string | number)[] = []
  let [column, length] = [0, 0]
  for (const [part] of text.matchAll(/\t|[\r\n]|[^\t\r\n]+/g)) {
    const span = part === '\t' ? gap(column) : part
    column = part === '\n' || part === '\r' ? 0 : column + (typeof span === 'number' ? span : [...span].length)
    length += typeof span === 'number' ? span : span.length
    spans.push(span)
  }
  return { length, text: () => spans.map((span) => (typeof span === 'number' ? ' '.repeat(span) : span)).join('') }
}

/** How often a text occurs in another, from the left, without overlap. */
export const occurrences = (text: string, wanted: string): number => {
  if (wanted === '') return pointLength(text) + 1
  let count = 0
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) count++
  return count
}

/** str.replace with a count, or of all where it is below 0. An empty pattern matches between all characters. */
export const replace = (text: string, from: string, to: string, most: number): string => {
  if (most < 0) return from === '' ? [...text].map((char) => to + char).join('') + to : text.replaceAll(from, () => to)
  if (from === '') {
    const points = [...text]
    const head = points.slice(0, most).map((char) => to + char)
    return head.join('') + (most > points.length ? to : '') + points.slice(most).join('')
  }
  const parts = text.split(from)
  return (
    parts.slice(0, most + 1).join(to) +
    parts
      .slice(most + 1)
      .map((part) => from + part)
      .join('')
  )
}

/** So many spaces, none for a number below 0. */
export const spaces = (count: number, budget: Budget): string => {
  budget.spendText(Math.max(0, count))
  return ' '.repeat(Math.max(0, count))
}
