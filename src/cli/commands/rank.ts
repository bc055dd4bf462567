/** `attune rank`: which of several candidates for a prompt are better, by a pair ranker; a line per row. */
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import { type Ranked, rankFiles, rankMethods } from '../../feedback/rank.ts'
import { openRanker } from '../../passes/openRanker.node.ts'
import { dataFields } from '../../recipes/trainer/fields.ts'
import { formatNumber } from '../../util/format.ts'
import { command } from '../command.ts'
import { engineFlags } from '../modelFlags.ts'
import { makeReporter } from '../reporter.ts'

const schema = z.object({
  model: z.string().meta({ value: 'MODEL' }).describe('a pair ranker: a folder, a hub id or the name of a run'),
  data: z
    .array(z.string())
    .min(1)
    .meta({ value: 'FILE' })
    .describe('rows with prompt and candidates, or with input_ids of a joined pair; repeatable'),
  column: dataFields.column,
  method: z
    .enum(rankMethods)
    .default('full')
    .describe('compare every pair in both orders, or only those that a bubble sort needs'),
  ...engineFlags,
})

export default command({
  summary: 'Rank candidates for a prompt by a pair ranker, which reads two of them at a time',
  example: 'rank --model llm-blender/PairRM-hf --data CANDIDATES.jsonl --json',
  schema,
  async run(options, { out }) {
    out.noteJsonLines()
    const report = makeReporter(out.screen, { logEvery: 1 })
    const onProgress = (at: { phase: 'download' | 'load'; done: number; total: number }) =>
      report.show({ event: 'progress', ...at })
    const ranker = await openRanker({ ...options, onProgress })
    try {
      const { data, column: columns, method } = options
      const { rows, ranked } = await rankFiles(ranker, { data, columns, method, resolve: resolveDataset })
      let done = 0
      for await (const line of ranked) {
        if (out.toTerminal) {
          report.clear()
          await out.text(`row ${done}: ${textOf(line)}`)
        } else await out.jsonLine(line)
        report.show({ event: 'progress', phase: 'score', done: ++done, total: rows })
      }
    } finally {
      report.clear()
      await ranker.close()
    }
  },
})

const textOf = (line: Ranked): string => {
  if ('logit' in line) return `scores ${line.scores.map(formatNumber).join(', ')}; logit ${formatNumber(line.logit)}`
  const scores = 'scores' in line ? `   scores ${line.scores.map(formatNumber).join(', ')}` : ''
  return `ranks ${line.ranks.join(', ')}${scores}`
}
