/**
 * The flags of a command, parsed by commander.
 *
 * commander gets no defaults and converts nothing, so its result holds exactly what was typed. settings.ts adds the settings
 * file, converts values and fills in defaults.
 */
import { Command as Commander, Option } from 'commander'
import { type Field, fieldsOf } from '../recipes/settings/fields.ts'
import { standText } from '../recipes/trainer/nextCommands.ts'
import type { Command } from './command.ts'

/** @returns the parser; its `opts()` hold what was typed, by key */
export const makeParser = (name: string, { summary, example, schema, operands = [] }: Command): Commander => {
  const program = new Commander(`attune ${name}`).description(`${summary}.`)
  const fields = fieldsOf(schema)
  for (const key of operands) {
    const { kind, description } = fields.find((field) => field.key === key)!
    program.argument(kind === 'list' ? `[${key}...]` : `[${key}]`, description)
  }
  // An operand may be given by its flag too, as in the other commands
  for (const field of fields)
    for (const option of optionsFor(field)) program.addOption(operands.includes(field.key) ? option.hideHelp() : option)
  if (!('config' in schema.shape)) program.addOption(new Option('--config <FILE>', configNote).helpGroup(general))
  return program
    .addOption(new Option('--json', 'print JSON lines on stdout and nothing else').helpGroup(general))
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', `\nExample:\n  attune ${example}${placeholdersNote(example)}`)
    .showSuggestionAfterError(false)
    .configureHelp({ showGlobalOptions: false, helpWidth: Math.min(process.stdout.columns || 100, 120) })
}

/** What the words in capitals are, as in NAME=RUN and --data ROWS.jsonl. */
const placeholdersNote = (example: string): string => {
  const names = [...new Set(example.split(/[\s=]/).filter((word) => /^[A-Z][A-Z-]+(\.[a-z]+)?$/.test(word)))]
  return names.length ? `\n  (${standText(names)})` : ''
}

const general = 'Everywhere:'
const configNote = 'YAML file of settings, named like these flags; flags override it'

/**
 * The options of a field. A boolean has two, --x and --no-x. Help shows only the one that changes the default; the other one
 * overrides a settings file.
 */
const optionsFor = (field: Field): Option[] => {
  const option = (flags: string, note = '') =>
    new Option(flags, field.description + note).helpGroup(`${field.group ?? 'Options'}:`)
  if (field.kind !== 'boolean') {
    const dots = field.kind === 'record' || (field.kind === 'list' && !field.separator) ? '...' : ''
    return [option(`${field.flag} <${field.value}${dots}>`, noteOf(field))]
  }
  const on = option(field.flag)
  const off = option(field.flag.replace('--', '--no-'))
  if (field.fallback === true) {
    off.description = field.off ?? `not: ${field.description}`
    return [on.hideHelp(), off]
  }
  return [on, off.hideHelp()]
}

const noteOf = (field: Field): string => {
  const choices = field.choices.length ? `: ${field.choices.join(', ')}` : ''
  if (field.required) return `${choices} (required)`
  return `${choices}${defaultNote(field.fallback)}`
}

/** 0.000001 as 1e-6. */
const short = (value: unknown) =>
  typeof value === 'number' && value < 1e-3 && value > 0 ? value.toExponential() : value

const defaultNote = (fallback: unknown): string => {
  if (fallback === undefined || (typeof fallback === 'object' && !Array.isArray(fallback))) return ''
  return ` (default: ${[fallback].flat().map(short).join(', ')})`
}
