/** Reads parts out of parsed JSON of a named file: the wrong type is one fault with the file and the path. */
import { badInput } from '../util/fault.ts'
import { jsonOf } from '../util/json.ts'

export type Json = { readonly [key: string]: unknown }

/** A value of the file with its path, such as `model.merges`. */
export type Shape = {
  readonly file: string
  readonly path: string
  readonly value: unknown
  at(key: string): Shape
  /** Null and absent are undefined. */
  optional(key: string): Shape | undefined
  has(key: string): boolean
  record(): Json
  list(): readonly unknown[]
  items(): Shape[]
  text(): string
  flag(): boolean
  /** A non-negative integer. */
  count(): number
  fail(problem: string): never
}

export const shape = (file: string, value: unknown, path = ''): Shape => {
  const fail = (problem: string): never => {
    throw badInput('bad-file', `${path || 'the file'} ${problem}`, { file })
  }
  const record = (): Json =>
    typeof value === 'object' && value && !Array.isArray(value) ? (value as Json) : fail('should be an object')
  const list = () => (Array.isArray(value) ? (value as unknown[]) : fail('should be a list'))
  const own = (key: string): unknown => (Object.hasOwn(record(), key) ? record()[key] : undefined)
  const at = (key: string) => shape(file, own(key), path ? `${path}.${key}` : key)
  return {
    file,
    path,
    value,
    at,
    optional: (key) => (own(key) == null ? undefined : at(key)),
    has: (key) => Object.hasOwn(record(), key),
    record,
    list,
    items: () => list().map((item, i) => shape(file, item, `${path}[${i}]`)),
    text: () => (typeof value === 'string' ? value : fail('should be a text')),
    flag: () => (typeof value === 'boolean' ? value : fail('should be true or false')),
    count: () =>
      Number.isSafeInteger(value) && (value as number) >= 0
        ? (value as number)
        : fail('should be a non-negative integer'),
    fail,
  }
}

/** Parsed JSON; what is no JSON is a fault with its line. */
export const parseShape = (file: string, text: string): Shape => shape(file, jsonOf(text, { file }, 'bad-file'))
