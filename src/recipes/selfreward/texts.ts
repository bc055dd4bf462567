/**
 * Texts by a model, one line of a file each. Lines are written a group at a time, and what is sampled depends on the prompt, its
 * number, the seed and the weights alone: a resumed run keeps the groups that are there and makes the others alike.
 */
import { z } from 'zod'
import type { CompletionSettings, TextModel, TextPrompt } from '../../feedback/textModel/textModel.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import type { LineFile } from '../../store/lines.node.ts'

/** A text as its file has it, or why there is none. */
export const textLineSchema = z.object({
  text: z.string().optional(),
  finish_reason: z.string().optional(),
  dropped: z.string().optional(),
})
export type TextLine = z.infer<typeof textLineSchema>

export type TextJob = {
  /** Prompts. */
  length: number
  /** What the model is asked, or why it is not. */
  asked(i: number): TextPrompt | { dropped: string }
  /** Texts for each prompt. */
  samples: number
  settings: Pick<CompletionSettings, 'maxNewTokens' | 'temperature' | 'topP' | 'seed'>
  signal: AbortSignal
}

/** A text as a model is asked it: a turn of a user where it chats. */
export const asTurn = ({ chat }: Pick<TextModel, 'chat'>, text: string): TextPrompt =>
  chat ? [{ role: 'user', content: text }] : text

/** Lines that are written together: enough to keep the engine busy, few enough to lose in a crash. */
export const groupOf = (samples: number, maxNewTokens: number): number =>
  samples * Math.max(1, Math.floor(Math.max(16, Math.min(256, Math.floor(16_384 / maxNewTokens))) / samples))

/** Appends the lines that the file lacks: `samples` of each prompt, in their order. After an abort some are missing. */
export async function* completeTexts(
  model: Pick<TextModel, 'complete'>,
  { length, asked, samples, settings, signal }: TextJob,
  file: LineFile<TextLine>,
): AsyncGenerator<ProgressEvent> {
  const total = length * samples
  while (file.length < total && !signal.aborted) {
    const start = file.length / samples
    const count = Math.min(file.group / samples, length - start)
    const all = Array.from({ length: count }, (_, n) => asked(start + n))
    const lines = all.map((each): TextLine[] =>
      isDropped(each) ? Array.from({ length: samples }, () => ({ dropped: each.dropped })) : [],
    )
    const places = all.flatMap((each, n) => (isDropped(each) ? [] : [n]))
    const prompts = places.map((n) => all[n] as TextPrompt)
    try {
      for await (const made of model.complete(prompts, { ...settings, samples, from: start, signal }))
        lines[places[made.row]][made.sample] =
          'failure' in made ? { dropped: made.failure.code } : { text: made.text, finish_reason: made.finishReason }
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    if (signal.aborted) return
    await file.append(lines.flat())
    yield { event: 'progress', phase: 'generate', done: file.length, total }
  }
}

const isDropped = (asked: TextPrompt | { dropped: string }): asked is { dropped: string } =>
  typeof asked === 'object' && 'dropped' in asked
