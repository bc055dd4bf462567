/**
 * A command's flags on commander. Peculiar: commander learns no defaults and converts nothing, so that what was typed
 * can be told from what was not; settings.ts does the rest.
 */
import { Command as Commander, Option } from 'commander'
import type { Command } from './command.ts'
import { type Field, fieldsOf } from './fields.ts'

/** @returns commander's command; its `opts()` hold what was typed, by key */
export const commander = (name: string, { summary, example, schema, operands = [] }: Command): Commander => {
  const program = new Commander(`attune ${name}`).description(`${summary}.`)
  const fields = fieldsOf(schema)
  for (const key of operands) {
    const { kind, description } = fields.find((field) => field.key === key)!
    program.argument(kind === 'list' ? `[${key}...]` : `[${key}]`, description)
  }
  for (const field of fields.filter(({ key }) => !operands.includes(key)))
    for (const option of optionsFor(field)) program.addOption(option)
  if (!('config' in schema.shape)) program.addOption(new Option('--config <FILE>', configNote).helpGroup(general))
  return program
    .addOption(new Option('--json', 'JSON lines on stdout, nothing else').helpGroup(general))
    .helpOption('-h, --help', 'this help')
    .addHelpText('after', `\nExample:\n  attune ${example}`)
    .showSuggestionAfterError(false)
    .configureHelp({ showGlobalOptions: false, helpWidth: Math.min(process.stdout.columns || 100, 120) })
}

const general = 'Everywhere:'
const configNote = 'settings in a YAML file, by the names of these flags; flags win'

/** A switch has its opposite too, unseen, to overrule a file of settings. */
const optionsFor = (field: Field): Option[] => {
  const made = (flags: string, note = '') =>
    new Option(flags, field.description + note).helpGroup(`${field.group ?? 'Options'}:`)
  if (field.kind !== 'boolean') {
    const dots = field.kind === 'record' || (field.kind === 'list' && !field.separator) ? '...' : ''
    return [made(`${field.flag} <${field.value}${dots}>`, noteOf(field))]
  }
  const [on, off] = [made(field.flag), made(field.flag.replace('--', '--no-'))]
  if (field.fallback === true) {
    off.description = field.off ?? `not: ${field.description}`
    return [on.hideHelp(), off]
  }
  return [on, off.hideHelp()]
}

const noteOf = (field: Field): string => {
  const choices = field.choices.length ? `: ${field.choices.join(', ')}` : ''
  if (field.required) return `${choices} (required)`
  return `${choices}${shown(field.fallback)}`
}

/** 0.000001 is 1e-6. */
const short = (value: unknown) =>
  typeof value === 'number' && value < 1e-3 && value > 0 ? value.toExponential() : value

const shown = (fallback: unknown): string => {
  if (fallback === undefined || (typeof fallback === 'object' && !Array.isArray(fallback))) return ''
  return ` (default: ${[fallback].flat().map(short).join(', ')})`
}
