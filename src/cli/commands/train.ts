/** `attune METHOD` for every training method: flags from its schema, its events on the screen, and a summary at the end. */

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { z } from 'zod'
import { loadRecipe } from '../../recipes/load.ts'
import { type MethodKey, methods } from '../../recipes/methods.ts'
import { completeSettings } from '../../recipes/trainer/completeSettings.ts'
import { defaultsOf } from '../../recipes/trainer/defaults.ts'
import type { FoundRateEvent } from '../../recipes/trainer/findLearningRate.ts'
import { changeText } from '../../recipes/trainer/headline.ts'
import { nextCommands, placeholdersText } from '../../recipes/trainer/nextCommands.ts'
import type { Recipe, TrainEvent } from '../../recipes/trainer/recipe.ts'
import { runChats, runPageFile, writeRunPage } from '../../recipes/trainer/runPage.ts'
import { likeChanges, likeText, trlVersion } from '../../recipes/trainer/trlDefaults.ts'
import type { Change } from '../../runs/change.ts'
import type { EndEvent } from '../../runs/events.ts'
import { readRun, trainedWithChat } from '../../runs/find.node.ts'
import { resultStepText } from '../../runs/resultStep.ts'
import type { EvalEvent } from '../../train/loop.ts'
import type { RateEvent } from '../../train/rangeTest.ts'
import { plural, shellWord } from '../../util/format.ts'
import { type Command, type Context, command } from '../command.ts'
import { commandLines, duration, shortPath, wrapped } from '../format.ts'
import { interruptible } from '../interrupt.ts'
import { commandWithRate, rangeTestTable } from '../rangeTestTable.ts'
import { makeReporter } from '../reporter.ts'
import { makeScreen, painter, type Screen } from '../screen.ts'
import { iterationTable } from '../selfPlayTable.ts'
import { recordedCommand, withWorkers } from '../workers.ts'

/** Writes further files when a run has ended. @param result the folder of its model   @returns the files to name in the summary */
type AfterTraining = (result: string) => Promise<string[]>

const afterTraining: Partial<Record<MethodKey, AfterTraining>> = {
  reward: async (result) => (await import('../calibration.ts')).writeCalibration(result),
  // Its report is there already
  selfreward: async (result) => [join(dirname(result), 'selfreward.html')],
}

export const trainCommand = async (key: MethodKey): Promise<Command> => {
  const { name, summary, example, schema } = methods[key]
  return command({
    summary,
    example,
    schema: await schema(),
    prepare: (given) => completeSettings(name, given),
    run: (config, context) => train(key, config, context),
  })
}

type Settings = Readonly<Record<string, unknown>>

const train = async (key: MethodKey, config: Record<string, unknown>, { out, argv }: Context) => {
  const { name } = methods[key]
  const after = afterTraining[key]
  const { output, logEvery, findLr } = config as { output: string; logEvery: number; findLr: boolean }
  const screen = out.json ? makeScreen(process.stderr, Boolean(process.stdout.isTTY)) : out.screen
  let workers: (() => number) | undefined
  const report = makeReporter(screen, { logEvery, workers: () => workers?.() })
  const paint = painter(screen)
  report.note(
    `${paint('bold', `attune ${name}`)}  ${paint('dim', findLr ? 'learning-rate range test' : shortPath(output))}`,
  )
  const like = likeNote(name, await methods[key].schema(), config)
  if (like) report.note(`  ${paint('dim', 'defaults'.padEnd(10))}${like}`)
  report.waiting(paint('dim', '  reading the model and the rows'))
  const outcome: Outcome = { began: screen.now(), evals: [] }
  const rates: RateEvent[] = []
  const onEvent = async (event: TrainEvent) => {
    report.show(event)
    const chats = event.event === 'start' && event.plain_rows ? await chatNote(config) : undefined
    if (chats) report.note(`  ${paint('dim', 'note'.padEnd(10))}${chats}`)
    if (event.event === 'eval') outcome.evals.push(event)
    if (event.event === 'end') outcome.end = event
    if (event.event === 'rate') rates.push(event)
    if (event.event === 'found-lr') {
      outcome.found = event
      printRates(screen, argv, rates, event)
    }
    if (out.json) await out.jsonLine(event)
  }
  try {
    // The engine is loaded only now
    const recipe = (await loadRecipe(key)) as unknown as Recipe
    await interruptible(
      async (signal) => {
        await withWorkers(config, { name: shortPath(output), note: report.note, screen }, async (settings, sharing) => {
          workers = sharing?.workers
          const extras = { signal, command: recordedCommand(argv), sharing, onLoading: report.show }
          for await (const event of recipe.run(settings, extras)) await onEvent(event)
        })
      },
      () => report.note(`  stopping after this step${findLr ? '' : ', with a checkpoint'}; Ctrl-C again stops at once`),
    )
  } finally {
    report.clear()
  }
  const { end } = outcome
  if (findLr && !outcome.found) process.exitCode = 130
  if (!end) return
  const files = end.stopped === 'interrupted' || !after ? [] : await after(end.output)
  // The page of the run links to these
  if (files.length > 0)
    await writeRunPage(output, { defaults: defaultsOf(await methods[key].schema()) }).catch(() => {})
  // From the log, which has the steps before a resume too
  const change = await readRun(output).then(
    (run) => run.change,
    () => undefined,
  )
  printSummary(screen, name, output, { ...outcome, end, change, config, chats: await runChats(output) })
  const page = join(output, runPageFile)
  for (const file of [...(existsSync(page) ? [page] : []), ...files])
    report.note(`  ${paint('dim', 'page'.padEnd(10))}${shortPath(file)}`)
}

/** A run that goes on from one with --chat reads plain rows as that did only if it is said again. */
const chatNote = async ({ chat, resume, model, adapter }: Settings): Promise<string | undefined> => {
  const from = adapter ?? model
  if (chat || resume || typeof from !== 'string' || !(await trainedWithChat(from))) return undefined
  return `${shortPath(from)} was trained with --chat; without it plain rows are read as they are here`
}

/** Whose defaults these are, and the settings of this run that they decided. */
const likeNote = (name: string, schema: z.ZodObject, config: Settings): string | undefined => {
  if (config.like === undefined) return undefined
  const changes = likeText(likeChanges(name, schema, config))
  return `of TRL ${trlVersion(name)}${changes && `: ${changes}`}; computed in float32, which is bfloat16 in TRL`
}

/** The end of --find-lr. */
const printRates = (screen: Screen, argv: readonly string[], rates: readonly RateEvent[], found: FoundRateEvent) => {
  const paint = painter(screen)
  const { learning_rate, message } = found
  screen.write(`\n${rangeTestTable(screen, rates, found)}\n\n`)
  const line = (label: string, text: string) => screen.write(`  ${paint('dim', label.padEnd(10))}${text}\n`)
  if (learning_rate === undefined) return line('suggested', `none: ${message}`)
  line('suggested', `${paint('bold', `--learning-rate ${learning_rate}`)}, ${message}`)
  line('next', paint('cyan', commandWithRate(argv, learning_rate)))
}

/** What the summary tells of a run. `began`: milliseconds of the screen's clock. */
type Outcome = {
  began: number
  evals: EvalEvent[]
  end?: EndEvent
  /** What the run changed, by the metric that it is judged by. */
  change?: Change
  /** Of --find-lr. */
  found?: FoundRateEvent
  /** The tokenizer of the model has a chat template. */
  chats?: boolean
  config?: Settings
}
type Finished = Outcome & { end: EndEvent }

const printSummary = (screen: Screen, method: string, output: string, outcome: Finished) => {
  if (outcome.end.stopped === 'interrupted') process.exitCode = 130
  const table = iterationTable(outcome.evals)
  if (table) screen.write(`\n${table.replaceAll(/^/gm, '  ')}\n\n`)
  screen.write(`${closing(screen, method, output, outcome)}\n`)
}

const endings: Record<EndEvent['stopped'], string> = {
  done: 'done',
  interrupted: 'stopped',
  patience: 'no better',
  converged: 'converged',
  'kl-budget': 'KL spent',
}

/** The last lines of a run: how it ended, where the result is, and what to do next. */
export const closing = (
  screen: Screen,
  method: string,
  output: string,
  { began, change, end, chats = false, config = {} }: Omit<Finished, 'evals'>,
): string => {
  const paint = painter(screen)
  const line = (label: string, text: string) => `  ${paint('dim', label.padEnd(10))}${text}`
  const took = `${plural(end.steps, 'step')} in ${duration((screen.now() - began) / 1000)}`
  // Logs keep a line whole
  const ended = [took, ...(change ? [changeText(change)] : [])].join(', ')
  const shown = screen.live ? wrapped(ended, screen.columns() - 1, 12) : ended
  const folder = shellWord(shortPath(output))
  const interrupted = end.stopped === 'interrupted'
  const weights = resultStepText(end, {})
  const commands = nextCommands({ method, folder, interrupted, chats, config })
  const placeholders = placeholdersText(commands)
  // Logs keep a command on one line
  const fitted = (text: string) => paint('cyan', screen.live ? commandLines(text, screen.columns(), 12).trim() : text)
  if (interrupted) return [line('stopped', shown), line('continue', fitted(commands[0]))].join('\n')
  return [
    line(endings[end.stopped], shown),
    line('result', shortPath(end.output)),
    ...(weights ? [line('', weights)] : []),
    ...(end.hub ? [line('uploaded', end.hub)] : []),
    ...commands.map((text, i) => line(i === 0 ? 'next' : '', fitted(text))),
    ...(placeholders ? [line('', paint('dim', placeholders))] : []),
  ].join('\n')
}
