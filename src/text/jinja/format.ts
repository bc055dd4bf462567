/** Formatting: `'%s: %5.1f' % x` and `'{0:>5}'.format(x)`, with Python's flags, widths and types. */
import type { Budget } from './budget.ts'
import { floatText, repr, str } from './print.ts'
import type { Args, Dict, Value } from './values.ts'
import { asInt, fail, is, isDict, numeric, pointLength, typeName } from './values.ts'

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

/** Longer patterns are refused: reading them takes time by the square of their length. */
const longest = 4096

/** printf-style: values by place or, from a dict, by name. */
export const percentFormat = (pattern: string, values: readonly Value[] | Dict, budget: Budget): string => {
  if (pattern.length > longest) return fail(`a format longer than ${longest} characters`)
  let used = 0
  const take = (): Value =>
    isDict(values)
      ? fail('format requires a tuple')
      : used < values.length
        ? values[used++]
        : fail('not enough arguments for format string')
  const text = pattern.replace(
    /%(?:\((.*?)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+))?[hlL]?([\s\S])/g,
    (_, name: string | undefined, flags: string, width: string, precision: string, type: string) => {
      if (type === '%') return '%'
      const count = (given: string | undefined) =>
        given === '*' ? asInt(take(), '* in a format') : given === undefined ? undefined : Number(given)
      const [columns, digits] = [count(width) ?? 0, count(precision)]
      const value =
        name === undefined
          ? take()
          : isDict(values)
            ? (values.get(name) ?? fail(`format has no key ${name}`))
            : fail('format requires a mapping')
      const zero = flags.includes('0') && !flags.includes('-')
      const sign = flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '-'
      const align = flags.includes('-') ? '<' : zero && !'srac'.includes(type) ? '=' : '>'
      const spec = {
        fill: align === '=' ? '0' : ' ',
        align,
        sign,
        alternate: flags.includes('#'),
        zero,
        width: columns,
        comma: '',
        precision: digits,
        type: type === 'i' || type === 'u' ? 'd' : type,
      }
      return percentValue(value, spec, budget)
    },
  )
  if (!isDict(values) && used < values.length) return fail('not all arguments converted during string formatting')
  budget.made(text.length)
  return text
}

const percentValue = (value: Value, spec: Spec, budget: Budget): string => {
  if ('sra'.includes(spec.type)) {
    const whole = spec.type === 's' ? str(value, budget) : repr(value, budget)
    return padded(spec.precision === undefined ? whole : [...whole].slice(0, spec.precision).join(''), spec, budget)
  }
  const number = numeric(value)
  if (number === undefined) return fail(`%${spec.type} format: a number is required, not ${typeName(value)}`)
  const whole = 'dxXo'.includes(spec.type)
  return numberText(whole ? Math.trunc(number) : number, spec, !whole, budget)
}

/** str.format: {} {0} {name} with .attributes, [items], !r and a format spec. */
export const braceFormat = (
  pattern: string,
  args: Args,
  field: (value: Value, path: string) => Value,
  budget: Budget,
): string => {
  if (pattern.length > longest) return fail(`a format longer than ${longest} characters`)
  let automatic = 0
  const text = pattern.replace(
    /\{\{|\}\}|\{([^{}.[!:]*)([^{}!:]*)(?:!([rsa]))?(?::([^{}]*))?\}|[{}]/g,
    (all, name: string, path: string, conversion: string, spec: string) => {
      if (all === '{{' || all === '}}') return all[0]
      if (all.length === 1) return fail(`single '${all}' encountered in format string`)
      const key = name === '' ? automatic++ : /^\d+$/.test(name) ? Number(name) : name
      const found = typeof key === 'number' ? args.list[key] : args.named.get(key)
      if (found === undefined) return fail(`format has no argument ${key}`)
      const value = field(found, path)
      const shown = conversion === 'r' ? repr(value, budget) : conversion ? str(value, budget) : value
      return specText(shown, spec ?? '', budget)
    },
  )
  budget.made(text.length)
  return text
}

const specText = (value: Value, text: string, budget: Budget): string => {
  const found = /^(?:([\s\S])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/u.exec(text)
  if (!found) return fail(`invalid format specifier '${text}'`)
  const [, fill, align, sign = '-', alternate, zero, width, comma = '', precision, type = ''] = found
  const number = typeof value === 'boolean' && !type ? undefined : numeric(value)
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
  if (number !== undefined && type !== 's')
    return numberText(number, spec, is(value, 'float') || 'eEfFgG%'.includes(type || '_'), budget)
  const whole = str(value, budget)
  return padded(spec.precision === undefined ? whole : [...whole].slice(0, spec.precision).join(''), spec, budget)
}

const numberText = (number: number, spec: Spec, isFloat: boolean, budget: Budget): string => {
  const size = Math.abs(number)
  const minus = number < 0 || Object.is(number, -0)
  const sign = minus ? '-' : spec.sign === '-' ? '' : spec.sign
  if ((spec.precision ?? 0) > 100) return fail('a precision above 100')
  const digits = isFloat ? floatDigits(size, spec) : intDigits(size, spec)
  const [whole, rest = ''] = digits.split(/(?=[.e%])/, 2)
  const tail = digits.slice(whole.length) || rest
  const grouped = spec.comma ? whole.replace(/\B(?=(\d{3})+$)/g, spec.comma) + tail : digits
  if (spec.align !== '=') return padded(sign + grouped, spec, budget)
  return sign + padded(grouped, { ...spec, align: '>', width: spec.width - sign.length }, budget)
}

const intDigits = (size: number, { type, alternate }: Spec): string => {
  if (type === 'x' || type === 'X') {
    const hex = (alternate ? '0x' : '') + size.toString(16)
    return type === 'X' ? hex.toUpperCase() : hex
  }
  if (type === 'o') return (alternate ? '0o' : '') + size.toString(8)
  if (type === 'b') return (alternate ? '0b' : '') + size.toString(2)
  if (type === 'c') return String.fromCodePoint(Math.min(size, 0x10ffff))
  return String(size)
}

const floatDigits = (size: number, { type, precision }: Spec): string => {
  if (!Number.isFinite(size)) return floatText(size)
  if (type === 'f' || type === 'F') return fixed(size, precision ?? 6)
  if (type === '%') return `${fixed(size * 100, precision ?? 6)}%`
  if (type === 'e' || type === 'E') return exponent(size.toExponential(precision ?? 6), type)
  if (!type && precision === undefined) return floatText(size)
  return general(size, precision === undefined ? 6 : Math.max(1, precision), type)
}

/** toFixed, but an exact tie (one binary digit more than decimal ones) goes to the even digit, as in Python. */
export const fixed = (number: number, precision: number): string => {
  const scaled = number * 10 ** precision
  const tie = precision < 16 && Number.isInteger(number * 2 ** (precision + 1)) && Math.abs(scaled % 1) === 0.5
  return (tie ? (2 * Math.round(scaled / 2)) / 10 ** precision : number).toFixed(precision)
}

const exponent = (text: string, type: string): string => {
  const [digits, power] = text.split('e')
  const shown = `${digits}e${power[0]}${power.slice(1).padStart(2, '0')}`
  return type === 'E' || type === 'G' ? shown.toUpperCase() : shown
}

/** %g: the shorter of fixed and exponent form, without trailing zeros. */
const general = (size: number, precision: number, type: string): string => {
  const text = size.toExponential(precision - 1)
  const power = Number(text.split('e')[1])
  const trim = (digits: string) => (digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits)
  if (power < -4 || power >= precision) return exponent(`${trim(text.split('e')[0])}e${text.split('e')[1]}`, type)
  return trim(fixed(size, Math.max(0, precision - 1 - power)))
}

const padded = (
  text: string,
  { fill, align, width }: Pick<Spec, 'fill' | 'align' | 'width'>,
  budget: Budget,
): string => {
  const missing = width - pointLength(text)
  if (missing <= 0) return text
  budget.made(width)
  const left = align === '<' ? 0 : align === '^' ? Math.floor(missing / 2) : missing
  return fill.repeat(left) + text + fill.repeat(missing - left)
}
