/**
 * The settings of a command, from its flags and its YAML file, checked by its schema. Every error message names the flag
 * or the key of the file, the value, and the nearest valid one.
 */
import type { z } from 'zod'
import { camel, type Field, fieldsOf } from '../recipes/settings/fields.ts'
import { converted, explain } from '../recipes/settings/given.ts'
import { badInput } from '../util/fault.ts'
import { textFile } from '../util/files.node.ts'
import { plural } from '../util/format.ts'
import { didYouMean } from '../util/nearest.ts'
import { cut, quoted } from '../util/quote.ts'
import { otherName } from './otherNames.ts'

type Values = Record<string, unknown>

/** The settings that were given, by key, in the types of their fields. Flags override the file. */
export const collectSettings = async (schema: z.ZodObject, flags: Values, file?: string): Promise<Values> => {
  const fields = fieldsOf(schema)
  const values = { ...(file === undefined ? {} : await readSettingsFile(file, fields)), ...flags }
  const known = fields.filter(({ key }) => values[key] !== undefined && values[key] !== null)
  return Object.fromEntries(known.map((field) => [field.key, converted(field, values[field.key])]))
}

/** Checks settings and fills in defaults. Throws a Fault 'bad-flag' for the first wrong one. Operands have no flag. */
export const checkSettings = <S extends z.ZodObject>(
  schema: S,
  values: Values,
  operands: readonly string[] = [],
): z.output<S> => {
  const result = schema.safeParse(values)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const field = fieldsOf(schema).find(({ key }) => key === issue.path[0])
  const key = String(issue.path[0])
  // As the first line of the help calls it
  const operand = values[key] === undefined ? (field?.value ?? key) : key
  const flag = operands.includes(key) ? operand : (field?.flag ?? key)
  throw badInput('bad-flag', explain(issue, field, values), { flag })
}

const readSettingsFile = async (file: string, fields: readonly Field[]): Promise<Values> => {
  const parsed = parseSettings(await textFile(file), file, (await import('yaml')).parse)
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw badInput('bad-file', 'must hold settings, one "name: value" a line', { file })
  const entries = Object.entries(parsed)
  refuseUnknown(
    entries.map(([name]) => name),
    fields,
    file,
  )
  return Object.fromEntries(entries.map(([name, value]) => [camel(name), value]))
}

/** Characters of a settings file. They are short, and the time of the YAML parser may grow with their square. */
const MAX_SETTINGS = 2 ** 18

/** @throws Fault bad-file */
export const parseSettings = (
  text: string,
  file: string,
  parse: (text: string, options: { logLevel: 'error' }) => unknown,
): unknown => {
  if (text.length > MAX_SETTINGS)
    throw badInput('bad-file', `has more than ${MAX_SETTINGS} characters, too many for settings`, { file })
  try {
    // Without its warnings, which have several lines
    return parse(text, { logLevel: 'error' })
  } catch (error) {
    const deep = error instanceof RangeError
    throw badInput(
      'bad-file',
      deep ? 'is nested too deep for settings' : `is not YAML: ${cut((error as Error).message.split('\n')[0], 200)}`,
      { file },
    )
  }
}

/** Says of all unknown names at once what they are here, since a file of another program has many. */
const refuseUnknown = (names: readonly string[], fields: readonly Field[], file: string) => {
  const unknown = names.filter((name) => !fields.some(({ key }) => key === camel(name)))
  if (unknown.length === 0) return
  const flags = fields.map(({ flag }) => flag)
  // In a file the flags have no dashes
  const adviceFor = (name: string) => flagAdvice(name, flags).replaceAll(/(?<=[ (])--(?=[a-z])/g, '')
  const [first, ...others] = unknown
  if (others.length === 0)
    throw badInput('bad-file', `${quoted(first)} is not a setting of this command${adviceFor(first)}`, { file })
  const shown = unknown.slice(0, mostUnknown)
  const details = shown.map((name) => `${quoted(name)}${adviceFor(name).replace(';', ':') || ': is not known'}`)
  if (unknown.length > shown.length) details.push(`and ${unknown.length - shown.length} more`)
  const message = `${quoted(first)} and ${plural(others.length, 'other name')} are not settings of this command`
  throw badInput('bad-file', message, { file }, details)
}

/** Unknown names of a settings file that a message lists. */
const mostUnknown = 60

/** What to write instead of a flag that a command does not have: its own flag of that meaning, or the nearest name. */
export const flagAdvice = (name: string, flags: readonly string[]): string => {
  const other = otherName(name, flags)
  if (other === undefined) return didYouMean(name, flags)
  const { flag, note } = other
  if (flag === undefined) return `; ${note}`
  return `; here it is ${flag}${note === undefined ? '' : ` (${note})`}`
}
