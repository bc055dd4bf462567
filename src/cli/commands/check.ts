/** `attune check`: what a training run would learn from a file, token by token, and what is wrong with its rows. */
import { existsSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import {
  type CheckSettings,
  type CheckSummary,
  checkRows,
  refuseRuined,
  type ShownRow,
} from '../../recipes/check/check.ts'
import { awayOf, type CostEstimate, checkPage, isPushedAway, learntOf } from '../../recipes/check/checkPage.ts'
import { isRuin } from '../../recipes/check/findings.ts'
import type { CheckedMethod } from '../../recipes/check/rowSigns.ts'
import type { ShownToken } from '../../recipes/check/shown.ts'
import { type MethodKey, methodKeys, methods } from '../../recipes/methods.ts'
import { completeSettings } from '../../recipes/trainer/completeSettings.ts'
import { dataFields, engineFields, evalFields, flag, modelFields, size, text } from '../../recipes/trainer/fields.ts'
import { sftSchema } from '../../recipes/trainer/schema.ts'
import { writeText } from '../../report/files.node.ts'
import { badInput, type Where } from '../../util/fault.ts'
import { formatNumber, percent, plural, shellWord, whole } from '../../util/format.ts'
import { openInBrowser } from '../browser.ts'
import { type Command, type Context, command } from '../command.ts'
import { estimateRun, type WorkSettings } from '../estimate.ts'
import { bytes, duration, shortPath } from '../format.ts'
import { interruptible } from '../interrupt.ts'
import type { Output } from '../output.ts'
import { makeReporter, type Reporter } from '../reporter.ts'
import { makeScreen, type Paint, painter, type Style } from '../screen.ts'
import type { FailedTrial } from '../trialRun.ts'

const { data, column, chat, maxSamples, maxLength, maxPromptLength } = dataFields
const { assistantOnlyLoss, completionOnlyLoss } = sftSchema.shape
const { evalData, evalSplit } = evalFields

/** How each method reads rows. Self-play reads prompts with completions in a way of its own. */
const readAs: Partial<Record<MethodKey, CheckedMethod>> = {
  ...{ sft: 'sft', dpo: 'dpo', kto: 'kto', reward: 'reward', distill: 'sft' },
  ...{ reinforce: 'grpo', rloo: 'grpo', grpo: 'grpo', ppo: 'grpo', onlineDpo: 'grpo' },
}
const keys = methodKeys.filter((key) => key in readAs)
const keyOf = (name: string) => keys.find((key) => methods[key].name === name)

const own = {
  for: z
    .enum(keys.map((key) => methods[key].name))
    .describe('the method that would train on the rows; all flags of it may follow'),
  rows: size().default(3).describe('show the tokens of the first N rows'),
  estimate: flag().describe(
    'make a few steps of the run in a temporary folder, and say how long it would take here and how much memory it needs',
  ),
  html: text('FILE').optional().describe('write the result as a page to this file'),
  open: flag().describe('open the page in a browser; without --html it lies in the folder for temporary files'),
}

/** Without --for, or with one in a settings file alone. */
const schema = z.object({
  ...modelFields,
  for: own.for,
  data,
  evalData,
  evalSplit,
  rows: own.rows,
  column,
  chat,
  maxSamples,
  maxLength,
  maxPromptLength,
  assistantOnlyLoss,
  completionOnlyLoss,
  seed: engineFields.seed,
  estimate: own.estimate,
  html: own.html,
  open: own.open,
})
type Options = z.output<typeof schema>

/** The method that the command line names. */
const namedMethod = (argv: readonly string[]): MethodKey | undefined => {
  const at = argv.indexOf('--for')
  const name = at < 0 ? argv.find((word) => word.startsWith('--for='))?.slice('--for='.length) : argv[at + 1]
  return name === undefined ? undefined : keyOf(name)
}

/** The flags of check and of the method. What only training must have may be left out. */
const withFlagsOf = ({ shape }: z.ZodObject): typeof schema =>
  z.object({
    ...modelFields,
    ...own,
    ...Object.fromEntries(
      Object.entries(shape as Record<string, z.ZodType>).map(([key, field]) => [
        key,
        ['model', 'data', 'output'].includes(key) || field.safeParse(undefined).success ? field : field.optional(),
      ]),
    ),
  }) as unknown as typeof schema

/** @param argv of the command: the method after --for decides which flags there are */
export const checkCommand = async (argv: readonly string[]): Promise<Command> => {
  const key = namedMethod(argv)
  return command({
    summary:
      'Show what would be trained, token by token, and what is wrong with the rows; exit code 2 if it would ruin a run',
    example: 'check --model HuggingFaceTB/SmolLM2-135M-Instruct --data CHATS.jsonl --for sft --assistant-only-loss',
    schema: key ? withFlagsOf(await methods[key].schema()) : schema,
    ...(key && { prepare: (given) => completeSettings(methods[key].name, given) }),
    run: check,
  })
}

const check = async (options: Options, { out, argv }: Context) => {
  const { html } = options
  if (html !== undefined && !existsSync(dirname(resolve(html))))
    throw badInput('no-file', 'its folder is not there; make it first', { file: html })
  const rows: ShownRow[] = []
  let sums: CheckSummary | undefined
  const report = makeReporter(out.screen, { logEvery: 1 })
  const color = makeScreen(process.stdout).color && !out.json
  const paint = painter({ color })
  const learnt = learntOf(options.for)
  try {
    for await (const event of checkRows(checkSettingsOf(options))) {
      if (event.event === 'progress') {
        report.show(event)
        continue
      }
      report.clear()
      if (event.event === 'check') sums = event
      else {
        if (out.json) await out.jsonLine(event)
        else
          await out.text(
            `${rows.length ? '' : `${legend(paint, color, learnt, awayOf(options.for))}\n`}${rowText(event, paint, color, learnt)}`,
          )
        rows.push(event)
      }
    }
    if (!sums) return
    if (!out.json) await out.text(summaryText(sums, paint))
    const cost = options.estimate ? await costOf(options, sums, report) : undefined
    if (cost && !out.json) await out.text(costText(cost))
    const command = ['attune', ...argv].map(shellWord).join(' ')
    const checked = { method: options.for, model: options.model, files: options.data, command, rows, sums }
    const page = () => checkPage({ ...checked, cost: cost && 'seconds' in cost ? costWords(cost) : undefined })
    if (options.open || html !== undefined) await showPage(page(), html, options.open, out)
    if (out.json) for (const line of linesOf(sums, cost)) await out.jsonLine(line)
    refuseRuined(sums.findings)
    if (cost && 'refused' in cost && cost.refused)
      throw badInput('check-failed', `attune ${options.for} would not begin: ${cost.failed}`)
  } finally {
    report.clear()
  }
}

const checkSettingsOf = (options: Options): CheckSettings => ({
  ...options,
  // Other methods have no such flags
  assistantOnlyLoss: options.assistantOnlyLoss ?? false,
  completionOnlyLoss: options.completionOnlyLoss ?? true,
  for: readsPrompts(options) ? 'grpo' : readAs[keyOf(options.for)!]!,
})

/** A distillation whose completions are all sampled reads prompts alone. */
const readsPrompts = (options: Options & { lmbda?: number; seqKd?: boolean }) =>
  options.for === methods.distill.name && (options.lmbda === 1 || options.seqKd === true)

// ---- the estimate ----------------------------------------------------------------------------------------------------

/** Undefined after an interrupt. */
const costOf = async (
  options: Options,
  { findings, ...sums }: CheckSummary,
  report: Reporter,
): Promise<Cost | undefined> => {
  if (findings.some(isRuin)) return { failed: 'the run would be ruined', refused: false }
  const { shape } = await methods[keyOf(options.for)!].schema()
  const settings = Object.fromEntries(Object.entries(options).filter(([key]) => key in shape)) as WorkSettings
  const onTrial = (steps: number, seconds?: number) =>
    report.note(
      `  making ${plural(steps, 'step')} of attune ${options.for}${seconds === undefined ? '' : ` for a better estimate, about ${duration(seconds)}`}`,
    )
  let interrupted = false
  const cost = await interruptible(
    (signal) => estimateRun(options.for, settings, sums, signal, onTrial),
    () => {
      interrupted = true
    },
  )
  if (interrupted) process.exitCode = 130
  report.clear()
  return cost
}

type Cost = CostEstimate | FailedTrial

const costWords = ({ seconds_per_step, steps, seconds, peak_bytes, peak_is_least, of_bytes }: CostEstimate) => ({
  time: `about ${duration(seconds)}: ${plural(steps, 'step')} of ${formatNumber(seconds_per_step)} s`,
  memory: `${peak_is_least ? 'at least' : 'about'} ${bytes(peak_bytes)} of ${bytes(of_bytes)}`,
})

const costText = (cost: Cost): string => {
  if ('failed' in cost) return `  time and memory are not estimated: ${cost.failed}`
  const { time, memory } = costWords(cost)
  return `  time here  ${time}\n  memory     ${memory}`
}

/** Writes the page, and opens it in a browser where one can be seen. */
const showPage = async (page: string, html: string | undefined, open: boolean, out: Output) => {
  const path = html ?? join(await mkdtemp(join(tmpdir(), 'attune-check-')), 'check.html')
  await writeText(path, page)
  const opened = open && !out.json && (await openInBrowser(path))
  if (out.json) await out.jsonLine({ event: 'page', page: path })
  else await out.text(`${shortPath(path)}${opened ? ', opened in the browser' : ''}`)
}

/** A line for each finding, and one of the sums. */
const linesOf = ({ findings, ...sums }: CheckSummary, cost: Cost | undefined): object[] => {
  const estimate = cost && 'failed' in cost ? { not_estimated: cost.failed } : cost && { estimate: cost }
  const last = { ...sums, ...estimate, ok: !findings.some(isRuin) }
  return [...findings.map((finding) => ({ event: 'finding', ...finding })), last]
}

type Use = ShownToken['use'] | 'special' | 'away'

const styles: Record<Use, Style> = { trained: 'green', away: 'magenta', context: 'dim', cut: 'yellow', special: 'cyan' }
/** Where there are no colours, these stand around the tokens of a use. */
const brackets: Record<Use, [string, string]> = {
  trained: ['[', ']'],
  away: ['{', '}'],
  context: ['', ''],
  cut: ['~', '~'],
  special: ['', ''],
}

/** @param away what happens to responses that are to be beaten, where there are any */
const legend = (paint: Paint, color: boolean, learnt: string, away: string | undefined): string => {
  if (!color) return `[${learnt}]  ${away === undefined ? '' : `{${away}}  `}context  ~cut~\n`
  const named: [Use, string][] = [
    ['trained', learnt],
    ...(away === undefined ? [] : [['away', away] as [Use, string]]),
    ['context', 'context'],
    ['special', 'special, not trained'],
    ['cut', 'cut'],
  ]
  return `${named.map(([use, name]) => paint(styles[use], name)).join('  ')}\n`
}

const rowText = (
  { where, dropped, refused, sequences }: ShownRow,
  paint: Paint,
  color: boolean,
  learnt: string,
): string => {
  const note = refused !== undefined ? `refused: ${refused}` : dropped !== undefined ? `dropped: ${dropped}` : ''
  const head = paint('bold', place(where))
  return [
    [head, note].filter(Boolean).join('  '),
    ...sequences.flatMap(({ name, tokens }, at) => [
      `  ${name}: ${stopNote(tokens, learnt === 'trained' && isPushedAway(sequences, at) ? 'pushed away' : learnt)}`,
      `${tokensText(tokens, paint, color, isPushedAway(sequences, at))}`,
    ]),
    '',
  ].join('\n')
}

const stopNote = (tokens: readonly ShownToken[], learnt: string): string => {
  const used = tokens.filter(({ use }) => use !== 'cut')
  const trained = used.filter(({ use }) => use === 'trained')
  const cut = tokens.length - used.length
  const stop = trained.some((token) => token.stop) ? `stop token ${learnt}` : `stop token not ${learnt}`
  return [
    plural(used.length, 'token'),
    ...(trained.length ? [`${whole(trained.length)} ${learnt}`, stop] : []),
    ...(cut ? [`${whole(cut)} cut`] : []),
  ].join(', ')
}

/** Runs of tokens of one use, in one colour or one pair of brackets. */
const tokensText = (tokens: readonly ShownToken[], paint: Paint, color: boolean, away: boolean): string => {
  const useOf = ({ use, special }: ShownToken): Use => {
    if (use === 'trained' && away) return 'away'
    return special && use === 'context' && color ? 'special' : use
  }
  let text = ''
  for (let from = 0; from < tokens.length; ) {
    const use = useOf(tokens[from])
    let to = from
    while (to < tokens.length && useOf(tokens[to]) === use) to++
    const run = tokens
      .slice(from, to)
      .map((token) => token.text)
      .join('')
    const [open, close] = color ? ['', ''] : brackets[use]
    text += open + paint(styles[use], run) + close
    from = to
  }
  return text
}

const place = ({ file, line, row }: Where): string =>
  [
    file === undefined ? undefined : shortPath(file),
    line !== undefined && `line ${line}`,
    row !== undefined && `row ${row}`,
  ]
    .filter(Boolean)
    .join(', ')

const summaryText = (sums: CheckSummary, paint: Paint): string => {
  const { rows, used, evalRows, longest, tokens, trained, maxLength, findings } = sums
  const held = evalRows ? `, ${whole(evalRows)} held out` : ''
  const lines = findings.map(({ code, severity, count, of, first, message, advice }) => {
    const mark = severity === 'ruins' ? paint('bold', 'ruins') : paint('yellow', 'warns')
    const at = first ? `; first: ${place(first)}` : ''
    return `  ${mark}  ${code}: ${whole(count)} of ${whole(of)}, ${message}${at}\n         ${advice}`
  })
  return [
    `${whole(used)} of ${plural(rows, 'row')} would be trained on${held}: ${plural(tokens, 'token')}, ${percent(tokens ? trained / tokens : 0)} of them trained; the longest has ${whole(longest)} of at most ${whole(maxLength)}`,
    ...(lines.length ? lines : ['  nothing is wrong with them']),
  ].join('\n')
}
