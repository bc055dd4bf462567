/** Error messages and exit codes: a Fault has its own code, a wrong command line ends with 2, any other error (a defect of attune) with 1. */
import { type Command as Commander, CommanderError } from 'commander'
import { badInput, Fault } from '../util/fault.ts'
import { didYouMean } from '../util/nearest.ts'
import { quoted, visible } from '../util/quote.ts'
import { systemFault } from '../util/systemFault.ts'
import { stdoutClosed } from './output.ts'
import { flagAdvice } from './settings.ts'

/** Prints to stderr. @returns the exit code */
export const reportFailure = (error: unknown): number => {
  if (error === stdoutClosed || (error instanceof CommanderError && error.exitCode === 0)) return 0
  const fault = error instanceof CommanderError ? usageFault(error) : (systemFault(error) ?? error)
  if (fault instanceof Fault) {
    process.stderr.write(`${[`error: ${fault.message}`, ...fault.details].join('\n  ')}\n`)
    if (process.env.ATTUNE_DEBUG) process.stderr.write(`${fault.stack}\n`)
    return fault.exitCode
  }
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(
    `error: ${visible(message)}\nThis is a defect in attune. ATTUNE_DEBUG=1 shows where it happened.\n`,
  )
  if (process.env.ATTUNE_DEBUG) process.stderr.write(`${(error as Error)?.stack}\n`)
  return 1
}

export const unknownCommand = (name: string, names: readonly string[]): Fault =>
  badInput('bad-command', `${quoted(name)} is not a command${didYouMean(name, names) || '; attune --help lists them'}`)

/** commander's error as a Fault that suggests the flag of the same meaning or the nearest name. Anything else, such as the end after --help, is returned as it is. */
export const usageFault = (error: unknown, program?: Commander): unknown => {
  if (!(error instanceof CommanderError) || error.exitCode === 0) return error
  const text = error.message.replace(/^error: /, '')
  const name = /'(.+?)'/.exec(text)?.[1] ?? ''
  if (error.code !== 'commander.unknownOption') return badInput('bad-flag', text)
  const flags = ['--help', ...(program?.options.flatMap(({ long }) => long ?? []) ?? [])]
  const owner = program ? program.name() : 'attune'
  return badInput(
    'bad-flag',
    `is not a flag of ${owner}${flagAdvice(name.replace(/=.*/s, ''), flags) || `; ${owner} --help lists them`}`,
    {
      flag: name.replace(/=.*/s, ''),
    },
  )
}
