/** `attune compare`: compares models, with a line of progress, the warnings, and the conclusions in sentences. */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { CompareEvent } from '../../labs/compare/compare.ts'
import type { CompareFindings } from '../../labs/compare/findings.ts'
import { compareSchema } from '../../labs/compare/settings.ts'
import { winnersFirst } from '../../labs/compare/verdicts.ts'
import { plural } from '../../util/format.ts'
import { command } from '../command.ts'
import { shortPath, wrapped } from '../format.ts'
import { eventPrinter, reportLine, runLabWithProgress } from '../labEvents.ts'
import type { Output } from '../output.ts'
import { makeReporter } from '../reporter.ts'
import { painter } from '../screen.ts'
import { makeTimeLeft } from '../timeLeft.ts'
import { winRateTable } from '../winRateTable.ts'
import { recordedCommand, withWorkers } from '../workers.ts'

const schema = compareSchema.extend({
  open: z.boolean().default(false).describe('open the report in a browser'),
})

export default command({
  summary: 'Compare models by their completions: rewards, win rates, KL, length, diversity, and what follows from them',
  example:
    'compare tuned=RUN other=OTHER-RUN --base HuggingFaceTB/SmolLM2-135M-Instruct --data PROMPTS.jsonl --judge JUDGE',
  schema,
  operands: ['policies'],
  async run({ open, ...settings }, { out, argv }) {
    const { compare } = await import('../../labs/compare/compare.ts')
    const bar = makeReporter(out.screen, { logEvery: 1 })
    const timeLeft = makeTimeLeft(out.screen.now)
    const print = out.json ? (event: CompareEvent) => out.jsonLine(event) : printEvent(out)
    await withWorkers(
      settings,
      { name: `compare ${settings.output}`, note: bar.note, screen: out.screen },
      async (own, sharing) => {
        await runLabWithProgress<CompareEvent>(
          (signal) => compare(own, { signal, command: recordedCommand(argv), sharing }),
          {
            bar,
            print,
            words: (event) => ({ name: event.work, unit: 'completions', left: timeLeft(event) }),
            reportOf: (event) => (event.event === 'result' ? event.files.report : undefined),
            open: open && !out.json,
          },
        )
      },
    )
  },
})

const printEvent = (out: Output) => {
  // A number and its percent sign stay on one line
  const fitted = (text: string, indent: number) =>
    out.toTerminal
      ? wrapped(text.replace(/(\d) %/g, '$1\u00a0%'), out.columns() - 1, indent).replaceAll('\u00a0', ' ')
      : text
  const paint = painter({ color: out.toTerminal && out.screen.color })
  return eventPrinter<CompareEvent, 'progress'>({
    plan: ({ base, policies, judges, prompts, clusters, checkpoints, output }) =>
      out.text(
        [
          `${paint('bold', 'attune compare')}  ${shortPath(output)}`,
          `  models    ${policies.join(', ')}${checkpoints ? ` (and ${plural(checkpoints, 'checkpoint')} of their runs)` : ''}`,
          `  before    ${base}`,
          `  prompts   ${prompts}${clusters === undefined ? '' : ` in ${plural(clusters, 'cluster')}`}`,
          `  judges    ${judges.map(({ name }) => name).join(', ')}`,
        ].join('\n'),
      ),
    warning: ({ message }) => out.text(`  ${paint('yellow', 'note'.padEnd(10))}${fitted(message, 12)}`),
    stopped: () => out.text('  stopped; the same command continues'),
    async result({ words: [headline, ...words], files }) {
      const findings: CompareFindings = JSON.parse(await readFile(files.findings, 'utf8'))
      const table = winRateTable(winnersFirst(findings), out.columns() - 2)
      const said = (text: string) => `  ${fitted(text, 2)}\n`
      const rates = table ? [`${table.replaceAll(/^/gm, '  ')}\n`] : []
      await out.text(['', said(headline), ...rates, ...words.map(said), reportLine(paint, files)].join('\n'))
    },
  })
}
