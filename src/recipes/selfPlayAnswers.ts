/**
 * The model's own answers. Peculiar: they are made in groups, each whole and on the disk before the next, and what is in a
 * group depends on nothing but the rows; so a resumed run finds every group that was finished and makes the others alike,
 * to the last bit of what the engine computes.
 */
import { z } from 'zod'
import { completions } from '../generate/generate.ts'
import { openScheduler, type Scheduler } from '../generate/scheduler.ts'
import type { CompletionOptions } from '../generate/sequence.ts'
import type { Model } from '../passes/model.ts'
import { rng } from '../util/rng.ts'
import { type LineFile, openLines } from './lineFile.ts'
import type { ProgressEvent } from './recipe.ts'
import { type Encoding, type PlayRows, promptOf } from './selfPlayRows.ts'

const answerSchema = z.object({
  row: z.number(),
  /** Why it has none. */
  dropped: z.string().optional(),
  ids: z.array(z.number()).optional(),
  text: z.string().optional(),
  finish_reason: z.enum(['eos', 'stop', 'length']).optional(),
})
/** A line of an answers file: one for each row, in their order. */
export type Answer = z.infer<typeof answerSchema>

/** Keeps the seeds of a run's purposes apart ("play" in ASCII). */
const STREAM = 0x706c6179

export const seedOf = (seed: number, iteration: number, purpose: number): number =>
  Math.floor(rng(seed, STREAM, iteration).uniform(purpose) * 2 ** 32)

/** Answers that are made together: enough to keep the engine busy, few enough to lose in a crash. */
const groupOf = (maxNewTokens: number) => Math.max(16, Math.min(256, Math.floor(16_384 / maxNewTokens)))
/** Sequences decoded at once. */
const batchSize = 64

export type Sampling = Pick<CompletionOptions, 'temperature' | 'topP' | 'maxNewTokens' | 'seed'>

export const openAnswers = (path: string, rows: PlayRows, maxNewTokens: number): Promise<LineFile<Answer>> =>
  openLines(path, { schema: answerSchema, total: rows.length, group: groupOf(maxNewTokens) })

/** Makes the answers that the file lacks. After an abort it ends at a group's end, the file incomplete. */
export async function* answer(
  model: Model,
  encoding: Encoding,
  rows: PlayRows,
  file: LineFile<Answer>,
  sampling: Sampling,
  signal: AbortSignal,
): AsyncGenerator<ProgressEvent> {
  if (file.length === rows.length) return
  const scheduler = openScheduler(model, encoding.tokenizer, { batchSize })
  const total = rows.length
  try {
    while (file.length < total && !signal.aborted) {
      const end = Math.min(total, file.length + groupOf(sampling.maxNewTokens))
      await file.append(await answerGroup(scheduler, encoding, rows, file.length, end, sampling))
      yield { event: 'progress', phase: 'generate', done: file.length, total }
    }
  } finally {
    await scheduler.close()
  }
}

const answerGroup = async (
  scheduler: Scheduler,
  encoding: Encoding,
  rows: PlayRows,
  from: number,
  to: number,
  sampling: Sampling,
): Promise<Answer[]> => {
  const numbers = Array.from({ length: to - from }, (_, i) => from + i)
  const prompts = await Promise.all(numbers.map(async (row) => promptOf(encoding, await rows.row(row))))
  // All at once, before the first step: who joins when is then the same every time
  const asked = prompts.map((prompt, i) => {
    if (typeof prompt === 'string') return { dropped: prompt }
    const room = Math.min(sampling.maxNewTokens, encoding.limits.maxLength - prompt.length)
    const options = { ...sampling, maxNewTokens: room, eosIds: encoding.eosIds }
    return completions(scheduler.submit({ prompt, options, row: numbers[i] }))
  })
  return Promise.all(
    asked.map(async (made, i): Promise<Answer> => {
      if ('dropped' in made) return { row: numbers[i], dropped: made.dropped }
      const { value } = await made.next()
      const { ids, text, finishReason } = value!
      return { row: numbers[i], ids, ...(encoding.tokenizer && { text }), finish_reason: finishReason }
    }),
  )
}
