/** Settings as a person gives them, in texts: converted to what their fields take, and what is wrong with them in words. */
import type { z } from 'zod'
import { badInput } from '../../util/fault.ts'
import { didYouMean } from '../../util/nearest.ts'
import { cut, quoted } from '../../util/quote.ts'
import type { Field } from './fields.ts'

type Values = Record<string, unknown>

/** Converts a text to the number, list or record that its field takes. What does not fit stays, and the schema refuses it. */
export const converted = (field: Field, value: unknown): unknown => {
  if (field.kind === 'list') return listed(field, value).map((item) => scalar(field.of, item))
  if (field.kind === 'record' && (Array.isArray(value) || typeof value === 'string')) return record(field, value)
  return scalar(field.kind, value)
}

const listed = ({ separator }: Field, value: unknown): unknown[] =>
  [value].flat().flatMap((item) => (separator && typeof item === 'string' ? item.split(separator) : [item]))

const scalar = (kind: Field['kind'], value: unknown): unknown => {
  if (kind !== 'number' || typeof value !== 'string' || value.trim() === '') return value
  return Number.isNaN(Number(value)) ? value : Number(value)
}

/** ["chosen=good", ...] -> { chosen: 'good' } */
const record = ({ flag, of, value: form }: Field, value: unknown): Values =>
  Object.fromEntries(
    [value].flat().map((item) => {
      const [, name, text] = /^([^=]+)=(.+)$/s.exec(String(item)) ?? []
      if (name === undefined) throw badInput('bad-flag', `${quoted(item)} must be ${form}`, { flag })
      return [name, scalar(of, text)]
    }),
  )

/** The error message of a zod issue. */
export const explain = (issue: z.core.$ZodIssue, field: Field | undefined, values: Values): string => {
  // The index in a list means nothing to a person who typed a flag
  const path = issue.path.slice(1).filter((key) => typeof key !== 'number')
  const value = issue.path.reduce<unknown>((at, key) => (at as Values | undefined)?.[key as string], values)
  const name = path.length ? `${cut(path.join('.'), 100)}: ` : ''
  if (issue.code === 'invalid_type' && value === undefined) return `is required: ${field?.description ?? ''}`
  if (issue.code === 'invalid_type')
    return `${name}${quoted(value)} is not ${nouns[issue.expected] ?? issue.expected}${shareAdvice(value, issue.expected)}`
  if (issue.code === 'too_small' && Array.isArray(value) && value.length)
    return `${name}${value.length} given; it takes ${issue.minimum} or more`
  if (issue.code === 'too_small' && typeof value !== 'number') return `${name}is empty`
  if (issue.code === 'too_small')
    return `${name}${value} is too small; it must be ${issue.inclusive ? 'at least' : 'above'} ${issue.minimum}`
  if (issue.code === 'too_big')
    return `${name}${value} is too large; it must be ${issue.inclusive ? 'at most' : 'below'} ${issue.maximum}`
  if (issue.code === 'invalid_value') {
    const valid = issue.values.map(String)
    return `${name}${quoted(value)} is none of ${valid.join(', ')}${didYouMean(String(value), valid)}`
  }
  if (issue.code === 'unrecognized_keys') return `${quoted(issue.keys[0])} is not known`
  return name + cut(issue.message, 200)
}

/** What to write for 20%, which people write for 0.2. */
const shareAdvice = (value: unknown, expected: string): string => {
  const [, number] = /^\s*(\d+(?:[.,]\d+)?)\s*%\s*$/.exec(String(value)) ?? []
  if (number === undefined || expected !== 'number') return ''
  return `; write ${Number((Number(number.replace(',', '.')) / 100).toPrecision(12))}`
}

const nouns: Record<string, string> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  record: 'a list of names and values',
}
