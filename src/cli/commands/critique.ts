/** `attune critique`: critiques and revisions under a constitution, and preferences under it, with a line of progress. */
import { z } from 'zod'
import { shippedText } from '../../feedback/constitution/shipped.node.ts'
import type { CritiqueEvent } from '../../labs/critique/critique.ts'
import { critiqueSchema } from '../../labs/critique/settings.ts'
import { plural } from '../../util/format.ts'
import { command } from '../command.ts'
import { shortPath, wrapped } from '../format.ts'
import { eventPrinter, reportLine, runLabWithProgress } from '../labEvents.ts'
import type { Output } from '../output.ts'
import { makeReporter } from '../reporter.ts'
import { painter } from '../screen.ts'
import { serverFields, usageText } from '../serverCompletions.ts'

const schema = critiqueSchema.extend({
  ...serverFields,
  modelName: serverFields.modelName.describe('name of --model on its server (default: its only one); also URL#NAME'),
  judgeModel: serverFields.modelName.describe('name of --judge on its server (default: its only one); also URL#NAME'),
  printConstitution: z
    .boolean()
    .default(false)
    .describe('print the constitution of attune, a file to copy and change, and end'),
  open: z.boolean().default(false).describe('open the report in a browser'),
})

export default command({
  summary:
    'Let a model criticise and revise its answers under the principles of a constitution, and compare answers under them',
  example:
    'critique --model HuggingFaceTB/SmolLM2-135M-Instruct --data PROMPTS.jsonl --constitution CONSTITUTION.yaml --output critique',
  schema,
  // Who only prints needs no model
  prepare: async (given) => (given.printConstitution ? { model: 'none', data: ['none'], ...given } : given),
  async run({ open, printConstitution, price, ...settings }, { out, argv }) {
    if (printConstitution) {
      const constitution = await shippedText()
      return out.json ? out.jsonLine({ constitution }) : out.text(constitution, '')
    }
    const { critique } = await import('../../labs/critique/critique.ts')
    const bar = makeReporter(out.screen, { logEvery: 1 })
    const print = out.json ? (event: CritiqueEvent) => out.jsonLine(event) : printEvent(out)
    const all = {
      ...settings,
      price: price && { prompt: price[0], completion: price[1] },
      onRetry: ({ message, seconds, row }: { message: string; seconds: number; row: number }) =>
        bar.note(`prompt ${row}: ${message}; retrying in ${seconds.toFixed(1)} s`),
    }
    await runLabWithProgress<CritiqueEvent>((signal) => critique(all, { signal, command: ['attune', ...argv] }), {
      bar,
      print,
      reportOf: (event) => (event.event === 'result' ? event.files.report : undefined),
      open: open && !out.json,
    })
  },
})

const printEvent = (out: Output) => {
  const fitted = (text: string, indent: number) => (out.toTerminal ? wrapped(text, out.columns() - 1, indent) : text)
  const paint = painter({ color: out.toTerminal && out.screen.color })
  return eventPrinter<CritiqueEvent, 'progress'>({
    plan: ({ phase, model, judge, prompts, principles, rounds, output }) =>
      out.text(
        [
          `${paint('bold', 'attune critique')}  ${shortPath(output)}`,
          `  model     ${model}${judge === model ? '' : `; judge ${judge}`}`,
          `  prompts   ${prompts}, ${phase === 'revisions' ? plural(rounds, 'round') : `${plural(rounds, 'pair')} each`}, ${plural(principles, 'principle')}`,
        ].join('\n'),
      ),
    warning: ({ message }) => out.text(`  ${paint('yellow', 'note'.padEnd(10))}${fitted(message, 12)}`),
    stopped: () => out.text('  stopped; the same command continues'),
    result: ({ words, spent, files }) =>
      out.text(
        [
          '',
          ...words.map((text) => `  ${fitted(text, 2)}\n`),
          ...(spent ? [`  servers   ${usageText(spent)}`] : []),
          `  rows      ${shortPath(files.rows)}`,
          reportLine(paint, files),
        ].join('\n'),
      ),
  })
}
