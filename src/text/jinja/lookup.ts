/**
 * a.b, a['b'] and a[1:2] as Jinja2's sandbox has them: the dot looks for a method first and a key second, brackets the
 * other way round; methods that would change a list or a dict are refused.
 */
import type { Context } from './evaluate.ts'
import { unmarkText } from './marks.ts'
import { methodOf } from './methods.ts'
import { repr } from './print.ts'
import type { Value } from './values.ts'
import { describe, fail, is, isDict, isList, keyOf, missing, numeric, sequenceOf, tuple, typeName } from './values.ts'

export const attributeOf = (of: Value, name: string, context: Context): Value => {
  if (is(of, 'missing')) return fail(of.hint)
  const method = methodOf(of, name, context)
  if (method !== undefined) return method
  return (isDict(of) ? of.get(name) : undefined) ?? missing(`'${describe(of)}' has no attribute '${name}'`)
}

export const itemOf = (of: Value, name: Value, context: Context): Value => {
  if (is(of, 'missing')) return fail(of.hint)
  const key = context.budget.marked && typeof name === 'string' ? unmarkText(name) : name
  const found = directItem(of, key)
  if (found !== undefined) return found
  const method = typeof key === 'string' ? methodOf(of, key, context) : undefined
  if (method !== undefined) return method
  if (typeof key === 'string') return missing(`'${describe(of)}' has no attribute '${key}'`)
  return missing(`${describe(of)} has no element ${repr(key, context.budget)}`)
}

const directItem = (of: Value, key: Value): Value | undefined => {
  if (isDict(of)) return isList(key) || isDict(key) ? undefined : of.get(keyOf(key))
  const index = typeof key === 'number' || typeof key === 'boolean' ? numeric(key) : undefined
  if (index === undefined) return undefined
  if (typeof of === 'string') return charAt(of, index)
  return sequenceOf(of)?.at(index)
}

const charAt = (text: string, index: number): string | undefined => {
  if (Math.abs(index) > text.length) return undefined
  return /[\ud800-\udfff]/.test(text) ? [...text].at(index) : text.at(index)
}

export const sliceOf = (
  of: Value,
  start: number | undefined,
  stop: number | undefined,
  step = 1,
  { budget }: Context,
): Value => {
  if (is(of, 'missing')) return fail(of.hint)
  if (step === 0) return fail('slice step cannot be zero')
  const items = typeof of === 'string' ? [...of] : sequenceOf(of)
  if (!items) return fail(`'${typeName(of)}' object is not subscriptable`)
  budget.made(items.length)
  const picked = picks(items, start, stop, step)
  return typeof of === 'string' ? picked.join('') : isList(of) ? picked : tuple(picked)
}

const picks = <T>(items: readonly T[], start: number | undefined, stop: number | undefined, step: number): T[] => {
  const n = items.length
  const clamp = (at: number, low: number, high: number) => Math.min(Math.max(at < 0 ? at + n : at, low), high)
  const picked: T[] = []
  if (step > 0)
    for (let i = clamp(start ?? 0, 0, n), end = clamp(stop ?? n, 0, n); i < end; i += step) picked.push(items[i])
  else {
    const end = stop === undefined ? -1 : clamp(stop, -1, n - 1)
    for (let i = start === undefined ? n - 1 : clamp(start, -1, n - 1); i > end; i += step) picked.push(items[i])
  }
  return picked
}
