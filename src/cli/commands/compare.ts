/** Policies compared, as one watches it: a line of progress, what was odd, and the conclusions in words. */
import { z } from 'zod'
import type { CompareEvent } from '../../labs/compare/compare.ts'
import { compareSchema } from '../../labs/compare/settings.ts'
import { plural } from '../../util/format.ts'
import { command } from '../command.ts'
import { shortPath, wrapped } from '../format.ts'
import { followLab, narrator, reportLine } from '../lab.ts'
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
    const print = out.json ? (event: CompareEvent) => out.line(event) : narration(out)
    const each = async (event: CompareEvent) => {
      if (event.event === 'progress') return bar.show(event)
      bar.clear()
      await print(event)
    }
    try {
      await followLab((signal) => compare(settings, { signal, command: ['attune', ...argv] }), {
        ...{ each, open: open && !out.json, stopping: () => bar.note('  stopping; the same command goes on') },
      })
    } finally {
      bar.clear()
    }
  },
})

const narration = (out: Output) => {
  const fitted = (text: string, indent: number) =>
    out.readable ? wrapped(text, out.screen.columns() - 1, indent) : text
  const paint = painter({ color: out.readable && out.screen.color })
  return narrator<CompareEvent, 'progress'>({
    plan: ({ policies, judges, prompts, models, output }) =>
      out.text(
        [
          `${paint('bold', 'attune compare')}  ${shortPath(output)}`,
          `  policies  ${policies.join(', ')} (with checkpoints and the SFT policy ${plural(models, 'model')})`,
          `  prompts   ${prompts}`,
          `  judges    ${judges.map(({ name }) => name).join(', ')}`,
        ].join('\n'),
      ),
    warning: ({ message }) => out.text(`  ${paint('yellow', 'note'.padEnd(10))}${fitted(message, 12)}`),
    stopped: () => out.text('  stopped; the same command goes on'),
    result: ({ words, files }) =>
      out.text(['', ...words.map((text) => `  ${fitted(text, 2)}\n`), reportLine(paint, files)].join('\n')),
  })
}
