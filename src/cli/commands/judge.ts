/** `attune judge`: verdicts of a judge on rows, one JSON line each, in both orders. */
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import type { Judgement } from '../../feedback/judge/judge.ts'
import type { JudgeEvent } from '../../feedback/judge/run.ts'
import { workersFields } from '../../recipes/trainer/fields.ts'
import { badInput } from '../../util/fault.ts'
import { plural } from '../../util/format.ts'
import { command } from '../command.ts'
import { judgeModelFlags, textModelSettings } from '../judgeFlags.ts'
import { eventPrinter, reportLine, runLabWithProgress } from '../labEvents.ts'
import type { Output } from '../output.ts'
import { makeReporter, type Reporter } from '../reporter.ts'
import { painter } from '../screen.ts'
import { recordedCommand, withWorkers } from '../workers.ts'

const promptNames = ['pairwise', 'single', 'reference-pairwise', 'reference-single', 'options'] as const

const schema = z.object({
  judge: z
    .string()
    .min(1)
    .optional()
    .meta({ value: 'MODEL' })
    .describe("a folder, a hub id, a run's name, or the address of an OpenAI-compatible server (URL or URL#NAME)"),
  mode: z
    .enum(['pairwise', 'single', 'reference', 'options'])
    .default('pairwise')
    .describe(
      'pairwise: which of two answers is better, or a tie; single: a grade from 1 to 10; reference: as these, against the reference of the row; options: probabilities of (A) and (B), without generating',
    ),
  data: z
    .array(z.string().min(1))
    .optional()
    .meta({ value: 'FILE' })
    .describe("preference, ranking or completion rows, AlpacaEval's outputs, or MT-bench's answers; repeatable"),
  against: z
    .array(z.string().min(1))
    .optional()
    .meta({ value: 'FILE' })
    .describe('answers of another model to the same prompts: A is the answer in --data, B the one here; repeatable'),
  questions: z.string().optional().meta({ value: 'FILE' }).describe("MT-bench's questions, where --data holds answers"),
  references: z.string().optional().meta({ value: 'FILE' }).describe("MT-bench's reference answers"),
  column: z
    .record(z.string(), z.string())
    .default({})
    .meta({ value: 'NAME=COLUMN' })
    .describe('the name that a column has in your file, if another one is expected: chosen=good; repeatable'),
  maxSamples: z.number().int().positive().optional().describe('judge only the first N rows'),
  singleOrder: z
    .boolean()
    .default(false)
    .describe('judge each pair in one order only: half the price, but the bias of the judge for a place stays in'),
  structured: z
    .boolean()
    .default(false)
    .describe('ask the server for JSON by a schema (response_format), where it offers that'),
  promptFile: z
    .string()
    .optional()
    .meta({ value: 'FILE' })
    .describe('a prompt of your own; --print-prompt prints one to begin with'),
  printPrompt: z
    .enum(promptNames)
    .optional()
    .describe('print one of the prompts, to copy and change, and do nothing else'),
  maxNewTokens: z
    .number()
    .int()
    .positive()
    .default(1024)
    .describe('maximum number of tokens of a reply; one that is cut is an error'),
  output: z
    .string()
    .optional()
    .meta({ value: 'DIR' })
    .describe('folder of the judgements and a report; the same command goes on where it was stopped'),
  open: z.boolean().default(false).describe('open the report in a browser'),
  ...judgeModelFlags,
  ...workersFields,
})

export default command({
  summary:
    'Let a model judge answers: pairs in both orders, grades, against a reference, or by probabilities of options',
  example: 'judge --judge http://127.0.0.1:8000/v1 --data PAIRS.jsonl --output judged',
  schema,
  async run(options, { out, argv }) {
    const { judge: spec, data, printPrompt, open, ...settings } = options
    if (printPrompt) {
      const { builtInPrompt } = await import('../../feedback/judge/prompt.ts')
      return out.text(await builtInPrompt(printPrompt), '')
    }
    if (spec === undefined) throw badInput('bad-flag', 'is missing: who is to judge?', { flag: '--judge' })
    if (data === undefined) throw badInput('bad-flag', 'is missing: which rows?', { flag: '--data' })
    if (options.workers !== undefined && options.mode === 'options')
      throw badInput('bad-flag', 'shares out what a judge writes, and with --mode options it writes nothing', {
        flag: '--workers',
      })
    const { openJudge } = await import('../../feedback/judge/judge.ts')
    const { judgeRows } = await import('../../feedback/judge/run.ts')
    out.noteJsonLines()
    const report = makeReporter(out.screen, { logEvery: 1 })
    const print = out.toTerminal ? await printEvent(out) : (event: JudgeEvent) => printLine(event, out, report)
    await withWorkers(
      settings,
      { name: `judge ${spec}`, note: report.note, screen: out.screen },
      async (settings, sharing) => {
        const judge = await openJudge(spec, { ...settings, ...textModelSettings(options, report), sharing })
        try {
          await runLabWithProgress<JudgeEvent>(
            (signal) =>
              judgeRows(
                judge,
                { ...settings, data, resolve: resolveDataset },
                { signal, command: recordedCommand(argv) },
              ),
            {
              bar: report,
              print,
              reportOf: (event) => (event.event === 'end' ? event.report : undefined),
              open: open && !out.json,
            },
          )
        } finally {
          await judge.close()
        }
      },
    )
  },
})

/** Verdicts and the end are lines on stdout, as for --json; the rest is said on stderr. */
const printLine = async (event: JudgeEvent, out: Output, report: Reporter) => {
  if (event.event === 'plan' && !out.json) return
  if (event.event === 'warning' && !out.json) return report.note(`  note      ${event.message}`)
  await out.jsonLine(event.event === 'judgement' ? event.judgement : event)
}

const judgementText = ({ id, verdict, verdicts, scores, reason }: Judgement): string =>
  [
    `${id}`.padEnd(10),
    (verdict ?? 'graded').padEnd(7),
    verdicts.length > 1 ? verdicts.join(' ').padEnd(12) : '',
    scores.map((score) => Number(score.toPrecision(3))).join(' '),
    reason.replaceAll(/\s+/g, ' ').slice(0, 60),
  ]
    .filter(Boolean)
    .join(' ')

const printEvent = async (out: Output) => {
  const { endText } = await import('../../feedback/judge/run.ts')
  const paint = painter({ color: out.screen.color })
  return eventPrinter<JudgeEvent, 'progress'>({
    plan: ({ n, requests, judge, kept, output }) =>
      out.text(
        `${paint('bold', 'attune judge')}  ${plural(n, 'row')} by ${judge}, ${plural(requests, 'request')}${kept ? `; ${kept} are judged already` : ''}${output ? `; ${output}` : ''}`,
      ),
    judgement: ({ judgement }) => out.text(judgementText(judgement)),
    warning: ({ message }) => out.text(`  ${paint('yellow', 'note')}      ${message}`),
    stopped: () => out.text('  stopped; the same command continues'),
    end: async (end) => {
      await out.text(`\n${endText(end)}`)
      if (end.report) await out.text(reportLine(paint, { report: end.report }))
    },
  })
}
