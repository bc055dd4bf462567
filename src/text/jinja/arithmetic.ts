/** Python's + - * / // % ** on numbers, texts and lists; int stays int, and what leaves 2^53 is refused. */
import type { Budget } from './budget.ts'
import { percentFormat } from './format.ts'
import { hasMarks, markText, unmarkText } from './marks.ts'
import type { Value } from './values.ts'
import { fail, float, is, isDict, isList, numeric, sequenceOf, tuple, typeName } from './values.ts'

export const arithmetic = (operator: string, left: Value, right: Value, budget: Budget): Value => {
  if (is(left, 'missing')) return fail(left.hint)
  if (is(right, 'missing') && !(operator === '%' && typeof left === 'string')) return fail(right.hint)
  if (operator === '+') return add(left, right, budget)
  if (operator === '*' && (isRepeatable(left) || isRepeatable(right))) return repeat(left, right, budget)
  if (operator === '%' && typeof left === 'string' && budget.marked && hasMarks(left))
    return markText(unmarkText(String(arithmetic('%', unmarkText(left), right, budget))))
  if (operator === '%' && typeof left === 'string')
    return percentFormat(left, isDict(right) ? right : is(right, 'tuple') ? right.items : [right], budget)
  const [x, y] = [numeric(left), numeric(right)]
  if (x === undefined || y === undefined) return unsupported(operator, left, right)
  return calculate(operator, x, y, is(left, 'float') || is(right, 'float'))
}

const unsupported = (operator: string, left: Value, right: Value) =>
  fail(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`)

const add = (left: Value, right: Value, budget: Budget): Value => {
  if (typeof left === 'string') {
    if (typeof right !== 'string') return fail(`can only concatenate str (not "${typeName(right)}") to str`)
    budget.made(left.length + right.length)
    return left + right
  }
  const [a, b] = [sequenceOf(left), sequenceOf(right)]
  if (a && b && isList(left) === isList(right)) {
    budget.made((a.length + b.length) * 8)
    return isList(left) ? [...a, ...b] : tuple([...a, ...b])
  }
  const [x, y] = [numeric(left), numeric(right)]
  return x === undefined || y === undefined
    ? unsupported('+', left, right)
    : calculate('+', x, y, is(left, 'float') || is(right, 'float'))
}

const isRepeatable = (value: Value): boolean => typeof value === 'string' || sequenceOf(value) !== undefined

const repeat = (left: Value, right: Value, budget: Budget): Value => {
  const [what, times] = isRepeatable(left) ? [left, right] : [right, left]
  const count = typeof times === 'boolean' ? Number(times) : times
  if (typeof count !== 'number') return fail(`can't multiply sequence by non-int of type '${typeName(times)}'`)
  const n = Math.max(0, count)
  if (typeof what === 'string') {
    budget.made(what.length * n)
    return what.repeat(n)
  }
  const items = sequenceOf(what)!
  budget.made(items.length * n * 8)
  const many = Array.from({ length: n }, () => items).flat()
  return isList(what) ? many : tuple(many)
}

const calculate = (operator: string, x: number, y: number, isFloat: boolean): Value => {
  if (y === 0 && ['/', '//', '%'].includes(operator)) return fail('division by zero')
  if (operator === '/') return float(x / y)
  if (operator === '**') return isFloat || y < 0 ? float(x ** y) : integer(x ** y)
  const result = { '+': x + y, '-': x - y, '*': x * y, '//': Math.floor(x / y), '%': x - y * Math.floor(x / y) }[
    operator
  ]!
  return isFloat ? float(result) : integer(result)
}

const integer = (value: number): number =>
  Number.isSafeInteger(value) ? (value === 0 ? 0 : value) : fail('a whole number of the chat template is beyond 2^53')
