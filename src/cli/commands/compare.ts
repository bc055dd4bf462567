/** `attune compare`: compares models, with a line of progress, the warnings, and the conclusions in sentences. */
import { z } from 'zod'
import type { CompareEvent } from '../../labs/compare/compare.ts'
import { compareSchema } from '../../labs/compare/settings.ts'
import { plural } from '../../util/format.ts'
import { command } from '../command.ts'
import { shortPath, wrapped } from '../format.ts'
import { eventPrinter, reportLine, runLabWithProgress } from '../labEvents.ts'
import type { Output } from '../output.ts'
import { makeReporter } from '../reporter.ts'
import { painter } from '../screen.ts'

const schema = compareSchema.extend({
  open: z.boolean().default(false).describe('open the report in a browser'),
})

export default command({
  summary: 'Compare models by their completions: rewards, win rates, KL, length, diversity, and what follows from them',
  example:
    'compare level1=runs/scalar level2=runs/probabilistic --base HuggingFaceTB/SmolLM2-135M-Instruct --data held-out.jsonl --reward runs/rm-scalar --reward runs/rm-probabilistic --judge runs/rm-third',
  schema,
  operands: ['policies'],
  async run({ open, ...settings }, { out, argv }) {
    const { compare } = await import('../../labs/compare/compare.ts')
    const bar = makeReporter(out.screen, { logEvery: 1 })
    const print = out.json ? (event: CompareEvent) => out.jsonLine(event) : printEvent(out)
    await runLabWithProgress<CompareEvent>((signal) => compare(settings, { signal, command: ['attune', ...argv] }), {
      bar,
      print,
      reportOf: (event) => (event.event === 'result' ? event.files.report : undefined),
      open: open && !out.json,
    })
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
    plan: ({ base, policies, judges, prompts, checkpoints, output }) =>
      out.text(
        [
          `${paint('bold', 'attune compare')}  ${shortPath(output)}`,
          `  models    ${policies.join(', ')}${checkpoints ? ` (and ${plural(checkpoints, 'checkpoint')} of their runs)` : ''}`,
          `  before    ${base}`,
          `  prompts   ${prompts}`,
          `  judges    ${judges.map(({ name }) => name).join(', ')}`,
        ].join('\n'),
      ),
    warning: ({ message }) => out.text(`  ${paint('yellow', 'note'.padEnd(10))}${fitted(message, 12)}`),
    stopped: () => out.text('  stopped; the same command continues'),
    result: ({ words, files }) =>
      out.text(['', ...words.map((text) => `  ${fitted(text, 2)}\n`), reportLine(paint, files)].join('\n')),
  })
}
