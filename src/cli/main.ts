/**
 * The command line. Only the command that is run is loaded, so `attune --help` needs neither the engine nor a schema.
 * Exit codes: 2 for bad input, 1 for a failure, 130 for an interrupted run, which can be resumed.
 */
import type { Command as Commander } from 'commander'
import { badInput } from '../util/fault.ts'
import type { Command } from './command.ts'
import { commands } from './commands.ts'
import { expectBrokenPipes, makeOutput } from './output.ts'

export const main = async (argv: readonly string[]): Promise<void> => {
  expectBrokenPipes()
  try {
    await dispatch(argv)
  } catch (error) {
    const { reportFailure } = await import('./failure.ts')
    process.exitCode = reportFailure(error)
  }
}

const dispatch = async (argv: readonly string[]): Promise<void> => {
  const [name, ...rest] = argv
  if (name === 'help' && rest[0] && !rest[0].startsWith('-')) return dispatch([rest[0], '--help'])
  const entry = commands.find((command) => command.name === name)
  if (entry) return runCommand(entry.name, await entry.load(rest), rest)
  if (name === undefined || name.startsWith('-') || name === 'help')
    return rootHelp(name === 'help' ? ['--help'] : argv)
  const { unknownCommand } = await import('./failure.ts')
  throw unknownCommand(
    name,
    commands.map((command) => command.name),
  )
}

const rootHelp = async (argv: readonly string[]) => {
  const { Command } = await import('commander')
  const program: Commander = new Command('attune')
    .description(
      'Post-training of language models without Python: supervised fine-tuning, preference optimization (DPO family), reinforcement learning from rewards, self-play.',
    )
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', '\n`attune <command> --help` shows the flags of a command, their defaults and an example.')
    .helpCommand(false)
    .showSuggestionAfterError(false)
    .action(() => program.outputHelp())
  for (const { name, summary, group } of commands) program.command(name).description(summary).helpGroup(`${group}:`)
  if (argv.includes('--version') || argv.includes('-V')) {
    const { version } = await import('../util/version.node.ts')
    return void process.stdout.write(`${version()}\n`)
  }
  program.option('-V, --version', 'show the version')
  await program
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .parseAsync(argv, { from: 'user' })
}

/** An operand that is given by its flag as well. */
const refuseTwice = (operands: Record<string, unknown>, flags: Record<string, unknown>) => {
  const key = Object.keys(operands).find((name) => name in flags)
  if (key !== undefined) throw badInput('bad-flag', 'is given twice, with and without the flag', { flag: `--${key}` })
}

const runCommand = async (name: string, spec: Command, argv: readonly string[]) => {
  const [{ makeParser }, { collectSettings, checkSettings }] = await Promise.all([
    import('./flags.ts'),
    import('./settings.ts'),
  ])
  const program = makeParser(name, spec)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
  program.action(() => {})
  try {
    program.parse(argv, { from: 'user' })
  } catch (error) {
    const { usageFault } = await import('./failure.ts')
    throw usageFault(error, program)
  }
  const { json = false, ...typed } = program.opts()
  // A command may have a --config of its own
  const file = 'config' in spec.schema.shape ? undefined : typed.config
  const operands = (spec.operands ?? []).map((key, i) => [key, program.processedArgs[i]])
  const present = Object.fromEntries(operands.filter(([, value]) => value?.length))
  refuseTwice(present, typed)
  const given = await collectSettings(spec.schema, { ...typed, ...present }, file)
  const filled = spec.prepare ? await spec.prepare(given) : given
  await spec.run(checkSettings(spec.schema, filled, spec.operands), { out: makeOutput(json), argv: [name, ...argv] })
}
