/** Reads parsed JSON of a named file part by part: a wrong type is a fault with the file and the path. */
import { badInput } from '../util/fault.ts'
import { jsonOf } from '../util/json.ts'

export type Json = { readonly [key: string]: unknown }

/** A value inside a JSON file, with its path, such as `model.merges`. */
export type JsonPart = {
  readonly file: string
  readonly path: string
  readonly value: unknown
  at(key: string): JsonPart
  /** undefined where the key is absent or null. */
  optional(key: string): JsonPart | undefined
  has(key: string): boolean
  record(): Json
  list(): readonly unknown[]
  items(): JsonPart[]
  text(): string
  flag(): boolean
  /** A non-negative integer. */
  count(): number
  fail(problem: string): never
}

export const jsonPart = (file: string, value: unknown, path = ''): JsonPart => {
  const fail = (problem: string): never => {
    throw badInput('bad-file', `${path || 'the file'} ${problem}`, { file })
  }
  const record = (): Json =>
    typeof value === 'object' && value && !Array.isArray(value) ? (value as Json) : fail('should be an object')
  const list = () => (Array.isArray(value) ? (value as unknown[]) : fail('should be a list'))
  const own = (key: string): unknown => (Object.hasOwn(record(), key) ? record()[key] : undefined)
  const at = (key: string) => jsonPart(file, own(key), path ? `${path}.${key}` : key)
  return {
    file,
    path,
    value,
    at,
    optional: (key) => (own(key) == null ? undefined : at(key)),
    has: (key) => Object.hasOwn(record(), key),
    record,
    list,
    items: () => list().map((item, i) => jsonPart(file, item, `${path}[${i}]`)),
    text: () => (typeof value === 'string' ? value : fail('should be a text')),
    flag: () => (typeof value === 'boolean' ? value : fail('should be true or false')),
    count: () =>
      Number.isSafeInteger(value) && (value as number) >= 0
        ? (value as number)
        : fail('should be a non-negative integer'),
    fail,
  }
}

/** Parses JSON; a syntax error is a fault with its line. */
export const parseJsonPart = (file: string, text: string): JsonPart =>
  jsonPart(file, jsonOf(text, { file }, 'bad-file'))
