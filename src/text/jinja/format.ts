/** Formatting: `'%s: %5.1f' % x` and `'{0:>5}'.format(x)`, with Python's flags, widths and types. */
import type { Budget } from './budget.ts'
import { fixed, scientific } from './decimals.ts'
import { intText, whole } from './integers.ts'
import { escapedText, escapeHtml } from './markup.ts'
import { floatText, repr, str } from './print.ts'
import { points } from './pythonText.ts'
import type { Args, Int, Value } from './values.ts'
import {
  asInt,
  asText,
  fail,
  is,
  isDict,
  isInt,
  isList,
  itemAt,
  markup,
  numeric,
  pointLength,
  textIn,
  typeName,
} from './values.ts'

type Spec = {
  fill: string
  align: string
  sign: string
  alternate: boolean
  zero: boolean
  width: number
  comma: string
  precision: number | undefined
  type: string
}

/** Longer patterns are refused, since reading them takes time in the square of their length. */
const longest = 4096
/** More digits than any float has. */
const mostDigits = 1100

/**
 * printf-style formatting: values by position or, from a dict, by name. A pattern that is markup escapes its values.
 */
export const percentFormat = (left: Value, right: Value, budget: Budget): Value => {
  const pattern = asText(left, 'the format')
  if (pattern.length > longest) return fail(`a format longer than ${longest} characters`)
  const escapes = is(left, 'markup')
  const values = is(right, 'tuple') ? right.items : [right]
  let used = 0
  const take = (): Value => (used < values.length ? values[used++] : fail('not enough arguments for format string'))
  let named = false
  const one = (name: string | undefined, flags: string, width: string, precision: string, type: string): string => {
    if (name !== undefined) {
      named = true
      if (!isDict(right)) return fail('format requires a mapping')
    }
    const count = (given: string | undefined) =>
      given === '*' ? asInt(take(), '* in a format') : given === undefined ? undefined : Number(given)
    const [columns = 0, digits] = [count(width), count(precision)]
    if (type === '%') return '%'
    const found = name === undefined ? take() : itemAt(right as never, name)
    if (found === undefined) return fail(`format has no key ${name}`)
    const left = flags.includes('-') || columns < 0
    const zero = flags.includes('0') && !left && !'srac'.includes(type)
    const spec = {
      fill: zero ? '0' : ' ',
      align: left ? '<' : zero ? '=' : '>',
      sign: flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '-',
      alternate: flags.includes('#'),
      zero,
      width: Math.abs(columns),
      comma: '',
      precision: digits,
      type: type === 'i' || type === 'u' ? 'd' : type,
    }
    return percentValue(found, spec, escapes, budget)
  }
  const text = pattern.replace(
    /%(?:\(((?:[^()]|\([^()]*\))*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?([\s\S]|$)/g,
    (_, name, flags, width, precision, type) => one(name, flags, width, precision === '' ? '0' : precision, type),
  )
  const free = isDict(right) || isList(right) || is(right, 'view')
  if (used < values.length && !named && !free) return fail('not all arguments converted during string formatting')
  budget.spendText(text.length)
  return escapes ? markup(text) : text
}

const percentValue = (value: Value, spec: Spec, escapes: boolean, budget: Budget): string => {
  if ('sra'.includes(spec.type) && spec.type !== '') {
    const shown =
      spec.type === 's' ? str(value, budget) : spec.type === 'r' ? repr(value, budget) : ascii(value, budget)
    const safe = !escapes ? shown : spec.type === 's' ? escapedText(value, budget) : escapeHtml(shown, budget)
    return padded(firstPoints(safe, spec.precision, budget), spec, budget)
  }
  if (spec.type === 'c') {
    const text = textIn(value)
    if (text !== undefined && pointLength(text) === 1) return padded(text, spec, budget)
    return padded(isInt(value) ? character(value) : fail('%c requires int or char'), spec, budget)
  }
  const number = numeric(value)
  if (number === undefined)
    return fail(
      is(value, 'missing') ? value.hint : `%${spec.type} format: a number is required, not ${typeName(value)}`,
    )
  if ('dxXo'.includes(spec.type) && spec.type !== '') {
    if (is(value, 'float') && spec.type !== 'd') return fail(`%${spec.type} format: an integer is required, not float`)
    return intNumber(is(value, 'float') ? toWhole(value.value) : number, spec, budget)
  }
  return 'eEfFgG'.includes(spec.type) && spec.type !== ''
    ? floatNumber(Number(number), spec, budget)
    : fail(`unsupported format character '${spec.type}'`)
}

/** int() of a float. */
export const toWhole = (value: number): Int =>
  Number.isFinite(value)
    ? whole(BigInt(Math.trunc(value)))
    : fail(`cannot convert float ${floatText(value)} to integer`)

const ascii = (value: Value, budget: Budget): string =>
  repr(value, budget).replace(/[\u0080-\u{10ffff}]/gu, (char) => {
    const hex = char.codePointAt(0)!.toString(16)
    return hex.length < 3 ? `\\x${hex}` : hex.length < 5 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
  })

const character = (point: Int): string =>
  point >= 0 && point <= 0x10ffff ? String.fromCodePoint(Number(point)) : fail('%c arg not in range(0x110000)')

const firstPoints = (text: string, count: number | undefined, budget: Budget): string => {
  if (count === undefined) return text
  const part = points(text, budget).slice(0, count)
  return typeof part === 'string' ? part : part.join('')
}

/** str.format: {} {0} {name} with .attributes, [items], !r and a format spec, which may hold fields too. */
export const braceFormat = (
  pattern: string,
  args: Args,
  field: (value: Value, path: string) => Value,
  escapes: boolean,
  budget: Budget,
): string => {
  if (pattern.length > longest) return fail(`a format longer than ${longest} characters`)
  let automatic = 0
  let numbering = ''
  const argumentOf = (name: string, path: string): Value => {
    const byPlace = name === '' || /^\d+$/.test(name)
    const kind = name === '' ? 'automatic' : byPlace ? 'manual' : numbering
    if (byPlace && numbering !== '' && numbering !== kind)
      return fail('cannot switch between automatic and manual field numbering')
    numbering = kind
    const found = byPlace ? args.list[name === '' ? automatic++ : Number(name)] : args.named.get(name)
    return found === undefined ? fail(`format has no argument ${name || automatic - 1}`) : field(found, path)
  }
  const one = (name: string, path: string, conversion: string | undefined, spec: string): string => {
    const value = argumentOf(name, path)
    const shown =
      conversion === 'r'
        ? repr(value, budget)
        : conversion === 'a'
          ? ascii(value, budget)
          : conversion
            ? str(value, budget)
            : value
    const filled = spec.replace(/\{([^{}.[!:]*)([^{}!:]*)\}/g, (_, inner, innerPath) =>
      specText(argumentOf(inner, innerPath), '', budget),
    )
    if (escapes && is(shown, 'markup') && filled === '') return shown.text
    const text = specText(shown, filled, budget)
    return escapes ? escapeHtml(text, budget) : text
  }
  const text = pattern.replace(
    /\{\{|\}\}|\{([^{}.[!:]*)((?:\.[^{}.[!:]+|\[[^{}\]]*\])*)(?:!([rsa]))?(?::((?:[^{}]|\{[^{}]*\})*))?\}|[{}]/g,
    (all, name: string | undefined, path: string, conversion: string, spec: string) => {
      if (all === '{{' || all === '}}') return all[0]
      if (name === undefined) return fail(`single '${all}' encountered in format string`)
      return one(name, path, conversion, spec ?? '')
    },
  )
  budget.spendText(text.length)
  return text
}

/** format(value, spec). */
const specText = (value: Value, text: string, budget: Budget): string => {
  if (text === '') return str(value, budget)
  const found = /^(?:([\s\S])?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/u.exec(text)
  if (!found) return fail(`invalid format specifier '${text}'`)
  const [, fill, align, sign = '-', , alternate, zero, width, comma = '', precision, type = ''] = found
  const number = numeric(value)
  const spec: Spec = {
    fill: fill ?? (zero ? '0' : ' '),
    align: align ?? (zero && number !== undefined ? '=' : number === undefined ? '<' : '>'),
    sign,
    alternate: Boolean(alternate),
    zero: Boolean(zero),
    width: Number(width ?? 0),
    comma,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  }
  const unknown = () => fail(`unknown format code '${type}' for an object of type '${typeName(value)}'`)
  if (number !== undefined) {
    if (!is(value, 'float') && (type === '' || 'bcdoxXn'.includes(type)))
      return spec.precision === undefined
        ? intNumber(number, spec, budget)
        : fail('precision not allowed in integer format specifier')
    return type === '' || 'eEfFgGn%'.includes(type) ? floatNumber(Number(number), spec, budget) : unknown()
  }
  const whole = textIn(value)
  if (whole === undefined) return fail(`unsupported format string passed to ${typeName(value)}.__format__`)
  if (type !== '' && type !== 's') return unknown()
  if (found[3] || align === '=' || alternate || comma) return fail(`invalid format specifier '${text}' for str`)
  return padded(firstPoints(whole, spec.precision, budget), spec, budget)
}

const intNumber = (number: Int, spec: Spec, budget: Budget): string => {
  if (spec.type === 'c') return padded(character(number), spec, budget)
  const size = number < 0 ? -number : number
  const digits = intDigits(size, spec)
  const least =
    spec.precision === undefined ? digits : padded(digits, { fill: '0', align: '>', width: spec.precision }, budget)
  const prefix = spec.alternate && 'xXob'.includes(spec.type) && spec.type ? `0${spec.type}` : ''
  return signed(least, prefix, number < 0, spec, 'xXob'.includes(spec.type) && spec.type ? 4 : 3, budget)
}

const intDigits = (size: Int, { type }: Spec): string => {
  if (type === 'x') return size.toString(16)
  if (type === 'X') return size.toString(16).toUpperCase()
  if (type === 'o') return size.toString(8)
  return type === 'b' ? size.toString(2) : intText(size)
}

const floatNumber = (number: number, spec: Spec, budget: Budget): string =>
  signed(floatDigits(Math.abs(number), spec), '', number < 0 || Object.is(number, -0), spec, 3, budget)

/** Sign, prefix, grouped digits, and padding to the width; padding zeros are grouped too. */
const signed = (digits: string, prefix: string, minus: boolean, spec: Spec, group: number, budget: Budget): string => {
  const head = (minus ? '-' : spec.sign === '-' ? '' : spec.sign) + prefix
  const [whole] = digits.split(/(?=[.e%])/, 1)
  const tail = digits.slice(whole.length)
  const inGroups = (text: string) =>
    spec.comma && /^[\da-fA-F]+$/.test(text)
      ? text.replace(new RegExp(`\\B(?=(?:[\\da-fA-F]{${group}})+$)`, 'g'), spec.comma)
      : text
  const room = spec.width - head.length - tail.length
  budget.spendText(Math.max(0, room))
  if (spec.align === '=' && spec.fill === '0' && spec.comma) {
    let places = whole.length
    while (places + Math.floor((places - 1) / group) < room) places++
    return head + inGroups(whole.padStart(places, '0')) + tail
  }
  const grouped = inGroups(whole) + tail
  if (spec.align !== '=') return padded(head + grouped, spec, budget)
  return head + padded(grouped, { fill: spec.fill, align: '>', width: spec.width - head.length }, budget)
}

const floatDigits = (size: number, { type, precision, alternate }: Spec): string => {
  if ((precision ?? 0) > mostDigits) return fail(`a precision above ${mostDigits}`)
  const upper = type !== '' && 'EFG'.includes(type)
  if (!Number.isFinite(size)) {
    const text = floatText(size) + (type === '%' ? '%' : '')
    return upper ? text.toUpperCase() : text
  }
  const point = (text: string) => (alternate && !text.includes('.') ? `${text}.` : text)
  if (type === 'f' || type === 'F') return point(fixed(size, precision ?? 6))
  if (type === '%') return `${point(fixed(size * 100, precision ?? 6))}%`
  if (type === 'e' || type === 'E') return exponential(size, precision ?? 6, upper, alternate)
  if (type === '' && precision === undefined) return floatText(size)
  return general(size, Math.max(1, precision ?? 6), type, alternate)
}

const exponential = (size: number, precision: number, upper: boolean, alternate: boolean): string => {
  const { digits, power } = scientific(size, precision)
  return withPower(digits, power, upper, alternate)
}

const withPower = (digits: string, power: number, upper: boolean, alternate: boolean): string => {
  const point = digits.length > 1 || alternate ? '.' : ''
  const exponent = `${upper ? 'E' : 'e'}${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  return digits[0] + point + digits.slice(1) + exponent
}

/**
 * %g: the shorter of fixed and exponent form, without trailing zeros. Without a type, a float keeps one digit after its
 * point.
 */
const general = (size: number, precision: number, type: string, alternate: boolean): string => {
  const { digits, power } = scientific(size, precision - 1)
  const trim = (text: string) => (alternate || !text.includes('.') ? text : text.replace(/\.?0+$/, ''))
  if (power < -4 || power >= precision - (type === '' ? 1 : 0))
    return withPower(alternate ? digits : digits.replace(/(?<=.)0+$/, ''), power, type === 'G', alternate)
  const text = trim(fixed(size, Math.max(0, precision - 1 - power)))
  return (type === '' || alternate) && !text.includes('.') ? (type === '' ? `${text}.0` : `${text}.`) : text
}

const padded = (
  text: string,
  { fill, align, width }: Pick<Spec, 'fill' | 'align' | 'width'>,
  budget: Budget,
): string => {
  const lacking = width - pointLength(text)
  if (!(lacking > 0)) return text
  budget.spendText(width)
  const left = align === '<' ? 0 : align === '^' ? Math.floor(lacking / 2) : lacking
  return fill.repeat(left) + text + fill.repeat(lacking - left)
}
