/**
 * Checks a record of a file against a zod schema, and reports what is wrong as a Fault with file, row, line and
 * column.
 */
import type { z } from 'zod'
import { badInput, type Fault } from '../util/fault.ts'

/** A record as a reader found it. */
export type RawRecord = {
  value: unknown
  /** Counts records from 0. */
  row: number
  /** The physical line it begins on, from 1, where the file has lines. */
  line?: number
  /** The byte range of its line, where the file can be read at random. */
  start?: number
  end?: number
}

/** Files with one list of columns for all rows: there a missing column or a wrong type belongs to no row. */
export type Layout = 'rows' | 'csv' | 'parquet'

export type RecordLocation = {
  file: string
  layout: Layout
  row: number
  line?: number
  /** What the file calls columns that are read under another name. */
  own?: ReadonlyMap<string, string>
  /** Which flags may read the file, where a column is missing; of its first record. */
  hint?: () => string | undefined
}

/** A fault in a record: its code, the column to blame, what is wrong and what to do. */
export const rowFault = (
  code: string,
  message: string,
  location: RecordLocation,
  column?: string,
  details?: readonly string[],
): Fault =>
  badInput(
    code,
    message,
    {
      file: location.file,
      ...position(code, location),
      column: column && (location.own?.get(column) ?? column),
    },
    details ?? (code === 'missing-column' ? [location.hint?.() ?? []].flat() : []),
  )

const position = (code: string, { layout, row, line }: RecordLocation) => {
  if (layout === 'csv' && code === 'missing-column') return { line: 1 }
  if (layout === 'parquet' && (code === 'missing-column' || code === 'wrong-type')) return {}
  return { row, line }
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const kindOf = (value: unknown) => (value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`)

/** Columns that a message names: a record of a stranger may have any number. */
const SHOWN = 20

/** The columns of a record, for a message. @param own what the file calls columns that were renamed */
export const columnNames = (record: Record<string, unknown>, own?: ReadonlyMap<string, string>): string => {
  const all = Object.keys(record).map((name) => own?.get(name) ?? name)
  const shown = all.slice(0, SHOWN).map((name) => (name.length > 100 ? `${name.slice(0, 100)}...` : name))
  return `${shown.join(', ') || 'none'}${all.length > SHOWN ? ` and ${all.length - SHOWN} more` : ''}`
}

/** @throws Fault wrong-type unless the record is an object */
export const recordOf = (value: unknown, location: RecordLocation): Record<string, unknown> => {
  if (!isRecord(value)) throw rowFault('wrong-type', `a row must be an object, not ${kindOf(value)}`, location)
  return value
}

/**
 * The record as the schema types it. `blame` says which key of a nested path is the column: the outermost for rows,
 * the innermost for the deep records of labelling tools.
 * @throws Fault missing-column, null-value, not-finite, wrong-type or bad-value
 */
export const conform = <S extends z.ZodType>(
  schema: S,
  record: Record<string, unknown>,
  location: RecordLocation,
  blame: 'outermost' | 'innermost' = 'outermost',
): z.infer<S> => {
  const result = schema.safeParse(record)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const keys = issue.path.filter((key) => typeof key === 'string')
  const value = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)?.[key], record)
  const code = codeOf(issue, value)
  throw rowFault(code, wording(code, issue.message, value), location, keys.at(blame === 'outermost' ? 0 : -1))
}

const codeOf = (issue: z.core.$ZodIssue, value: unknown): string => {
  if (issue.code === 'custom') return issue.params?.code ?? 'bad-value'
  if (value === undefined) return 'missing-column'
  if (value === null) return 'null-value'
  if (typeof value === 'number') return Number.isFinite(value) ? numberCode(issue) : 'not-finite'
  return issue.code === 'invalid_type' ? 'wrong-type' : 'bad-value'
}

/** zod calls a fraction in the place of an integer a wrong type. */
const numberCode = (issue: z.core.$ZodIssue) =>
  issue.code === 'invalid_type' && issue.expected !== 'int' && issue.expected !== 'number' ? 'wrong-type' : 'bad-value'

const wording = (code: string, message: string, value: unknown): string => {
  if (code === 'missing-column') return 'is missing; name another column with --column, or add it'
  if (code === 'null-value') return 'is null, but a value must be there'
  if (code === 'not-finite') return `is ${value}, but must be a finite number`
  return message
}
