/** str(), repr() and json.dumps() of Python's values. */
import type { Budget } from './budget.ts'
import { intText } from './integers.ts'
import { hasMarks, inParts, unmarkText } from './marks.ts'
import { compare } from './operations.ts'
import type { Value } from './values.ts'
import { fail, is, isDict, isInt, isList, textIn, tuple, typeName } from './values.ts'

/** Shortest digits as in JavaScript, but always with a point, and with an exponent from 1e16 on and below 1e-4. */
export const floatText = (value: number): string => {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  const size = Math.abs(value)
  if (size !== 0 && (size >= 1e16 || size < 1e-4)) {
    const [digits, exponent] = value.toExponential().split('e')
    return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, '0')}`
  }
  const text = Object.is(value, -0) ? '-0' : String(value)
  return text.includes('.') ? text : `${text}.0`
}

/** What a value prints as. */
export const str = (value: Value, budget: Budget): string => {
  const text = textIn(value) ?? (is(value, 'missing') ? '' : repr(value, budget))
  budget.spendText(text.length)
  return text
}

export const repr = (value: Value, budget: Budget): string =>
  budget.deeper(() => {
    budget.spend(1)
    const text = represented(value, budget)
    budget.spendText(text.length)
    return text
  })

const represented = (value: Value, budget: Budget): string => {
  if (value === null) return 'None'
  if (typeof value === 'boolean') return value ? 'True' : 'False'
  if (isInt(value)) return intText(value)
  const text = textIn(value)
  if (text !== undefined) {
    budget.spend(text.length / 2)
    const shown = budget.marked ? quotedMarked(text) : quoted(text)
    return typeof value === 'string' ? shown : `Markup(${shown})`
  }
  if (is(value, 'float')) return floatText(value.value)
  if (is(value, 'missing')) return 'Undefined'
  if (isList(value)) return `[${all(value, budget)}]`
  if (is(value, 'tuple')) return `(${all(value.items, budget)}${value.items.length === 1 ? ',' : ''})`
  if (is(value, 'view')) return `${value.type}([${all(value.items, budget)}])`
  if (is(value, 'range')) return `range(${value.start}, ${value.stop}${value.step === 1 ? '' : `, ${value.step}`})`
  if (isDict(value))
    return `{${listed(
      [...value.entries.values()].map(([key, item]) => `${repr(key, budget)}: ${repr(item, budget)}`),
      ', ',
      budget,
    )}}`
  if (is(value, 'function') && value.shown !== undefined) return value.shown
  if (is(value, 'object') && value.shown) return value.shown((inner) => repr(inner, budget))
  return `<${typeName(value)}>`
}

const all = (items: readonly Value[], budget: Budget): string =>
  listed(
    items.map((item) => repr(item, budget)),
    ', ',
    budget,
  )

/** Parts with a separator between them, paid for before they are joined. */
export const listed = (parts: readonly string[], separator: string, budget: Budget): string => {
  let length = separator.length * Math.max(0, parts.length - 1)
  for (const part of parts) length += part.length
  budget.spendText(length)
  return parts.join(separator)
}

const named: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' }

/**
 * In single quotes, or in double quotes where the text contains only single ones; unprintable characters are escaped.
 */
const quoted = (text: string, quote = text.includes("'") && !text.includes('"') ? '"' : "'"): string => {
  const inner = text.replace(/[\\\n\r\t]|(?! )[\p{C}\p{Z}]/gu, (char) => named[char] ?? escaped(char.codePointAt(0)!))
  return quote + (quote === "'" ? inner.replaceAll("'", "\\'") : inner) + quote
}

/** The quotes are not marked; the text between them keeps its marks. */
const quotedMarked = (text: string): string => {
  const quote = quoted(unmarkText(text))[0]
  return quote + inParts(text, (part) => quoted(part, quote).slice(1, -1)) + quote
}

const escaped = (point: number): string => {
  const hex = point.toString(16)
  if (point < 0x100) return `\\x${hex.padStart(2, '0')}`
  return point < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}

export type JsonOptions = { ascii: boolean; indent: string | undefined; item: string; key: string; sortKeys: boolean }

/** json.dumps: a space after commas and colons, or lines where there is an indent. */
export const json = (value: Value, options: JsonOptions, budget: Budget, level = 0): string =>
  budget.deeper(() => {
    budget.spend(1)
    if (value === null) return 'null'
    if (typeof value === 'boolean') return String(value)
    if (isInt(value)) return intText(value)
    const text = textIn(value)
    if (text !== undefined) return jsonText(text, options.ascii, budget)
    if (is(value, 'float')) return jsonFloat(value.value)
    if (isList(value) || is(value, 'tuple')) {
      const items = isList(value) ? value : value.items
      const parts = items.map((item) => json(item, options, budget, level + 1))
      return wrapped('[', ']', parts, options, level, budget)
    }
    if (!isDict(value)) return fail(`Object of type ${typeName(value)} is not JSON serializable`)
    const entries = [...value.entries.values()]
    if (options.sortKeys) entries.sort((a, b) => compare(tuple(a), tuple(b), budget))
    const parts = entries.map(([key, item]) => {
      budget.spendText(options.key.length)
      return jsonText(jsonKey(key), options.ascii, budget) + options.key + json(item, options, budget, level + 1)
    })
    return wrapped('{', '}', parts, options, level, budget)
  })

const wrapped = (
  open: string,
  close: string,
  parts: string[],
  { indent, item }: JsonOptions,
  level: number,
  budget: Budget,
): string => {
  if (!parts.length) return open + close
  if (indent === undefined) return open + listed(parts, item, budget) + close
  budget.spendText(indent.length * (level + 1))
  const line = `\n${indent.repeat(level + 1)}`
  return `${open}${line}${listed(parts, item + line, budget)}\n${indent.repeat(level)}${close}`
}

const jsonText = (text: string, ascii: boolean, budget: Budget): string => {
  budget.spendText(text.length * (ascii ? 6 : 1))
  if (budget.marked && hasMarks(text)) return `"${inParts(text, (part) => jsonQuoted(part, ascii).slice(1, -1))}"`
  return jsonQuoted(text, ascii)
}

const jsonQuoted = (text: string, ascii: boolean): string => {
  const plain = JSON.stringify(text)
  return ascii
    ? plain.replace(/[\x7f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
    : plain
}

const jsonFloat = (value: number): string => {
  if (Number.isNaN(value)) return 'NaN'
  return Number.isFinite(value) ? floatText(value) : value > 0 ? 'Infinity' : '-Infinity'
}

const jsonKey = (key: Value): string => {
  const text = textIn(key)
  if (text !== undefined) return text
  if (key === null) return 'null'
  if (typeof key === 'boolean') return String(key)
  if (isInt(key)) return intText(key)
  return is(key, 'float')
    ? jsonFloat(key.value)
    : fail(`keys must be str, int, float, bool or None, not ${typeName(key)}`)
}
