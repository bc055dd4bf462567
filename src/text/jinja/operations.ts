/** Equality, order, membership and iteration by Python's rules, within the budget. */
import type { Budget } from './budget.ts'
import { unmarkText } from './marks.ts'
import type { Value } from './values.ts'
import { fail, hashOf, is, isDict, isList, itemAt, keysOf, numeric, sequenceOf, textIn, typeName } from './values.ts'

/** The true text of a value that is a text, marked or not. */
const read = (value: Value, budget: Budget): string | undefined => {
  const text = textIn(value)
  return text !== undefined && budget.marked ? unmarkText(text) : text
}

/** Reading a text costs by its length. */
const pay = (value: Value, budget: Budget) => budget.spend(1 + (textIn(value)?.length ?? 0) / 16)

export const equal = (a: Value, b: Value, budget: Budget): boolean =>
  budget.deeper(() => {
    pay(a, budget)
    const [x, y] = [numeric(a), numeric(b)]
    // biome-ignore lint/suspicious/noDoubleEquals: an int of either form and a float are compared by their value
    if (x !== undefined || y !== undefined) return x !== undefined && y !== undefined && x == y
    const [s, t] = [read(a, budget), read(b, budget)]
    if (s !== undefined || t !== undefined) return s === t
    if (isDict(a) && isDict(b))
      return (
        a.entries.size === b.entries.size &&
        [...a.entries.values()].every(([key, item]) => {
          const other = itemAt(b, key)
          return other !== undefined && equal(item, other, budget)
        })
      )
    if (is(a, 'view') && is(b, 'view') && a.type !== 'dict_values' && b.type !== 'dict_values')
      return a.items.length === b.items.length && a.items.every((item) => contains(b, item, budget))
    const [p, q] = [sequenceOf(a), sequenceOf(b)]
    if (p && q)
      return typeName(a) === typeName(b) && p.length === q.length && p.every((item, i) => equal(item, q[i], budget))
    return a === b || (is(a, 'missing') && is(b, 'missing'))
  })

/** Negative, 0 or positive, NaN for numbers without an order; fails where Python has no order. */
export const compare = (a: Value, b: Value, budget: Budget, operator = '<'): number =>
  budget.deeper(() => {
    pay(a, budget)
    const [x, y] = [numeric(a), numeric(b)]
    // biome-ignore lint/suspicious/noDoubleEquals: an int of either form and a float are compared by their value
    if (x !== undefined && y !== undefined) return x < y ? -1 : x > y ? 1 : x == y ? 0 : Number.NaN
    const [s, t] = [read(a, budget), read(b, budget)]
    if (s !== undefined && t !== undefined) return comparePoints(s, t)
    const [p, q] = [sequenceOf(a), sequenceOf(b)]
    if (!p || !q || typeName(a) !== typeName(b) || is(a, 'range')) return noOrder(a, b, operator)
    for (let i = 0; i < p.length && i < q.length; i++)
      if (!equal(p[i], q[i], budget)) return compare(p[i], q[i], budget, operator)
    return p.length - q.length
  })

const noOrder = (a: Value, b: Value, operator: string): never => {
  for (const value of [a, b]) if (is(value, 'missing')) fail(value.hint)
  return fail(`'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`)
}

const comparePoints = (a: string, b: string): number => {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  if (at > 0 && /[\udc00-\udfff]/.test(a[at] ?? b[at] ?? '')) at--
  return (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1)
}

export const comparison = (operator: string, left: Value, right: Value, budget: Budget): boolean => {
  if (operator === '==') return equal(left, right, budget)
  if (operator === '!=') return !equal(left, right, budget)
  if (operator === 'in') return contains(right, left, budget)
  if (operator === 'not in') return !contains(right, left, budget)
  const order = compare(left, right, budget, operator)
  if (operator === '<') return order < 0
  if (operator === '<=') return order <= 0
  return operator === '>' ? order > 0 : order >= 0
}

export const contains = (holder: Value, wanted: Value, budget: Budget): boolean => {
  pay(holder, budget)
  const text = read(holder, budget)
  if (text !== undefined)
    return text.includes(
      read(wanted, budget) ?? fail(`'in <string>' requires string as left operand, not ${typeName(wanted)}`),
    )
  if (isDict(holder)) return holder.entries.has(hashOf(wanted))
  if (is(holder, 'iterator')) {
    for (const item of holder.items) if (equal(item, wanted, budget)) return true
    return false
  }
  return itemsOf(holder, budget).some((item) => equal(item, wanted, budget))
}

/** The items that a for loop goes through; undefined for what cannot be iterated. An iterator is used up. */
export const iterable = (value: Value): Iterable<Value> | undefined => {
  const text = textIn(value)
  if (text !== undefined) return text
  if (isDict(value)) return keysOf(value)
  if (is(value, 'missing')) return []
  if (is(value, 'view') || is(value, 'iterator')) return value.items
  return sequenceOf(value)
}

/** All items that a for loop goes through, each paid for. */
export const itemsOf = (value: Value, budget: Budget): readonly Value[] => {
  if (is(value, 'iterator')) {
    const items: Value[] = []
    for (const item of value.items) {
      budget.spend(1)
      items.push(item)
    }
    return items
  }
  const text = textIn(value)
  budget.spend(1 + (text?.length ?? (isDict(value) ? value.entries.size : (sequenceOf(value)?.length ?? 0))))
  const items = iterable(value) ?? fail(`'${typeName(value)}' object is not iterable`)
  return isList(value) ? value : Array.isArray(items) ? items : [...items]
}
