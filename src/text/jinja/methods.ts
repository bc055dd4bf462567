/** Attributes and methods of Python's values that a template may read and call. */
import { bind, placed } from './arguments.ts'
import type { Budget, Context } from './budget.ts'
import { bitLength } from './integers.ts'
import { equal, itemsOf } from './operations.ts'
import { type FindField, textMethod } from './textMethods.ts'
import type { Args, Dict, Value } from './values.ts'
import {
  asInt,
  dict,
  fail,
  float,
  func,
  is,
  isDict,
  isInt,
  isList,
  itemAt,
  keysOf,
  missing,
  numeric,
  sequenceOf,
  textIn,
  tuple,
  typeName,
} from './values.ts'

/** The method or attribute of a value by name; undefined where there is none. */
export const methodOf = (of: Value, name: string, context: Context, findField: FindField): Value | undefined => {
  if (is(of, 'object')) return of.get(name)
  if (is(of, 'tuple') && (name === 'grouper' || name === 'list') && grouped.has(of))
    return of.items[name === 'list' ? 1 : 0]
  const mutable = isDict(of) ? dictMutators : isList(of) ? listMutators : []
  if (mutable.includes(name)) return missing(`access to attribute '${name}' of '${typeName(of)}' object is unsafe.`)
  if (textIn(of) !== undefined) return textMethod(of, name, context, findField)
  if (isDict(of)) return own(dictMethods, name, (method) => func(name, (args) => method(of, args, context.budget)))
  if (numeric(of) !== undefined) return own(numberAttributes, name, (read) => read(of))
  if (is(of, 'range') && (name === 'start' || name === 'stop' || name === 'step')) return of[name]
  if (is(of, 'function') && name === 'name') return of.name
  const items = sequenceOf(of)
  if (items === undefined || (name === 'copy' && !isList(of))) return undefined
  return own(sequenceMethods, name, (method) => func(name, (args) => method(items, args, context.budget)))
}

/** Groups of the filter groupby, whose two items also have names. */
const grouped = new WeakSet<object>()
export const group = (key: Value, items: readonly Value[]): Value => {
  const pair = tuple([key, items])
  grouped.add(pair)
  return pair
}

const own = <M>(table: Record<string, M>, name: string, use: (method: M) => Value): Value | undefined =>
  Object.hasOwn(table, name) ? use(table[name]) : undefined

const dictMutators = ['clear', 'pop', 'popitem', 'setdefault', 'update']
const listMutators = ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove']

const plain = (name: string, args: Args): void => {
  bind(name, args, [])
}

const dictMethods: Record<string, (of: Dict, args: Args, budget: Budget) => Value> = {
  keys: (of, args) => {
    plain('keys', args)
    return { kind: 'view', type: 'dict_keys', items: keysOf(of) }
  },
  values: (of, args) => {
    plain('values', args)
    return { kind: 'view', type: 'dict_values', items: [...of.entries.values()].map(([, item]) => item) }
  },
  items: (of, args) => {
    plain('items', args)
    return { kind: 'view', type: 'dict_items', items: [...of.entries.values()].map(tuple) }
  },
  get: (of, args) => {
    const [key, fallback = null] = placed('get', args, 1, 2)
    const item = itemAt(of, key)
    return item === undefined ? fallback : item
  },
  copy: (of, args) => {
    plain('copy', args)
    return of
  },
  fromkeys: (_, args, budget) => {
    const [keys, item = null] = placed('fromkeys', args, 1, 2)
    return dict(itemsOf(keys, budget).map((key) => [key, item]))
  },
}

const sequenceMethods: Record<string, (items: readonly Value[], args: Args, budget: Budget) => Value> = {
  index: (items, args, budget) => {
    const [wanted, start = 0, end = items.length] = placed('index', args, 1, 3)
    const place = (value: Value) => {
      const at = asInt(value, 'a place')
      return Math.max(0, at < 0 ? at + items.length : at)
    }
    const last = Math.min(place(end), items.length)
    for (let at = place(start); at < last; at++) if (equal(items[at], wanted, budget)) return at
    return fail('the value is not in the list')
  },
  count: (items, args, budget) => {
    const [wanted] = placed('count', args, 1, 1)
    return items.filter((item) => equal(item, wanted, budget)).length
  },
  copy: (items, args) => {
    plain('copy', args)
    return items
  },
}

const whole = (value: Value): Value => (typeof value === 'boolean' ? Number(value) : value)
const onlyInt = (value: Value): bigint | undefined => {
  const int = whole(value)
  return isInt(int) ? BigInt(int) : undefined
}
const method =
  (name: string, run: (value: Value) => Value) =>
  (value: Value): Value =>
    func(name, (args) => {
      plain(name, args)
      return run(value)
    })
const ofInt =
  (name: string, run: (value: bigint) => Value) =>
  (value: Value): Value => {
    const int = onlyInt(value)
    if (int === undefined) return missing(`'float object' has no attribute '${name}'`)
    return method(name, () => run(int))(value)
  }

const numberAttributes: Record<string, (value: Value) => Value> = {
  real: whole,
  imag: (value) => (is(value, 'float') ? float(0) : 0),
  numerator: (value) => (is(value, 'float') ? missing("'float object' has no attribute 'numerator'") : whole(value)),
  denominator: (value) => (is(value, 'float') ? missing("'float object' has no attribute 'denominator'") : 1),
  conjugate: method('conjugate', whole),
  bit_length: ofInt('bit_length', bitLength),
  bit_count: ofInt('bit_count', (value) => (value < 0n ? -value : value).toString(2).replaceAll('0', '').length),
  is_integer: (value) =>
    is(value, 'float')
      ? method('is_integer', () => Number.isInteger(value.value))(value)
      : missing("'int object' has no attribute 'is_integer'"),
}
