/** `attune check`: what a training run would learn from a file, token by token, and what is wrong with its rows. */
import { existsSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { type CheckSummary, checkRows, refuseRuined, type ShownRow } from '../../recipes/check/check.ts'
import { checkPage, learntOf } from '../../recipes/check/checkPage.ts'
import type { Finding } from '../../recipes/check/findings.ts'
import { checkedMethods } from '../../recipes/check/rowSigns.ts'
import type { ShownToken } from '../../recipes/check/shown.ts'
import { dataFields, engineFields, evalFields, flag, modelFields, size, text } from '../../recipes/trainer/fields.ts'
import { sftSchema } from '../../recipes/trainer/schema.ts'
import { writeText } from '../../report/files.node.ts'
import { badInput, type Where } from '../../util/fault.ts'
import { percent, plural, shellWord, whole } from '../../util/format.ts'
import { openInBrowser } from '../browser.ts'
import { command } from '../command.ts'
import { shortPath } from '../format.ts'
import type { Output } from '../output.ts'
import { makeReporter } from '../reporter.ts'
import { makeScreen, type Paint, painter, type Style } from '../screen.ts'

const { data, column, chat, maxSamples, maxLength, maxPromptLength } = dataFields
const { assistantOnlyLoss, completionOnlyLoss } = sftSchema.shape
const { evalData, evalSplit } = evalFields

const schema = z.object({
  ...modelFields,
  for: z.enum(checkedMethods).describe('the method that would train on the rows'),
  data,
  evalData,
  evalSplit,
  rows: size().default(3).describe('show the tokens of the first N rows'),
  column,
  chat,
  maxSamples,
  maxLength,
  maxPromptLength,
  assistantOnlyLoss,
  completionOnlyLoss,
  seed: engineFields.seed,
  html: text('FILE').optional().describe('write the result as a page to this file'),
  open: flag().describe('open the page in a browser; without --html it lies in the folder for temporary files'),
})

export default command({
  summary:
    'Show what would be trained, token by token, and what is wrong with the rows; exit code 2 if it would ruin a run',
  example: 'check --model HuggingFaceTB/SmolLM2-135M-Instruct --data chats.jsonl --for sft --assistant-only-loss',
  schema,
  async run(options, { out, argv }) {
    const { html, open } = options
    if (html !== undefined && !existsSync(dirname(resolve(html))))
      throw badInput('no-file', 'its folder is not there; make it first', { file: html })
    const rows: ShownRow[] = []
    const writePage = async (sums: CheckSummary) => {
      if (!open && html === undefined) return
      const command = ['attune', ...argv].map(shellWord).join(' ')
      const checked = { method: options.for, model: options.model, files: options.data, command, rows, sums }
      await showPage(checkPage(checked), html, open, out)
    }
    const report = makeReporter(out.screen, { logEvery: 1 })
    const color = makeScreen(process.stdout).color && !out.json
    const paint = painter({ color })
    let legendShown = false
    try {
      for await (const event of checkRows(options)) {
        if (event.event === 'progress') {
          report.show(event)
          continue
        }
        report.clear()
        if (out.json && event.event === 'check') await writePage(event)
        if (out.json) for (const line of linesOf(event)) await out.jsonLine(line)
        else {
          if (!legendShown && event.event === 'row') await out.text(legend(paint, color, learntOf(options.for)))
          legendShown = true
          await out.text(
            event.event === 'row' ? rowText(event, paint, color, learntOf(options.for)) : summaryText(event, paint),
          )
        }
        if (event.event === 'row') rows.push(event)
        if (event.event !== 'check') continue
        if (!out.json) await writePage(event)
        refuseRuined(event.findings)
      }
    } finally {
      report.clear()
    }
  },
})

/** Writes the page, and opens it in a browser where one can be seen. */
const showPage = async (page: string, html: string | undefined, open: boolean, out: Output) => {
  const path = html ?? join(await mkdtemp(join(tmpdir(), 'attune-check-')), 'check.html')
  await writeText(path, page)
  const opened = open && !out.json && (await openInBrowser(path))
  if (out.json) await out.jsonLine({ event: 'page', page: path })
  else await out.text(`${shortPath(path)}${opened ? ', opened in the browser' : ''}`)
}

/** A line for each row, each finding, and the sums. */
const linesOf = (event: ShownRow | CheckSummary): object[] => {
  if (event.event === 'row') return [event]
  const { findings, ...sums } = event
  return [...findings.map((finding) => ({ event: 'finding', ...finding })), { ...sums, ok: !findings.some(ruins) }]
}

const ruins = ({ severity }: Finding) => severity === 'ruins'

type Use = ShownToken['use'] | 'special'

const styles: Record<Use, Style> = { trained: 'green', context: 'dim', cut: 'yellow', special: 'cyan' }
/** Where there are no colours, these stand around the tokens of a use. */
const brackets: Record<Use, [string, string]> = {
  trained: ['[', ']'],
  context: ['', ''],
  cut: ['~', '~'],
  special: ['', ''],
}

const legend = (paint: Paint, color: boolean, learnt: string): string => {
  if (!color) return `[${learnt}]  context  ~cut~\n`
  const named: [Use, string][] = [
    ['trained', learnt],
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
    ...sequences.flatMap(({ name, tokens }) => [
      `  ${name}: ${stopNote(tokens, learnt)}`,
      `${tokensText(tokens, paint, color)}`,
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
const tokensText = (tokens: readonly ShownToken[], paint: Paint, color: boolean): string => {
  const useOf = ({ use, special }: ShownToken): Use => (special && use === 'context' && color ? 'special' : use)
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
