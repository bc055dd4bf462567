/** The caller's data as Python's values; numbers and keys as the JSON file wrote them, where that was noted. */
import { hasNotes, keysInOrder, numberText } from '../../util/written.ts'
import { whole } from './integers.ts'
import type { Value } from './values.ts'
import { dict, fail, float } from './values.ts'

const deepest = 200

/** Whole numbers become int; other numbers, and those written with a point or an exponent, float; objects dict. */
export const fromData = (data: unknown, depth = 0): Value => {
  if (depth > deepest) return fail(`the data nests deeper than ${deepest}`)
  if (data === null || data === undefined) return null
  if (typeof data === 'string' || typeof data === 'boolean') return data
  if (typeof data === 'number') return Number.isSafeInteger(data) ? data || 0 : float(data)
  if (typeof data === 'bigint') return whole(data)
  if (typeof data !== 'object') return `<${typeof data}>`
  if (Array.isArray(data)) return data.map((_, i) => fieldOf(data, i, depth + 1))
  return dict(keysInOrder(data).map((key) => [key, fieldOf(data, key, depth + 1)]))
}

/** The value of an object or list at a key. */
export const fieldOf = (holder: object, key: string | number, depth = 0): Value => {
  const text = hasNotes(holder) ? numberText(holder, key) : undefined
  return text === undefined ? fromData((holder as Record<string, unknown>)[key], depth) : fromText(text)
}

const fromText = (text: string): Value => (/[.eE]/.test(text) ? float(Number(text)) : whole(text))
