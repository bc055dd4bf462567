/** str(), repr() and json.dumps() of Python's values. */
import type { Budget } from './budget.ts'
import { hasMarks, inParts, unmarkText } from './marks.ts'
import type { Value } from './values.ts'
import { fail, is, isDict, isList, typeName } from './values.ts'

/** Shortest digits as in JavaScript, but a point always, and an exponent from 1e16 on and below 1e-4. */
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
  const text = typeof value === 'string' ? value : is(value, 'missing') ? '' : repr(value, budget)
  budget.made(text.length)
  return text
}

export const repr = (value: Value, budget: Budget): string =>
  budget.deeper(() => {
    budget.spend(1)
    if (value === null) return 'None'
    if (typeof value === 'boolean') return value ? 'True' : 'False'
    if (typeof value === 'number') return String(value)
    if (typeof value === 'string') {
      budget.made(value.length)
      return budget.marked ? quotedMarked(value) : quoted(value)
    }
    if (is(value, 'float')) return floatText(value.value)
    if (is(value, 'missing')) return 'Undefined'
    const all = (items: readonly Value[]) => items.map((item) => repr(item, budget)).join(', ')
    if (isList(value)) return `[${all(value)}]`
    if (is(value, 'tuple')) return `(${all(value.items)}${value.items.length === 1 ? ',' : ''})`
    if (isDict(value))
      return `{${[...value].map(([key, item]) => `${repr(key, budget)}: ${repr(item, budget)}`).join(', ')}}`
    return `<${typeName(value)}>`
  })

const named: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' }

/** Single quotes unless the text has some and no double ones; what does not print is escaped. */
const quoted = (text: string, quote = text.includes("'") && !text.includes('"') ? '"' : "'"): string => {
  const inner = text.replace(/[\\\n\r\t]|(?! )[\p{C}\p{Z}]/gu, (char) => named[char] ?? escaped(char.codePointAt(0)!))
  return quote + (quote === "'" ? inner.replaceAll("'", "\\'") : inner) + quote
}

/** The quotes are the template's, the text between them keeps its marks. */
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
    if (typeof value === 'boolean' || typeof value === 'number') return String(value)
    if (typeof value === 'string') return jsonText(value, options.ascii, budget)
    if (is(value, 'float')) return jsonFloat(value.value)
    if (isList(value) || is(value, 'tuple')) {
      const items = isList(value) ? value : value.items
      return wrapped(
        '[',
        ']',
        items.map((item) => json(item, options, budget, level + 1)),
        options,
        level,
        budget,
      )
    }
    if (!isDict(value)) return fail(`Object of type ${typeName(value)} is not JSON serializable`)
    const entries = [...value].map(([key, item]): [string, Value] => [jsonKey(key), item])
    if (options.sortKeys) entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    const parts = entries.map(
      ([key, item]) => jsonText(key, options.ascii, budget) + options.key + json(item, options, budget, level + 1),
    )
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
  if (indent === undefined) return open + parts.join(item) + close
  budget.made((parts.length + 1) * indent.length * (level + 1))
  const line = `\n${indent.repeat(level + 1)}`
  return `${open}${line}${parts.join(item + line)}\n${indent.repeat(level)}${close}`
}

const jsonText = (text: string, ascii: boolean, budget: Budget): string => {
  budget.made(text.length)
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
  if (typeof key === 'string') return key
  if (key === null) return 'null'
  if (typeof key === 'boolean' || typeof key === 'number') return String(key)
  return fail(`keys must be str, int, float, bool or None, not ${typeName(key)}`)
}
