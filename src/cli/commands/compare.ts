/** Policies compared, as one watches it: a line of progress, what was odd, and the conclusions in words. */
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import type { CompareEvent } from '../../labs/compare/compare.ts'
import { compareSchema } from '../../labs/compare/settings.ts'
import { plural } from '../../util/format.ts'
import { openInBrowser } from '../browser.ts'
import { command } from '../command.ts'
import { shortPath, wrapped } from '../format.ts'
import { interruptible } from '../interrupt.ts'
import type { Output } from '../output.ts'
import { painter } from '../screen.ts'
import { reporter } from '../terminal.ts'

const schema = compareSchema.extend({
  open: z.boolean().default(false).describe('open the report in a browser'),
})

export default command({
  summary: 'Compare policies by their answers: rewards, win rates, KL, length, diversity, and what can be concluded',
  example:
    'compare level1=runs/scalar level2=runs/probabilistic --sft HuggingFaceTB/SmolLM2-135M-Instruct --data held-out.jsonl --reward runs/rm-scalar --reward runs/rm-probabilistic --judge runs/rm-third',
  schema,
  operands: ['policies'],
  async run({ open, ...settings }, { out, argv }) {
    const { compare } = await import('../../labs/compare/compare.ts')
    const bar = reporter(out.screen, { logEvery: 1 })
    const print = out.json ? (event: CompareEvent) => out.line(event) : narrator(out)
    try {
      await interruptible(
        async (signal) => {
          for await (const event of compare(settings, { signal, command: ['attune', ...argv] })) {
            if (event.event === 'progress') {
              bar.show(event)
              continue
            }
            bar.clear()
            await print(event)
            if (event.event === 'stopped') process.exitCode = 130
            if (event.event === 'result' && open && !out.json) await openInBrowser(event.files.report)
          }
        },
        () => bar.note('  stopping; the same command goes on'),
      )
    } finally {
      bar.clear()
    }
  },
})

type Told<E extends CompareEvent['event']> = Extract<CompareEvent, { event: E }>

const narrator = (out: Output) => {
  const fitted = (text: string, indent: number) =>
    out.readable ? wrapped(text, out.screen.columns() - 1, indent) : text
  const paint = painter({ color: out.readable && out.screen.color })
  const tell: { [E in Exclude<CompareEvent['event'], 'progress'>]: (event: Told<E>) => Promise<void> } = {
    plan: ({ policies, judges, prompts, models, output }) =>
      out.text(
        [
          `${paint('bold', 'attune compare')}  ${shortPath(output)}`,
          `  policies  ${policies.join(', ')}; with their checkpoints and the SFT policy ${plural(models, 'model')}`,
          `  prompts   ${prompts}`,
          `  judges    ${judges.map(({ name }) => name).join(', ')}`,
        ].join('\n'),
      ),
    warning: ({ message }) => out.text(`  ${paint('yellow', 'note'.padEnd(10))}${fitted(message, 12)}`),
    stopped: () => out.text('  stopped; the same command goes on'),
    result: ({ words, files }) =>
      out.text(
        [
          '',
          ...words.map((text) => `  ${fitted(text, 2)}\n`),
          `  report    ${paint('cyan', pathToFileURL(files.report).href)}`,
        ].join('\n'),
      ),
  }
  return (event: CompareEvent) => tell[event.event as keyof typeof tell](event as never)
}
