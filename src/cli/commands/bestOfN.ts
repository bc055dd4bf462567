/** What a policy gives when it may try N times: the baseline that training must beat. */
import type { BestOfN } from '../../recipes/bestOfN.ts'
import { bestOfNSchema } from '../../recipes/rl/schema.ts'
import { plural } from '../../util/format.ts'
import { command } from '../command.ts'
import { columns, figure } from '../format.ts'
import { interruptible } from '../interrupt.ts'
import { reporter } from '../terminal.ts'

export default command({
  summary: 'Answer each prompt N times and keep the best rewarded answer; also what every smaller N would give',
  example:
    'best-of-n --model HuggingFaceTB/SmolLM2-135M-Instruct --data prompts.jsonl --reward runs/reward --num-generations 16',
  schema: bestOfNSchema,
  async run(options, { out }) {
    const { bestOfN } = await import('../../recipes/bestOfN.ts')
    const report = reporter(out.screen, { logEvery: 1 })
    const made = await interruptible(
      async (signal) => {
        const work = bestOfN(options, signal)
        for (;;) {
          const { done, value } = await work.next()
          if (done) return value
          report.show(value)
        }
      },
      () => report.note('  stopping'),
    ).finally(() => report.clear())
    if (!made) {
      process.exitCode = 130
      return
    }
    if (made.failed) report.note(`  note      ${plural(made.failed, 'reward')} failed; these samples were left out`)
    for (const row of made.rows) await (out.readable ? out.text(readable(row)) : out.line(row))
    if (!out.readable) await out.line({ event: 'end', table: made.table, dropped: made.dropped, failed: made.failed })
    const rows = made.table
      .filter(({ reward }) => Number.isFinite(reward))
      .map(({ n, reward, standard_error, kl }) => [
        ...[`${n}`, `${figure(reward)} ± ${figure(1.96 * standard_error)}`, figure(kl)],
      ])
    out.screen.write(`\n${columns([['best of', 'mean reward (95 %)', 'KL, nats, at most'], ...rows], [0, 1, 2])}\n`)
  },
})

const readable = ({ prompt, completion, reward }: BestOfN['rows'][number]): string =>
  `${reward === null ? 'no reward' : figure(reward)}  ${prompt}│${completion}`
