/** What a model thinks of texts: a line a row, with the log-probability of each token that counts. */
import { z } from 'zod'
import { pack } from '../../data/batch.ts'
import { openRows } from '../../data/openRows.node.ts'
import type { Model } from '../../passes/model.ts'
import { openModel } from '../../passes/open.node.ts'
import { targetStats } from '../../passes/stats.ts'
import { openEncoder } from '../../recipes/encoder.ts'
import { engineFields } from '../../recipes/schema.ts'
import { command } from '../command.ts'
import { isCounted, type Scorable, scorable } from '../scoring.ts'
import { reporter } from '../terminal.ts'

const schema = z.object({
  model: z.string().meta({ value: 'MODEL' }).describe('a folder, a hub id or the name of a run'),
  adapter: z.string().optional().meta({ value: 'DIR' }).describe('a PEFT adapter of that model'),
  data: z.array(z.string()).min(1).meta({ value: 'FILE' }).describe('rows to score; repeatable'),
  batchSize: z.number().int().positive().default(8).describe('rows that are computed at once'),
  completionOnlyLoss: z
    .boolean()
    .default(true)
    .meta({ off: 'the prompt counts too' })
    .describe('of rows with a prompt only the completion counts'),
  assistantOnlyLoss: z.boolean().default(false).describe("of messages only the assistant's turns count"),
  device: engineFields.device,
  threads: engineFields.threads,
})

export default command({
  summary: 'Log-probabilities of completions, texts, conversations or ids with labels',
  example: 'score --model HuggingFaceTB/SmolLM2-135M --data completions.jsonl --json',
  schema,
  async run(options, { out }) {
    const report = reporter(out.screen, { logEvery: 1 })
    const rows = await openRows(options.data)
    const opened = await openModel({ ...options, onProgress: (at) => report.show({ event: 'progress', ...at }) })
    try {
      const encoder = await openEncoder(opened)
      const { max_position_embeddings: positions, vocab_size: vocabulary } = opened.model.config
      const counts = { assistantOnly: options.assistantOnlyLoss, completionOnly: options.completionOnlyLoss }
      for (let from = 0; from < rows.length; from += options.batchSize) {
        const batch: Scorable[] = []
        for (let i = from; i < Math.min(rows.length, from + options.batchSize); i++)
          batch.push(scorable(encoder, await rows.row(i), i, { positions, vocabulary }, counts))
        for (const logps of await score(opened.model, batch))
          await out.line({ logp: logps.reduce((a, b) => a + b, 0), tokens: logps.length, token_logps: logps })
        report.show({ event: 'progress', phase: 'score', done: from + batch.length, total: rows.length })
      }
    } finally {
      report.clear()
      await opened.close()
      await rows.close()
    }
  },
})

/** Log-probabilities of the counted labels of each row, in nats. */
const score = async (model: Model, batch: readonly Scorable[]): Promise<number[][]> => {
  const trees = batch.map(({ ids, labels }) => ({
    trunk: ids,
    trunkTargets: labels.map((l) => Number(isCounted(l))),
    branches: [],
  }))
  const counted = batch.map(({ labels }) => labels.filter(isCounted))
  const total = counted.reduce((n, { length }) => n + length, 0)
  if (total === 0) return batch.map(() => [])
  const packed = pack(trees, 0)
  // A label may differ from the id that it stands under
  const { stats, placed } = targetStats(model, { ...packed, targets: { ...packed.targets, label: counted.flat() } }, [
    'logps',
  ])
  const logps = await model.backend.read(stats.logps)
  model.backend.free([stats.logps, ...placed.handles])
  let at = 0
  return counted.map(({ length }) => Array.from(logps.subarray(at, (at += length))))
}
