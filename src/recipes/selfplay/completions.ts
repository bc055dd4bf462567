/** The model's completions of an iteration's prompts, one line a row, in their order. */
import { z } from 'zod'
import { type SamplingSettings, sampleCompletions } from '../../generate/completionSampler.ts'
import { openScheduler } from '../../generate/scheduler.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Model } from '../../passes/model.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { type LineFile, openLines } from '../../store/lines.node.ts'
import { promptOf, type SelfPlayRows } from './rows.ts'

const completionSchema = z.object({
  row: z.number(),
  /** Why it has none. */
  dropped: z.string().optional(),
  ids: z.array(z.number()).optional(),
  text: z.string().optional(),
  finish_reason: z.enum(['eos', 'stop', 'length']).optional(),
})
/** A line of the file: one for each row. */
export type RowCompletion = z.infer<typeof completionSchema>

/** Completions that are made together: enough to keep the engine busy, few enough to lose in a crash. */
const groupOf = (maxNewTokens: number) => Math.max(16, Math.min(256, Math.floor(16_384 / maxNewTokens)))
/** Sequences decoded at once. */
const batchSize = 64

export const openCompletions = (
  path: string,
  rows: SelfPlayRows,
  maxNewTokens: number,
): Promise<LineFile<RowCompletion>> =>
  openLines(path, { schema: completionSchema, total: rows.length, group: groupOf(maxNewTokens) })

/** Makes the completions that the file lacks. After an abort it ends at a group's end, the file incomplete. */
export async function* completeRows(
  model: Model,
  tokenization: Tokenization,
  rows: SelfPlayRows,
  file: LineFile<RowCompletion>,
  settings: SamplingSettings,
  signal: AbortSignal,
): AsyncGenerator<ProgressEvent> {
  if (file.length === rows.length) return
  const { tokenizer } = tokenization
  const scheduler = openScheduler(model, tokenizer, { batchSize })
  const { temperature, topP, maxNewTokens, seed } = settings
  try {
    yield* sampleCompletions(
      {
        scheduler,
        tokenization,
        settings: { temperature, topP, maxNewTokens, seed },
        samples: 1,
        prompts: { length: rows.length, ids: async (i) => promptOf(tokenization, await rows.row(i)) },
        line: (made, row): RowCompletion =>
          'dropped' in made
            ? { row, dropped: made.dropped }
            : { row, ids: made.ids, ...(tokenizer && { text: made.text }), finish_reason: made.finishReason },
        signal,
      },
      file,
    )
  } finally {
    await scheduler.close()
  }
}
