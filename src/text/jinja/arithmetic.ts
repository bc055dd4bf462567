/** Python's + - * / // % ** on numbers, texts and lists. Integers have any size. */
import type { Budget } from './budget.ts'
import { percentFormat } from './format.ts'
import { floatDivision, integers } from './integers.ts'
import { hasMarks, markText, unmarkText } from './marks.ts'
import { escapedText } from './markup.ts'
import type { Int, Value } from './values.ts'
import {
  asInt,
  fail,
  float,
  is,
  isInt,
  isList,
  markup,
  numeric,
  sequenceOf,
  textIn,
  tuple,
  typeName,
} from './values.ts'

export const arithmetic = (operator: string, left: Value, right: Value, budget: Budget): Value => {
  if (is(left, 'missing')) return fail(left.hint)
  const text = textIn(left)
  if (operator === '%' && text !== undefined && budget.marked && hasMarks(text)) {
    const made = textIn(percentFormat(is(left, 'markup') ? markup(unmarkText(text)) : unmarkText(text), right, budget))
    return markText(unmarkText(made ?? ''))
  }
  if (operator === '%' && text !== undefined) return percentFormat(left, right, budget)
  if (is(right, 'missing')) return fail(right.hint)
  if (operator === '+') {
    const joined = add(left, right, budget)
    if (joined !== undefined) return joined
  }
  if (operator === '*' && (isRepeatable(left) || isRepeatable(right))) return repeat(left, right, budget)
  const [x, y] = [numeric(left), numeric(right)]
  if (x === undefined || y === undefined)
    return fail(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`)
  return is(left, 'float') || is(right, 'float')
    ? float(floats(operator, asFloat(x), asFloat(y)))
    : ints(operator, x, y)
}

/** Of two texts, lists or tuples; undefined for anything else. */
const add = (left: Value, right: Value, budget: Budget): Value | undefined => {
  const [s, t] = [textIn(left), textIn(right)]
  if (s !== undefined) {
    if (t === undefined) return fail(`can only concatenate str (not "${typeName(right)}") to str`)
    if (is(left, 'markup') || is(right, 'markup')) {
      const [a, b] = [escapedText(left, budget), escapedText(right, budget)]
      budget.spendText(a.length + b.length)
      return markup(a + b)
    }
    budget.spendText(s.length + t.length)
    return s + t
  }
  if (is(left, 'range') || is(right, 'range')) return undefined
  const [a, b] = [sequenceOf(left), sequenceOf(right)]
  if (!a || !b || isList(left) !== isList(right)) return undefined
  budget.spendText((a.length + b.length) * 8)
  return isList(left) ? [...a, ...b] : tuple([...a, ...b])
}

const isRepeatable = (value: Value): boolean => textIn(value) !== undefined || isList(value) || is(value, 'tuple')

const repeat = (left: Value, right: Value, budget: Budget): Value => {
  const [what, times] = isRepeatable(left) ? [left, right] : [right, left]
  if (!isInt(times) && typeof times !== 'boolean')
    return fail(`can't multiply sequence by non-int of type '${typeName(times)}'`)
  const count = Math.max(0, asInt(times, 'the count'))
  const text = textIn(what)
  if (text !== undefined) {
    budget.spendText(text.length * count)
    const many = text === '' ? '' : text.repeat(count)
    return is(what, 'markup') ? markup(many) : many
  }
  const items = sequenceOf(what)!
  budget.spendText(items.length * count * 8)
  const many: Value[] = []
  if (items.length) for (let i = 0; i < count; i++) for (const item of items) many.push(item)
  return isList(what) ? many : tuple(many)
}

const asFloat = (value: Int): number => {
  const number = Number(value)
  return typeof value === 'bigint' && !Number.isFinite(number) ? fail('int too large to convert to float') : number
}

const ints = (operator: string, x: Int, y: Int): Value => {
  const byZero = Number(y) === 0
  if (operator === '/') {
    if (byZero) return fail('division by zero')
    return float(asFloat(x) / asFloat(y))
  }
  if (operator === '**' && Number(y) < 0) return float(floats('**', asFloat(x), asFloat(y)))
  if (byZero && (operator === '//' || operator === '%')) return fail('integer division or modulo by zero')
  return integers(operator as '+', x, y)
}

const floats = (operator: string, x: number, y: number): number => {
  if (operator === '+') return x + y
  if (operator === '-') return x - y
  if (operator === '*') return x * y
  if (operator === '**') return power(x, y)
  if (y === 0) return fail('float division by zero')
  if (operator === '/') return x / y
  const { quotient, rest } = floatDivision(x, y)
  return operator === '//' ? quotient : rest
}

const power = (x: number, y: number): number => {
  if (x === 1 || y === 0) return 1
  if (x === 0 && y < 0) return fail('0.0 cannot be raised to a negative power')
  if (x < 0 && Number.isFinite(x) && Number.isFinite(y) && !Number.isInteger(y))
    return fail('a root of a negative number is complex')
  const result = x ** y
  return Number.isFinite(x) && Number.isFinite(y) && !Number.isFinite(result)
    ? fail('Numerical result out of range')
    : result
}
