/** What a model thinks of texts: a line a row, with the log-probability of each token that counts. */
import { z } from 'zod'
import { resolveDataset } from '../../checkpoint/hub.node.ts'
import { openRows } from '../../data/openRows.node.ts'
import { score } from '../../generate/score.ts'
import { openModel } from '../../passes/open.node.ts'
import { openEncoder } from '../../recipes/encoder.ts'
import { engineFields, quantizeField } from '../../recipes/schema.ts'
import { command } from '../command.ts'
import { figure, plural } from '../format.ts'
import { scorable } from '../scoring.ts'
import { reporter } from '../terminal.ts'

const schema = z.object({
  model: z.string().meta({ value: 'MODEL' }).describe('a folder, a hub id or the name of a run'),
  adapter: z.string().optional().meta({ value: 'DIR' }).describe('a PEFT adapter of that model'),
  quantize: quantizeField,
  data: z.array(z.string()).min(1).meta({ value: 'FILE' }).describe('rows to score; repeatable'),
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
    const rows = await openRows(options.data, { resolve: resolveDataset })
    const opened = await openModel({ ...options, onProgress: (at) => report.show({ event: 'progress', ...at }) })
    try {
      const encoder = opened.tokenizer ?? (await openEncoder(opened))
      const { max_position_embeddings: positions, vocab_size: vocabulary } = opened.model.config
      const counts = { assistantOnly: options.assistantOnlyLoss, completionOnly: options.completionOnlyLoss }
      const asked = async function* () {
        for (let i = 0; i < rows.length; i++)
          yield scorable(encoder, await rows.row(i), i, { positions, vocabulary }, counts)
      }
      let done = 0
      for await (const logps of score(opened.model, asked())) {
        const logp = logps.reduce((a, b) => a + b, 0)
        if (out.readable) {
          report.clear()
          await out.text(readable(done, logp, logps.length))
        } else await out.line({ logp, tokens: logps.length, token_logps: logps })
        report.show({ event: 'progress', phase: 'score', done: ++done, total: rows.length })
      }
    } finally {
      report.clear()
      await opened.close()
      await rows.close()
    }
  },
})

const readable = (row: number, logp: number, tokens: number): string => {
  const mean = tokens ? `, perplexity ${figure(Math.exp(-logp / tokens))}` : ''
  return `row ${row}: log-probability ${figure(logp)} of ${plural(tokens, 'token')}${mean}`
}
