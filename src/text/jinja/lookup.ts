/**
 * a.b, a['b'] and a[1:2] as in Jinja2's sandbox: the dot looks for a method first and a key second, brackets the other
 * way round. Methods that would change a list or dict are refused.
 */
import type { Budget, Context } from './budget.ts'
import { methodOf } from './methods.ts'
import { repr } from './print.ts'
import { pointAt, points } from './pythonText.ts'
import type { FindField } from './textMethods.ts'
import type { Range, Value } from './values.ts'
import {
  describeType,
  fail,
  is,
  isDict,
  isInt,
  isList,
  itemAt,
  markup,
  missing,
  sequenceOf,
  textIn,
  tuple,
  typeName,
} from './values.ts'

export const attributeOf = (of: Value, name: string, context: Context): Value => {
  if (is(of, 'missing')) return fail(of.hint)
  const method = methodOf(of, name, context, findField)
  if (method !== undefined) return method
  const item = isDict(of) ? itemAt(of, name) : undefined
  return item === undefined ? missing(`'${describeType(of)}' has no attribute '${name}'`) : item
}

/** For the filter attr: an attribute, never a key. */
export const onlyAttribute = (of: Value, name: string, context: Context): Value => {
  if (is(of, 'missing')) return fail(of.hint)
  const method = methodOf(of, name, context, findField)
  return method === undefined ? missing(`'${describeType(of)}' has no attribute '${name}'`) : method
}

export const itemOf = (of: Value, key: Value, context: Context): Value => {
  if (is(of, 'missing')) return fail(of.hint)
  const found = directItem(of, key, context.budget)
  if (found !== undefined) return found
  const name = textIn(key)
  const method = name === undefined ? undefined : methodOf(of, name, context, findField)
  if (method !== undefined) return method
  if (name !== undefined) return missing(`'${describeType(of)}' has no attribute '${name}'`)
  return missing(`${describeType(of)} has no element ${repr(key, context.budget)}`)
}

const hashable = (key: Value): boolean =>
  !isList(key) && !isDict(key) && !(is(key, 'tuple') && !key.items.every(hashable))

const directItem = (of: Value, key: Value, budget: Budget): Value | undefined => {
  if (isDict(of)) return hashable(key) ? itemAt(of, key) : undefined
  if (!isInt(key) && typeof key !== 'boolean') return undefined
  const index = Number(key)
  const text = textIn(of)
  if (text === undefined) return sequenceOf(of)?.at(index)
  const char = pointAt(text, index, budget)
  return char !== undefined && is(of, 'markup') ? markup(char) : char
}

type Bound = number | undefined

export const sliceOf = (of: Value, start: Bound, stop: Bound, step = 1, { budget }: Context): Value => {
  if (is(of, 'missing')) return fail(of.hint)
  if (step === 0) return fail('slice step cannot be zero')
  const text = textIn(of)
  const items = text === undefined ? sequenceOf(of) : points(text, budget)
  if (items === undefined) return fail(`'${typeName(of)}' object is not subscriptable`)
  const { from, to } = bounds(items.length, start, stop, step)
  const length = Math.max(0, Math.ceil((to - from) / step))
  budget.spend(text === undefined ? length : length + text.length / 16)
  const picked: Value[] = []
  for (let n = 0; n < length; n++) picked.push(items[from + n * step])
  if (text !== undefined) return is(of, 'markup') ? markup(picked.join('')) : picked.join('')
  if (isList(of)) return picked
  if (!is(of, 'range')) return tuple(picked)
  const at = (place: number) => of.start + place * of.step
  return {
    kind: 'range',
    start: at(from),
    stop: at(to),
    step: of.step * step,
    items: picked as number[],
  } satisfies Range
}

/** The first index of a slice of `n` items, and the index that ends it. */
const bounds = (n: number, start: Bound, stop: Bound, step: number): { from: number; to: number } => {
  const [low, high] = step > 0 ? [0, n] : [-1, n - 1]
  const clamp = (at: number) => Math.min(Math.max(at < 0 ? at + n : at, low), high)
  return step > 0
    ? { from: clamp(start ?? 0), to: clamp(stop ?? n) }
    : { from: start === undefined ? n - 1 : clamp(start), to: stop === undefined ? -1 : clamp(stop) }
}

/** Follows the `.name` and `[key]` parts of a field in str.format. */
const findField: FindField = (value, path, context) => {
  let found = value
  for (const [, name, key] of path.matchAll(/\.([^.[]+)|\[([^\]]+)\]/g))
    found =
      name !== undefined
        ? attributeOf(found, name, context)
        : itemOf(found, /^\d+$/.test(key) ? Number(key) : key, context)
  return found
}
