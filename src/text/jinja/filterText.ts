/** What filters do to texts and numbers. */
import { wellFormed } from '../unicode.ts'
import type { Budget } from './budget.ts'
import { fixed } from './format.ts'
import { capitalize, lines, space, strip } from './pytext.ts'
import type { Value } from './values.ts'
import { fail, float, is, numeric, pointLength, typeName } from './values.ts'

export const spaces = (count: number, budget: Budget): string => {
  budget.made(count)
  return ' '.repeat(Math.max(0, count))
}

export const indented = (
  text: string,
  width: string | number,
  first: boolean,
  blank: boolean,
  budget: Budget,
): string => {
  const step = typeof width === 'string' ? width : spaces(width, budget)
  const found = lines(`${text}\n`)
  budget.made(text.length + found.length * (step.length + 1))
  const body = found.map((line, i) => (i > 0 && (blank || line) ? step + line : line)).join('\n')
  return first ? step + body : body
}

/** Words begin after a hyphen, white space or an opening bracket. */
export const titleWords = (text: string): string =>
  text
    .split(new RegExp(`([-${space}({\\[<]+)`))
    .map(capitalize)
    .join('')

export const truncated = (text: string, size: number, kill: boolean, end: string, leeway: number): string => {
  const points = [...text]
  if (size < pointLength(end)) return fail(`expected length >= ${pointLength(end)}, got ${size}`)
  if (points.length <= size + leeway) return text
  const cut = points.slice(0, size - pointLength(end)).join('')
  const word = cut.lastIndexOf(' ')
  return (kill || word < 0 ? cut : cut.slice(0, word)) + end
}

export const toFloat = (value: Value): Value | undefined => {
  const number = numeric(value) ?? (typeof value === 'string' ? parseFloatText(value) : undefined)
  return number === undefined ? undefined : float(number)
}

const parseFloatText = (text: string): number | undefined => {
  const plain = strip(text, undefined, true, true)
  if (/^[+-]?(?:inf|infinity)$/i.test(plain)) return plain.startsWith('-') ? -Infinity : Infinity
  if (/^[+-]?nan$/i.test(plain)) return Number.NaN
  return /^[+-]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:e[+-]?\d+)?$/i.test(plain)
    ? Number(plain.replaceAll('_', ''))
    : undefined
}

export const toInt = (value: Value, base: number): number | undefined => {
  const whole = typeof value === 'string' ? parseIntText(value, base) : undefined
  const number = whole ?? numeric(value) ?? (typeof value === 'string' ? parseFloatText(value) : undefined)
  return number === undefined || !Number.isFinite(number) ? undefined : Math.trunc(number)
}

const prefixes: Record<number, RegExp> = { 2: /^0b/i, 8: /^0o/i, 16: /^0x/i }
const parseIntText = (text: string, base: number): number | undefined => {
  const found = /^([+-]?)(\w+)$/.exec(strip(text, undefined, true, true))
  const digits = found?.[2]
    .replace(prefixes[base] ?? /^$/, '')
    .replaceAll('_', '')
    .toLowerCase()
  const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'.slice(0, base)
  if (!digits || ![...digits].every((digit) => alphabet.includes(digit))) return undefined
  return Number.parseInt(found![1] + digits, base)
}

export const rounded = (value: Value, precision: number, method: string): Value => {
  const number = numeric(value) ?? fail(`type ${typeName(value)} doesn't define __round__ method`)
  const scale = 10 ** precision
  if (method === 'ceil') return float(Math.ceil(number * scale) / scale)
  if (method === 'floor') return float(Math.floor(number * scale) / scale)
  if (method !== 'common') return fail('method must be common, ceil or floor')
  const result =
    precision >= 0 ? Number(fixed(number, Math.min(precision, 100))) : Number(fixed(number * scale, 0)) / scale
  return is(value, 'float') ? float(result) : result
}

/** Quotes for a URL's path: all but letters, digits and _.-~/ */
export const urlQuoted = (text: string): string =>
  encodeURIComponent(wellFormed(text))
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', '/')
