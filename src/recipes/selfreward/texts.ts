/**
 * Texts by a model, local or behind a server, one line of a file each. Lines are written a group at a time; a group depends on its
 * prompts, the seed and the weights alone, so a resumed run keeps the groups that are there and makes the others alike.
 */
import { z } from 'zod'
import { userTurn } from '../../data/chatRows.ts'
import { encodePrompt } from '../../data/examples.ts'
import { promptText } from '../../data/prompts.ts'
import { isIds, isMessages, type Prompt, type Text } from '../../data/rows.ts'
import type { Endpoint } from '../../endpoint/client.ts'
import { type RemotePrompt, remoteCompletions } from '../../endpoint/completions.ts'
import { type SamplingSettings, sampleCompletions } from '../../generate/completionSampler.ts'
import { openScheduler } from '../../generate/scheduler.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Model } from '../../passes/model.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import type { LineFile } from '../../store/lines.node.ts'
import { Fault } from '../../util/fault.ts'

/** A text as its file has it, or why there is none. */
export const textLineSchema = z.object({
  text: z.string().optional(),
  finish_reason: z.string().optional(),
  dropped: z.string().optional(),
})
export type TextLine = z.infer<typeof textLineSchema>

/** What is answered, or why nothing is. */
export type Asked = Pick<Prompt, 'prompt' | 'template'> | { dropped: string }

export type TextJob = {
  /** Prompts. */
  length: number
  asked(i: number): Promise<Asked> | Asked
  /** Texts for each prompt. */
  samples: number
  settings: SamplingSettings
  signal: AbortSignal
}

export type TextModel = {
  /** A text as the model is asked it: as a turn of a user where it chats. */
  turn(text: string): Text
  /** Appends the lines that the file lacks: `samples` of each prompt, in their order. After an abort some are missing. */
  complete(job: TextJob, file: LineFile<TextLine>): AsyncGenerator<ProgressEvent>
  close(): Promise<void>
}

/** Lines that are written together: enough to keep the engine busy, few enough to lose in a crash. */
export const groupOf = (samples: number, maxNewTokens: number): number =>
  samples * Math.max(1, Math.floor(Math.max(16, Math.min(256, Math.floor(16_384 / maxNewTokens))) / samples))

/** Sequences decoded at once. */
const batchSize = 64

/** A model in this process. Chat models, by their template, are asked in turns. */
export const localTexts = (
  model: Model,
  tokenization: Tokenization,
  close: () => Promise<void> = async () => {},
): TextModel => {
  const { tokenizer, encoder, limits } = tokenization
  return {
    turn: (text) => (tokenizer?.chat ? userTurn(text) : text),
    async *complete({ length, asked, samples, settings, signal }, file) {
      if (file.length === length * samples) return
      const scheduler = openScheduler(model, tokenizer, { batchSize })
      const ids = async (i: number) => {
        const found = await asked(i)
        if ('dropped' in found) return found.dropped
        const encoded = encodePrompt(encoder, found.prompt, found.template)
        if (encoded.length === 0) return 'empty-prompt'
        return encoded.length < limits.maxLength ? encoded : 'prompt-too-long'
      }
      try {
        yield* sampleCompletions(
          {
            scheduler,
            tokenization,
            settings,
            samples,
            prompts: { length, ids },
            line: (made): TextLine =>
              'dropped' in made ? { dropped: made.dropped } : { text: made.text, finish_reason: made.finishReason },
            signal,
          },
          file,
        )
      } finally {
        await scheduler.close()
      }
    },
    close,
  }
}

/** A model behind a server; it is always asked in turns. @param flag that named it, for messages */
export const remoteTexts = (endpoint: Endpoint, flag: string): TextModel => ({
  turn: userTurn,
  async *complete({ length, asked, samples, settings, signal }, file) {
    const { maxNewTokens, temperature, topP = 1, seed } = settings
    const sampling = { maxNewTokens, temperature, ...(topP < 1 && { topP }), seed, samples, signal }
    while (file.length < length * samples && !signal.aborted) {
      const start = file.length / samples
      const count = Math.min(file.group / samples, length - start)
      const all = await Promise.all(Array.from({ length: count }, (_, n) => asked(start + n)))
      const lines = all.map((each): TextLine[] =>
        'dropped' in each ? Array.from({ length: samples }, () => ({ dropped: each.dropped })) : [],
      )
      const open = all.flatMap((each, n) => ('dropped' in each ? [] : [{ n, prompt: remotePrompt(each.prompt) }]))
      const prompts = open.map(({ prompt }) => prompt)
      try {
        for await (const { row, sample, text, finishReason } of remoteCompletions(endpoint, prompts, sampling))
          lines[open[row].n][sample] = { text, finish_reason: finishReason }
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof Fault)) throw error
        throw new Fault(error.code, `${error.message}; go on with --resume`, { flag }, error.exitCode)
      }
      if (signal.aborted) return
      await file.append(lines.flat())
      yield { event: 'progress', phase: 'generate', done: file.length, total: length * samples }
    }
  },
  close: async () => {},
})

const remotePrompt = (prompt: Text): RemotePrompt =>
  isMessages(prompt) ? { messages: prompt } : { messages: userTurn(isIds(prompt) ? promptText({}, prompt) : prompt) }
