/** float(), int() and round(), with the results and limits of Jinja2's filters of these names. */
import { roundedTo } from './decimals.ts'
import { toWhole } from './format.ts'
import { integers, whole } from './integers.ts'
import { strip } from './pythonText.ts'
import type { Int, Value } from './values.ts'
import { fail, float, is, numeric, textIn, typeName } from './values.ts'

/** float(value); undefined where Python raises ValueError or TypeError. */
export const toFloat = (value: Value): number | undefined => {
  const number = numeric(value)
  if (number !== undefined) {
    if (typeof number === 'bigint' && !Number.isFinite(Number(number))) return fail('int too large to convert to float')
    return Number(number)
  }
  const text = textIn(value)
  return text === undefined ? undefined : parseFloatText(text)
}

const floatForm = /^[+-]?(?:\d(?:_?\d)*(?:\.(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:e[+-]?\d(?:_?\d)*)?$/i

const parseFloatText = (text: string): number | undefined => {
  const plain = strip(text, undefined, true, true)
  if (/^[+-]?(?:inf|infinity)$/i.test(plain)) return plain.startsWith('-') ? -Infinity : Infinity
  if (/^[+-]?nan$/i.test(plain)) return Number.NaN
  return floatForm.test(plain) ? Number(plain.replaceAll('_', '')) : undefined
}

/** The filter int; undefined where its default is used. A text that is no whole number may be a float. */
export const toInt = (value: Value, base: number): Int | undefined => {
  const text = textIn(value)
  if (text === undefined) {
    const number = numeric(value)
    return !is(value, 'float') ? number : Number.isNaN(value.value) ? undefined : toWhole(value.value)
  }
  const found = parseIntText(text, base)
  if (found !== undefined) return found
  const number = parseFloatText(text)
  return number === undefined || !Number.isFinite(number) ? undefined : toWhole(number)
}

const prefixes: Record<string, number> = { '0b': 2, '0o': 8, '0x': 16 }

const parseIntText = (text: string, base: number): Int | undefined => {
  if (base !== 0 && (base < 2 || base > 36)) return undefined
  const found = /^([+-]?)(0[box](?=_?[\da-z]))?_?([\da-z](?:_?[\da-z])*)$/i.exec(strip(text, undefined, true, true))
  if (!found) return undefined
  const [, sign, prefix = '', rest] = found
  const meant = prefixes[prefix.toLowerCase()]
  const isPrefix = meant !== undefined && (base === 0 || base === meant)
  const radix = base === 0 ? (isPrefix ? meant : 10) : base
  const digits = (isPrefix ? rest : prefix + rest).replaceAll('_', '').toLowerCase()
  if (!isPrefix && base === 0 && /^0+[1-9]/.test(digits)) return undefined
  const alphabet = '0123456789abcdefghijklmnopqrstuvwxyz'.slice(0, radix)
  if (digits.length > 4300 || ![...digits].every((digit) => alphabet.includes(digit))) return undefined
  const size = radix === 10 ? whole(digits) : inBase(digits, radix)
  return sign === '-' ? -size : size
}

const inBase = (digits: string, radix: number): Int => {
  let value = 0n
  for (const digit of digits) value = value * BigInt(radix) + BigInt(Number.parseInt(digit, radix))
  return whole(value)
}

export const rounded = (value: Value, precision: number, method: string): Value => {
  if (!['common', 'ceil', 'floor'].includes(method)) return fail('method must be common, ceil or floor')
  const number = numeric(value)
  if (number === undefined)
    return fail(is(value, 'missing') ? value.hint : `type ${typeName(value)} doesn't define __round__ method`)
  if (method === 'common') {
    if (is(value, 'float')) return float(roundedTo(value.value, precision))
    return precision >= 0 ? number : roundedInt(number, -precision)
  }
  const scale = 10 ** precision
  const scaled = Number(number) * scale
  if (!Number.isFinite(scaled)) return fail(`cannot convert float ${scaled} to integer`)
  return float((method === 'ceil' ? Math.ceil(scaled) : Math.floor(scaled)) / scale)
}

/** Rounds an integer to a power of ten, half to even. */
const roundedInt = (value: Int, power: number): Int => {
  const unit = integers('**', 10, power)
  const rest = integers('%', value, unit)
  const low = integers('-', value, rest)
  const twice = integers('*', rest, 2)
  const odd = Number(integers('%', integers('//', low, unit), 2)) === 1
  return twice > unit || (twice === unit && odd) ? integers('+', low, unit) : low
}
