/**
 * Python's values in a template. None is null, int a number (a bigint beyond 2^53), str a string, list an array; all
 * others are tagged objects. null always means None: "not there" is undefined, or the value `missing` (Jinja2's
 * Undefined).
 */
import { badInput } from '../../util/fault.ts'
import { unmarkText } from './marks.ts'

export type Float = { readonly kind: 'float'; readonly value: number }
export type Tuple = { readonly kind: 'tuple'; readonly items: readonly Value[] }
/** A text that counts as safe HTML: what is added to it is escaped. */
export type Markup = { readonly kind: 'markup'; readonly text: string }
/** Entries by the hash of their key. Of equal keys, the first is kept, as in Python. */
export type Dict = { readonly kind: 'dict'; readonly entries: ReadonlyMap<unknown, readonly [key: Value, item: Value]> }
/** dict.keys(), .values() and .items(): can be read many times, but not by index. */
export type View = { readonly kind: 'view'; readonly type: string; readonly items: readonly Value[] }
export type Range = {
  readonly kind: 'range'
  readonly start: number
  readonly stop: number
  readonly step: number
  readonly items: readonly number[]
}
/** A missing name or attribute: prints as an empty text, is false, and fails with its hint when it is used. */
export type Missing = { readonly kind: 'missing'; readonly hint: string }
export type PyFunction = {
  readonly kind: 'function'
  readonly name: string
  readonly call: (args: Args) => Value
  /** How a macro prints. */
  readonly shown?: string
}
/** A generator or iterator: each item is made when it is asked for, and can be read once. */
export type PyIterator = { readonly kind: 'iterator'; readonly items: IterableIterator<Value> }
/** A namespace, the loop variable, a cycler or joiner. */
export type PyObject = {
  readonly kind: 'object'
  readonly type: string
  get(name: string): Value | undefined
  set?(name: string, value: Value): void
  call?(args: Args): Value
  length?(): number
  shown?(repr: (value: Value) => string): string
}
export type Int = number | bigint
export type Value =
  | null
  | boolean
  | Int
  | string
  | Float
  | Tuple
  | Markup
  | Dict
  | View
  | Range
  | Missing
  | PyFunction
  | PyIterator
  | PyObject
  | readonly Value[]

export type Args = { readonly list: readonly Value[]; readonly named: ReadonlyMap<string, Value> }

export const templateFault = (message: string) => badInput('template', message)
export const fail = (message: string): never => {
  throw templateFault(message)
}

export const float = (value: number): Float => ({ kind: 'float', value })
export const tuple = (items: readonly Value[]): Tuple => ({ kind: 'tuple', items })
export const markup = (text: string): Markup => ({ kind: 'markup', text })
export const missing = (hint: string): Missing => ({ kind: 'missing', hint })
export const iterator = (items: Iterable<Value>): PyIterator => ({
  kind: 'iterator',
  items: items[Symbol.iterator]() as IterableIterator<Value>,
})
export const func = (name: string, call: (args: Args) => Value): PyFunction => ({ kind: 'function', name, call })

type Kinds = {
  float: Float
  tuple: Tuple
  markup: Markup
  dict: Dict
  view: View
  range: Range
  missing: Missing
  function: PyFunction
  iterator: PyIterator
  object: PyObject
}
export const is = <K extends keyof Kinds>(value: Value, kind: K): value is Kinds[K] =>
  typeof value === 'object' && value !== null && (value as { kind?: string }).kind === kind
export const isList = (value: Value): value is readonly Value[] => Array.isArray(value)
export const isDict = (value: Value): value is Dict => is(value, 'dict')
export const isInt = (value: Value): value is Int => typeof value === 'number' || typeof value === 'bigint'

export const dict = (entries: Iterable<readonly [Value, Value]>): Dict => {
  const all = new Map<unknown, readonly [Value, Value]>()
  for (const [key, item] of entries) {
    const hash = hashOf(key)
    all.set(hash, [all.get(hash)?.[0] ?? key, item])
  }
  return { kind: 'dict', entries: all }
}
/** The item at a key, undefined where there is none. */
export const itemAt = (of: Dict, key: Value): Value | undefined => of.entries.get(hashOf(key))?.[1]
export const keysOf = (of: Dict): Value[] => [...of.entries.values()].map(([key]) => key)

/** The same for all equal keys. Fails for values that Python cannot hash. */
export const hashOf = (key: Value): unknown => hashed(key, { parts: 0 })

/** No real template uses keys of more parts. */
const mostParts = 1000

const hashed = (key: Value, count: { parts: number }): unknown => {
  if (++count.parts > mostParts) return fail(`a key of more than ${mostParts} parts`)
  if (typeof key === 'string') return unmarkText(key)
  if (typeof key === 'number' || key === null) return key
  if (typeof key === 'boolean') return Number(key)
  if (is(key, 'float'))
    return Number.isInteger(key.value) && !Number.isSafeInteger(key.value) ? BigInt(key.value) : key.value
  if (is(key, 'markup')) return unmarkText(key.text)
  if (is(key, 'missing')) return undefined
  if (is(key, 'range')) return hashed(tuple(key.items), count)
  if (is(key, 'tuple')) return `\0${key.items.map((item) => partOf(hashed(item, count))).join('\0')}`
  if (isList(key) || isDict(key)) return fail(`unhashable type: '${typeName(key)}'`)
  return key
}
const partOf = (hash: unknown): string =>
  typeof hash === 'string'
    ? JSON.stringify(hash)
    : typeof hash === 'object' && hash
      ? fail('an unhashable key')
      : `${String(hash)}`

const typeNames: Record<string, string> = {
  boolean: 'bool',
  number: 'int',
  bigint: 'int',
  string: 'str',
}
const kindNames: Record<string, string> = { missing: 'Undefined', iterator: 'generator', markup: 'Markup' }
export const typeName = (value: Value): string => {
  if (value === null) return 'NoneType'
  if (isList(value)) return 'list'
  if (typeof value !== 'object') return typeNames[typeof value]
  return is(value, 'object') || is(value, 'view') ? value.type : (kindNames[value.kind] ?? value.kind)
}

/** A value in Jinja2's messages: `dict object`, `None`. */
export const describeType = (value: Value): string => (value === null ? 'None' : `${typeName(value)} object`)

/** The text of a str or of markup. */
export const textIn = (value: Value): string | undefined =>
  typeof value === 'string' ? value : is(value, 'markup') ? value.text : undefined

/** The number behind int, float and bool; undefined for anything else. */
export const numeric = (value: Value): Int | undefined => {
  if (isInt(value)) return value
  if (typeof value === 'boolean') return Number(value)
  return is(value, 'float') ? value.value : undefined
}

/** Lists and tuples, and what has places like them. */
export const sequenceOf = (value: Value): readonly Value[] | undefined =>
  isList(value) ? value : is(value, 'tuple') || is(value, 'range') ? value.items : undefined

export const truthy = (value: Value): boolean => {
  if (typeof value !== 'object' || value === null) return Boolean(value)
  if (is(value, 'float')) return value.value !== 0
  if (is(value, 'missing')) return false
  if (is(value, 'markup')) return value.text !== ''
  if (isDict(value)) return value.entries.size > 0
  if (is(value, 'view')) return value.items.length > 0
  if (is(value, 'object')) return value.length === undefined || value.length() > 0
  return (sequenceOf(value)?.length ?? 1) > 0
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000

/** Code points of a text. */
export const pointLength = (text: string): number => {
  let length = text.length
  for (let at = 1; at < text.length; at++) if (isLow(text.charCodeAt(at)) && isHigh(text.charCodeAt(at - 1))) length--
  return length
}

/** len(), undefined where there is none. */
export const sizeOf = (value: Value): number | undefined => {
  const text = textIn(value)
  if (text !== undefined) return pointLength(text)
  if (isDict(value)) return value.entries.size
  if (is(value, 'missing')) return 0
  if (is(value, 'view')) return value.items.length
  if (is(value, 'object')) return value.length?.()
  return sequenceOf(value)?.length
}

export const lengthOf = (value: Value): number =>
  sizeOf(value) ?? fail(`object of type '${typeName(value)}' has no len()`)

export const asText = (value: Value, what: string): string =>
  textIn(value) ?? fail(`${what} must be str, not ${typeName(value)}`)

/** An integer as an index or count; a bigint becomes the nearest number. */
export const asInt = (value: Value, what: string): number => {
  if (isInt(value)) return Number(value)
  if (is(value, 'missing')) return fail(value.hint)
  return typeof value === 'boolean' ? Number(value) : fail(`${what} must be an integer, not ${typeName(value)}`)
}
