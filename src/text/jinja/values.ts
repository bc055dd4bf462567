/**
 * Python's values as a template sees them. None is null, int a number, str a string, list an array, dict a Map; what
 * JavaScript has no word for is a tagged object. Truth, equality, order and iteration are Python's.
 */
import { badInput } from '../../util/fault.ts'
import type { Budget } from './budget.ts'
import { unmarkText } from './marks.ts'

export type Float = { readonly kind: 'float'; readonly value: number }
export type Tuple = { readonly kind: 'tuple'; readonly items: readonly Value[] }
/** A missing name or attribute: prints as nothing, is false, and complains with its hint when used. */
export type Missing = { readonly kind: 'missing'; readonly hint: string }
export type Func = { readonly kind: 'function'; readonly name: string; readonly call: (args: Args) => Value }
/** A generator or iterator: each item once. */
export type Iterator = { readonly kind: 'iterator'; readonly items: readonly Value[]; next: number }
/** A namespace, the loop variable, a cycler or joiner. */
export type Thing = {
  readonly kind: 'object'
  readonly type: string
  get(name: string): Value | undefined
  set?(name: string, value: Value): void
  call?(args: Args): Value
}
export type Dict = Map<Value, Value>
export type Value =
  | null
  | boolean
  | number
  | string
  | Float
  | Tuple
  | Missing
  | Func
  | Iterator
  | Thing
  | Dict
  | readonly Value[]

export type Args = { readonly list: readonly Value[]; readonly named: ReadonlyMap<string, Value> }

export const templateFault = (message: string) => badInput('template', message)
export const fail = (message: string): never => {
  throw templateFault(message)
}

export const float = (value: number): Float => ({ kind: 'float', value })
export const tuple = (items: readonly Value[]): Tuple => ({ kind: 'tuple', items })
export const missing = (hint: string): Missing => ({ kind: 'missing', hint })
export const iterator = (items: readonly Value[]): Iterator => ({ kind: 'iterator', items, next: 0 })
export const func = (name: string, call: (args: Args) => Value): Func => ({ kind: 'function', name, call })

export const kindOf = (value: Value): string => {
  if (value === null) return 'none'
  if (Array.isArray(value)) return 'list'
  if (value instanceof Map) return 'dict'
  return typeof value === 'object' ? (value as { kind: string }).kind : typeof value
}

type Kinds = { float: Float; tuple: Tuple; missing: Missing; function: Func; iterator: Iterator; object: Thing }
export const is = <K extends keyof Kinds>(value: Value, kind: K): value is Kinds[K] =>
  typeof value === 'object' && value !== null && (value as { kind?: string }).kind === kind
export const isList = (value: Value): value is readonly Value[] => Array.isArray(value)
export const isDict = (value: Value): value is Dict => value instanceof Map

/** Data of the caller: whole numbers are int, others float, objects dict. */
export const fromData = (data: unknown, depth = 0): Value => {
  if (depth > 200) return fail('the data nests deeper than 200')
  if (data === null || data === undefined) return null
  if (typeof data === 'string' || typeof data === 'boolean') return data
  if (typeof data === 'number') return Number.isInteger(data) ? data : float(data)
  if (typeof data === 'bigint') return Number(data)
  if (Array.isArray(data)) return data.map((item) => fromData(item, depth + 1))
  if (typeof data === 'object')
    return new Map(Object.entries(data).map(([key, item]) => [key, fromData(item, depth + 1)]))
  return `<${typeof data}>`
}

const typeNames: Record<string, string> = {
  none: 'None',
  boolean: 'bool',
  number: 'int',
  string: 'str',
  missing: 'Undefined',
  iterator: 'generator',
}
export const typeName = (value: Value): string =>
  is(value, 'object') ? value.type : (typeNames[kindOf(value)] ?? kindOf(value))

/** As Jinja's messages call a value: `dict object`, `None`. */
export const describe = (value: Value): string => (value === null ? 'None' : `${typeName(value)} object`)

export const truthy = (value: Value): boolean => {
  if (is(value, 'float')) return value.value !== 0
  if (is(value, 'tuple')) return value.items.length > 0
  if (is(value, 'missing')) return false
  if (isList(value)) return value.length > 0
  if (isDict(value)) return value.size > 0
  return Boolean(value)
}

/** The number behind int, float and bool; undefined for anything else. */
export const numeric = (value: Value): number | undefined => {
  if (typeof value === 'number') return value
  if (typeof value === 'boolean') return Number(value)
  return is(value, 'float') ? value.value : undefined
}

export const sequenceOf = (value: Value): readonly Value[] | undefined =>
  isList(value) ? value : is(value, 'tuple') ? value.items : undefined

/** Reading a text costs by its length. */
const pay = (value: Value, budget: Budget) => budget.spend(typeof value === 'string' ? 1 + value.length / 16 : 1)

export const equal = (a: Value, b: Value, budget: Budget): boolean => {
  pay(a, budget)
  const [x, y] = [numeric(a), numeric(b)]
  if (x !== undefined || y !== undefined) return x === y
  if (isDict(a) && isDict(b))
    return a.size === b.size && [...a].every(([key, item]) => b.has(key) && equal(item, b.get(key)!, budget))
  const [p, q] = [sequenceOf(a), sequenceOf(b)]
  if (p && q) return isList(a) === isList(b) && p.length === q.length && p.every((item, i) => equal(item, q[i], budget))
  if (budget.marked && typeof a === 'string' && typeof b === 'string') return unmarkText(a) === unmarkText(b)
  return a === b || (is(a, 'missing') && is(b, 'missing'))
}

/** Below 0, 0 or above; fails where Python has no order. */
export const compare = (a: Value, b: Value, budget: Budget): number => {
  pay(a, budget)
  const [x, y] = [numeric(a), numeric(b)]
  if (x !== undefined && y !== undefined) return x < y ? -1 : x > y ? 1 : 0
  if (typeof a === 'string' && typeof b === 'string') return comparePoints(unmarkText(a), unmarkText(b))
  const [p, q] = [sequenceOf(a), sequenceOf(b)]
  if (!p || !q || isList(a) !== isList(b))
    return fail(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`)
  for (let i = 0; i < p.length && i < q.length; i++) if (!equal(p[i], q[i], budget)) return compare(p[i], q[i], budget)
  return p.length - q.length
}

const comparePoints = (a: string, b: string): number => {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  if (at > 0 && /[\udc00-\udfff]/.test(a[at] ?? b[at] ?? '')) at--
  return (a.codePointAt(at) ?? -1) - (b.codePointAt(at) ?? -1)
}

/** The items that a for loop sees, paid for; an iterator gives its rest, once. */
export const itemsOf = (value: Value, budget: Budget): readonly Value[] => {
  budget.spend(typeof value === 'string' ? value.length : isDict(value) ? value.size : 1)
  if (isList(value)) return value
  if (is(value, 'tuple')) return value.items
  if (typeof value === 'string') return [...value]
  if (isDict(value)) return [...value.keys()]
  if (is(value, 'missing')) return []
  if (!is(value, 'iterator')) return fail(`'${typeName(value)}' object is not iterable`)
  const rest = value.items.slice(value.next)
  value.next = value.items.length
  return rest
}

export const isIterable = (value: Value): boolean =>
  typeof value === 'string' ||
  isList(value) ||
  isDict(value) ||
  is(value, 'tuple') ||
  is(value, 'missing') ||
  is(value, 'iterator')

/** Code points of a text. */
export const pointLength = (text: string): number => {
  let length = text.length
  for (const _ of text.matchAll(/[\ud800-\udbff][\udc00-\udfff]/g)) length--
  return length
}

/** len(). */
export const lengthOf = (value: Value): number => {
  if (typeof value === 'string') return pointLength(value)
  if (isDict(value)) return value.size
  if (is(value, 'missing')) return 0
  return sequenceOf(value)?.length ?? fail(`object of type '${typeName(value)}' has no len()`)
}

export const contains = (holder: Value, wanted: Value, budget: Budget): boolean => {
  pay(holder, budget)
  if (typeof holder === 'string')
    return typeof wanted === 'string'
      ? budget.marked
        ? unmarkText(holder).includes(unmarkText(wanted))
        : holder.includes(wanted)
      : fail(`'in <string>' requires string as left operand, not ${typeName(wanted)}`)
  if (isDict(holder)) return holder.has(keyOf(typeof wanted === 'string' ? unmarkText(wanted) : wanted))
  return itemsOf(holder, budget).some((item) => equal(item, wanted, budget))
}

/** A dict key: numbers that are equal are one key. */
export const keyOf = (value: Value): Value => {
  if (is(value, 'float')) return value.value
  if (isList(value) || isDict(value)) return fail(`unhashable type: '${typeName(value)}'`)
  return value
}

export const asText = (value: Value, what: string): string =>
  typeof value === 'string' ? value : fail(`${what} must be str, not ${typeName(value)}`)

export const asInt = (value: Value, what: string): number => {
  if (typeof value === 'number') return value
  return typeof value === 'boolean' ? Number(value) : fail(`${what} must be an integer, not ${typeName(value)}`)
}
