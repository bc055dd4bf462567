/** `attune best-of-n`: the completion with the highest reward of N, the baseline that training must beat. */

import { withoutTurn } from '../../data/chatRows.ts'
import { contentText } from '../../data/messages.ts'
import { promptText } from '../../data/prompts.ts'
import { isMessages, type Text } from '../../data/rows.ts'
import type { BestOfN } from '../../recipes/bestOfN.ts'
import { bestOfNSchema } from '../../recipes/rl/schema.ts'
import { formatNumber, plural } from '../../util/format.ts'
import { command } from '../command.ts'
import { columns } from '../format.ts'
import { interruptible } from '../interrupt.ts'
import { makeReporter } from '../reporter.ts'
import { withWorkers } from '../workers.ts'

export default command({
  summary:
    'Sample N completions of each prompt and keep the one with the highest reward; also estimates every smaller N',
  example:
    'best-of-n --model HuggingFaceTB/SmolLM2-135M-Instruct --data PROMPTS.jsonl --reward REWARD-MODEL --num-generations 16',
  schema: bestOfNSchema,
  async run(options, { out }) {
    const { bestOfN } = await import('../../recipes/bestOfN.ts')
    out.noteJsonLines()
    const report = makeReporter(out.screen, { logEvery: 1 })
    const name = `best-of-n ${options.model}`
    const result = await withWorkers(options, { name, note: report.note, screen: out.screen }, (own, sharing) =>
      interruptible(
        async (signal) => {
          const events = bestOfN(own, { signal, sharing })
          for (;;) {
            const { done, value } = await events.next()
            if (done) return value
            report.show(value)
          }
        },
        () => report.note('  stopping'),
      ).finally(() => report.clear()),
    )
    if (!result) {
      process.exitCode = 130
      return
    }
    if (result.failed)
      report.note(`  note      ${plural(result.failed, 'reward')} failed; these completions were left out`)
    for (const row of result.rows) await (out.toTerminal ? out.text(rowText(row)) : out.jsonLine(row))
    const { table, dropped, failed } = result
    // A file of rows alone can be trained on
    if (out.json) await out.jsonLine({ event: 'end', table, dropped, failed })
    const rows = table
      .filter(({ reward }) => Number.isFinite(reward))
      .map((row) => [`${row.n}`, rewardText(row), formatNumber(row.kl)])
    out.screen.write(`\n${columns([['best of', 'mean reward (95 %)', 'KL, nats, at most'], ...rows], [0, 1, 2])}\n`)
  },
})

/** Wilson's interval, of prompts that all succeed or all fail, does not lie around the mean. */
const rewardText = ({ reward, standard_error, low, high }: BestOfN['table'][number]): string => {
  const mean = formatNumber(reward)
  if (low === undefined || high === undefined) return mean
  return standard_error > 0
    ? `${mean} ± ${formatNumber(high - reward)}`
    : `${mean} (${formatNumber(low)} to ${formatNumber(high)})`
}

const rowText = ({ prompt, completion, reward }: BestOfN['rows'][number]): string =>
  `${reward === null ? 'no reward' : formatNumber(reward)}  ${promptText({}, withoutTurn(prompt))}│${answerText(completion)}`

const answerText = (completion: Text): string =>
  isMessages(completion) ? completion.map(contentText).join('') : promptText({}, completion)
