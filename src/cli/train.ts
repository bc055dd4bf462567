/** A recipe as a command: its schema gives the flags, its events the display, and what it made is named at the end. */

import { availableParallelism } from 'node:os'
import type { z } from 'zod'
import type { Recipe, TrainEvent } from '../recipes/trainer/recipe.ts'
import { settingsOf } from '../recipes/trainer/settingsPaths.ts'
import type { EndEvent } from '../runs/events.ts'
import { modelOfRun, newRunFolder } from '../runs/find.node.ts'
import { readInfo } from '../runs/run.node.ts'
import type { EvalEvent, StepEvent } from '../train/loop.ts'
import { badInput } from '../util/fault.ts'
import { plural } from '../util/format.ts'
import { type Command, type Context, command } from './command.ts'
import { duration, figure, shellWord, shortPath } from './format.ts'
import { interruptible } from './interrupt.ts'
import { makeScreen, painter, type Screen } from './screen.ts'
import { iterationTable } from './selfPlayTable.ts'
import { headline, reporter } from './terminal.ts'

type Parts<S extends z.ZodObject> = {
  name: string
  summary: string
  example: string
  schema: S
  /** What is made of the result once it is there. @param result its folder   @returns the files, to be named */
  after?(result: string): Promise<string[]>
  /** The engine comes with it, so it is loaded when training starts. */
  load(): Promise<Recipe<S>>
}

type Settings = { output: string; resume: boolean; logEvery: number }

export const trainCommand = <S extends z.ZodObject>({ load, name, after, ...parts }: Parts<S>): Command =>
  command({
    ...parts,
    prepare: (given) => prepare(name, given),
    run: async (config, context) => train(await load(), config, context, after),
  })

/** What a resumed run was given before counts again; --model may name a run; without --output there is a new folder. */
const prepare = async (method: string, given: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>> => {
  if (given.resume && given.output === undefined)
    throw badInput('bad-flag', 'needs --output, the folder of the run to go on with', { flag: '--resume' })
  const before = given.resume && typeof given.output === 'string' ? await settingsBefore(given.output, given) : {}
  const source = typeof given.model === 'string' ? await modelOfRun(given.model) : undefined
  return { output: await newRunFolder(method), ...before, ...source, ...without(given, source) }
}

/** A run that was killed before it wrote anything begins anew, if the settings are all there again. */
const settingsBefore = (dir: string, given: Readonly<Record<string, unknown>>) =>
  readInfo(dir).then(
    // As many threads as before, where there are as many
    async (info) => ({
      ...(info.engine && { threads: Math.min(info.engine.threads, availableParallelism()) }),
      ...(await settingsOf(info)),
    }),
    (error) => {
      // Otherwise openRun says what is wrong with it
      if (given.model === undefined) throw error
      return {}
    },
  )

/** A flag beats what a run says, but for the name of that run itself. */
const without = ({ model, ...given }: Readonly<Record<string, unknown>>, source: object | undefined) =>
  source || model === undefined ? given : { ...given, model }

const train = async <S extends z.ZodObject>(
  recipe: Recipe<S>,
  config: z.output<S>,
  { out, argv }: Context,
  after: Parts<S>['after'] = async () => [],
) => {
  const { output, logEvery } = config as unknown as Settings
  const screen = out.json ? makeScreen(process.stderr, Boolean(process.stdout.isTTY)) : out.screen
  const report = reporter(screen, { logEvery })
  const paint = painter(screen)
  report.note(`${paint('bold', `attune ${recipe.name}`)}  ${paint('dim', shortPath(output))}`)
  const outcome: Outcome = { began: screen.now(), evals: [] }
  const follow = async (event: TrainEvent) => {
    report.show(event)
    if (event.event === 'step') outcome.first ??= event
    if (event.event === 'step') outcome.last = event
    if (event.event === 'eval') outcome.evals.push(event)
    if (event.event === 'end') outcome.end = event
    if (out.json) await out.line(event)
  }
  try {
    await interruptible(
      async (signal) => {
        for await (const event of recipe.run(config, { signal, command: ['attune', ...argv] })) await follow(event)
      },
      () => report.note('  stopping after this step, with a checkpoint; again to stop at once'),
    )
  } finally {
    report.clear()
  }
  if (!outcome.end) return
  const made = outcome.end.stopped === 'interrupted' ? [] : await after(outcome.end.output)
  finish(screen, recipe.name, output, outcome as Finished)
  for (const file of made) report.note(`  ${paint('dim', 'page'.padEnd(10))}${shortPath(file)}`)
}

type Outcome = { began: number; evals: EvalEvent[]; first?: StepEvent; last?: StepEvent; end?: EndEvent }
type Finished = Outcome & { end: EndEvent }

const finish = (screen: Screen, method: string, output: string, outcome: Finished) => {
  if (outcome.end.stopped === 'interrupted') process.exitCode = 130
  const table = iterationTable(outcome.evals)
  if (table) screen.write(`\n${table.replaceAll(/^/gm, '  ')}\n\n`)
  screen.write(`${closing(screen, method, output, outcome)}\n`)
}

const ways: Record<EndEvent['stopped'], string> = {
  done: 'done',
  interrupted: 'stopped',
  patience: 'no better',
  converged: 'converged',
  'kl-budget': 'KL spent',
}

/** A reward model judges; all others write. */
const nextOf = (method: string, model: string) =>
  method === 'reward'
    ? `attune score --model ${model} --data rows.jsonl`
    : `attune generate --model ${model} --prompt "..."`

type Headline = ReturnType<typeof headline>
const change = (from: Headline, to: Headline) => `${from.name} ${figure(from.value)} → ${figure(to.value)}`

/** Where things are, and what to do next. */
export const closing = (
  screen: Screen,
  method: string,
  output: string,
  { began, first, last, end }: Omit<Finished, 'evals'>,
): string => {
  const paint = painter(screen)
  const line = (label: string, text: string) => `  ${paint('dim', label.padEnd(10))}${text}`
  const from = first && last && first !== last ? `, ${change(headline(first), headline(last))}` : ''
  const took = `${plural(end.steps, 'step')} in ${duration((screen.now() - began) / 1000)}${from}`
  const quoted = shellWord(shortPath(output))
  if (end.stopped === 'interrupted')
    return [line('stopped', took), line('go on', paint('cyan', `attune ${method} --output ${quoted} --resume`))].join(
      '\n',
    )
  return [
    line(ways[end.stopped], took),
    line('result', shortPath(end.output)),
    ...(end.hub ? [line('uploaded', end.hub)] : []),
    line('next', paint('cyan', nextOf(method, quoted))),
    line('', paint('cyan', `attune runs show ${quoted}`)),
  ].join('\n')
}
