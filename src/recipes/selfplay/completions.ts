/**
 * Completions that self-play compares: the policy's own, kept one line a row, and external ones, which the data or a helper
 * model gives as text. Every completion ends at its first end token, whoever made it: the line break that a chat template
 * writes after a turn, and that no model samples, must not tell the data from a model. The policy's tokenizer encodes all of
 * them.
 */
import { z } from 'zod'
import { encodePrompt, rankedExample } from '../../data/examples.ts'
import type { Completion, Text } from '../../data/rows.ts'
import type { RowSource } from '../../data/source.ts'
import { type SamplingSettings, sampleCompletions } from '../../generate/completionSampler.ts'
import { openScheduler } from '../../generate/scheduler.ts'
import type { ShareSampling } from '../../generate/sharedSampling.ts'
import { sharedScheduler } from '../../generate/sharedScheduler.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Model } from '../../passes/model.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { type LineFile, openLines } from '../../store/lines.node.ts'

/** Prompts with the data's completions. Files of a run are named after `name`; the evaluation rows are called `held` there. */
export type SelfPlayRows = RowSource<Completion> & { name: 'train' | 'held' }

/** The token ids of a row's prompt, cut at its beginning to the length limit, or why it gets no completion. */
export const promptIds = (
  { encoder, limits }: Tokenization,
  { prompt, template }: Completion,
): number[] | 'prompt-too-long' | 'empty-prompt' => {
  const ids = encodePrompt(encoder, prompt, template)
  if (ids.length === 0) return 'empty-prompt'
  const kept = limits.maxPromptLength === undefined ? ids : ids.slice(-limits.maxPromptLength)
  return kept.length < limits.maxLength ? kept : 'prompt-too-long'
}

// Sampled completions

const rowCompletionSchema = z.object({
  row: z.number(),
  /** Why it has none. */
  dropped: z.string().optional(),
  ids: z.array(z.number()).optional(),
  text: z.string().optional(),
  finish_reason: z.enum(['eos', 'stop', 'length']).optional(),
})
/** A model's completion of a row, as a line of its file. */
export type RowCompletion = z.infer<typeof rowCompletionSchema>

/** Completions that are written together: enough to keep the engine busy, few enough to lose in a crash. */
const groupSize = (maxNewTokens: number) => Math.max(16, Math.min(256, Math.floor(16_384 / maxNewTokens)))
/** Sequences decoded at once. */
const batchSize = 64

export const openCompletions = (
  path: string,
  rows: SelfPlayRows,
  maxNewTokens: number,
): Promise<LineFile<RowCompletion>> =>
  openLines(path, { schema: rowCompletionSchema, total: rows.length, group: groupSize(maxNewTokens) })

/** A model that completes, here or on workers. */
export type CompletingModel = { model: Model; share?: ShareSampling }

/** Samples the completions that the file lacks, in the order of the rows. After an abort it ends with a whole group. */
export async function* completeRows(
  { model, share }: CompletingModel,
  tokenization: Tokenization,
  rows: SelfPlayRows,
  file: LineFile<RowCompletion>,
  { temperature, topP, maxNewTokens, seed }: SamplingSettings,
  signal: AbortSignal,
): AsyncGenerator<ProgressEvent> {
  if (file.length === rows.length) return
  const { tokenizer } = tokenization
  const own = openScheduler(model, tokenizer, { batchSize })
  const scheduler = share ? sharedScheduler(own, share) : own
  try {
    yield* sampleCompletions(
      {
        scheduler,
        tokenization,
        settings: { temperature, topP, maxNewTokens, seed },
        samples: 1,
        prompts: { length: rows.length, ids: async (i) => promptIds(tokenization, await rows.row(i)) },
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

// External completions

/** A completion of the data or of a helper model. `cut` where a limit stopped the model that made it. */
export type ExternalCompletion = { completion: Text; cut?: boolean }

/** A prompt with external completions, as the policy's token ids; `odd` names what is odd about them. */
export type EncodedCompletions = { prompt: number[]; completions: number[][]; odd: string[] }

/** External completions as token ids within the length limits, or why the row is dropped. */
export const encodeExternal = (
  tokenization: Tokenization,
  row: Completion,
  external: readonly ExternalCompletion[],
): EncodedCompletions | string => {
  const { encoder, limits, eosIds } = tokenization
  const ids = promptIds(tokenization, row)
  if (typeof ids === 'string') return ids
  const odd = new Set<string>()
  const { prompt, template } = row
  const responses = external.map(({ completion }) => completion)
  const ranks = responses.map(() => 1)
  const example = rankedExample(encoder, { kind: 'ranking', prompt, template, responses, ranks }, limits, (what) =>
    odd.add(what),
  )
  if (typeof example === 'string') return example
  if (example.truncated) odd.add('truncated')
  const completions = example.responses.map((response, k) => endedAtEos(response, eosIds, external[k].cut ?? false))
  if (completions.some(({ length }) => length === 0)) return 'no-reply-left'
  return { prompt: example.prompt, completions, odd: [...odd] }
}

/** Without what follows the first end token, and without that token where the completion was cut. */
const endedAtEos = (ids: number[], eosIds: ReadonlySet<number>, cut: boolean): number[] => {
  const end = ids.findIndex((id) => eosIds.has(id))
  return end < 0 ? ids : ids.slice(0, cut ? end : end + 1)
}

/** Equal for equal completions: the same text, and both end there or neither does. */
export const equalityKey = ({ tokenizer, eosIds }: Tokenization, ids: readonly number[]): string => {
  if (!tokenizer) return ids.join()
  const isEnded = eosIds.has(ids.at(-1) ?? -1)
  return `${isEnded}${tokenizer.decode(isEnded ? ids.slice(0, -1) : ids)}`
}
