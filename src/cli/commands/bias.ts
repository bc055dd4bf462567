/** `attune bias`: the faults of a judge, from its judgements or by asking it, and whether it may be believed. */
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import type { BiasEvent } from '../../labs/bias/bias.ts'
import { biasSchema } from '../../labs/bias/settings.ts'
import { badInput } from '../../util/fault.ts'
import { plural } from '../../util/format.ts'
import { kebab } from '../../util/kebab.ts'
import { command } from '../command.ts'
import { shortPath, wrapped } from '../format.ts'
import { judgeModelFlags, textModelSettings } from '../judgeFlags.ts'
import { eventPrinter, reportLine, runLabWithProgress } from '../labEvents.ts'
import type { Output } from '../output.ts'
import { makeReporter } from '../reporter.ts'
import { painter } from '../screen.ts'

const schema = biasSchema.extend({
  open: z.boolean().default(false).describe('open the report in a browser'),
  ...judgeModelFlags,
})

/** Flags that say nothing of judgements that are there. */
const askedOnly = ['data', 'against', 'promptFile', 'judgeModel', 'adapter'] as const

export default command({
  summary:
    'May a judge be believed? Its bias for a position, for length and for itself, mathematics it misses, agreement with people',
  example: 'bias --judge http://127.0.0.1:8000/v1 --data PAIRS.jsonl --output bias',
  schema,
  operands: ['files'],
  async run({ open, ...options }, { out, argv }) {
    const { judge: spec, files } = options
    if (spec !== undefined && files.length)
      throw badInput('bad-flag', 'asks a judge about rows (--data); judgements that are there need no judge', {
        flag: '--judge',
      })
    const unused = askedOnly.find((key) => options[key] !== undefined)
    if (spec === undefined && unused)
      throw badInput('bad-flag', 'is for a judge that is asked; it needs --judge', { flag: `--${kebab(unused)}` })
    const { bias } = await import('../../labs/bias/bias.ts')
    const bar = makeReporter(out.screen, { logEvery: 1 })
    const model =
      spec === undefined
        ? undefined
        : await (await import('../../feedback/textModel/openTextModel.ts')).openTextModel(
            spec,
            textModelSettings(options, bar),
          )
    const print = out.json ? printJson(out) : printEvent(out)
    try {
      await runLabWithProgress<BiasEvent>(
        (signal) => bias(options, { model, signal, command: ['attune', ...argv], resolve: resolveDataset }),
        {
          bar,
          print,
          reportOf: (event) => (event.event === 'result' ? event.files.report : undefined),
          open: open && !out.json,
        },
      )
    } finally {
      await model?.close()
    }
  },
})

const printJson = (out: Output) => (event: BiasEvent) =>
  out.jsonLine(event.event === 'result' ? { event: 'end', ...event.json, files: event.files } : event)

const printEvent = (out: Output) => {
  const paint = painter({ color: out.toTerminal && out.screen.color })
  const fitted = (text: string, indent: number) => wrapped(text, out.columns() - 1, indent)
  return eventPrinter<BiasEvent, 'progress'>({
    plan: ({ judge, pairs, kept, output }) =>
      out.text(
        `${paint('bold', 'attune bias')}  ${judge}, ${plural(pairs, 'pair')}${kept && kept !== pairs ? `; ${kept} of its replies are kept` : ''}; ${shortPath(output)}`,
      ),
    warning: ({ message }) => out.text(`  ${paint('yellow', 'note'.padEnd(10))}${fitted(message, 12)}`),
    stopped: () => out.text('  stopped; the same command continues'),
    result: ({ words: [headline, ...words], files }) =>
      out.text(
        [
          '',
          `  ${fitted(headline, 2)}`,
          '',
          ...words.filter(Boolean).map((text) => `  - ${fitted(text, 4)}`),
          '',
          reportLine(paint, files),
        ].join('\n'),
      ),
  })
}
