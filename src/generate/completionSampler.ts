/**
 * Completions of many prompts, a group at a time, each group kept before the next is begun: rollouts of reinforcement
 * learning and the completions of self-play. What a group holds depends on its prompts and the seed alone, so a resumed run
 * finds the groups that were finished and makes the others again, to the last bit that the engine computes.
 */
import { z } from 'zod'
import type { PromptExample } from '../data/prompts.ts'
import type { ProgressEvent } from '../runs/events.ts'
import type { LineFile } from '../store/lines.node.ts'
import { rng } from '../util/rng.ts'
import { type Completion, completions } from './generate.ts'
import type { Scheduler } from './scheduler.ts'
import type { CompletionOptions } from './sequence.ts'
import type { Tokenization } from './tokenization.node.ts'

/** A completion of a rollout, as it is kept. */
export const sampleSchema = z.object({
  /** Of the rollout's prompts, and of the prompt's samples. */
  prompt: z.number(),
  sample: z.number(),
  ids: z.array(z.number()),
  /** By the decoder at temperature 1, nats. */
  logps: z.array(z.number()),
  text: z.string().optional(),
  finish_reason: z.enum(['eos', 'stop', 'length']),
})
export type Sample = z.infer<typeof sampleSchema>

/** Prompts with their samples, in order; each prompt has as many. */
export type Rollout = { prompts: readonly PromptExample[]; samples: readonly Sample[]; perPrompt: number }

export type SamplingSettings = Pick<
  CompletionOptions,
  'temperature' | 'topP' | 'topK' | 'minP' | 'maxNewTokens' | 'seed'
>

export type CompletionSampling<L extends object> = {
  scheduler: Scheduler
  tokenization: Tokenization
  settings: SamplingSettings
  /** Completions of each prompt. */
  samples: number
  prompts: {
    length: number
    /** Its token ids, or why it gets no completion. */
    ids(i: number): readonly number[] | string | Promise<readonly number[] | string>
  }
  /** What is kept of each completion of prompt i, or of the reason why there is none. */
  line(made: Completion | { dropped: string }, i: number): L
  signal: AbortSignal
}

/** Makes the completions that `lines` lacks. After an abort it ends at a group's end, `lines` incomplete. */
export async function* sampleCompletions<L extends object>(
  sampling: CompletionSampling<L>,
  lines: Pick<LineFile<L>, 'length' | 'group' | 'append'>,
): AsyncGenerator<ProgressEvent, void> {
  const { prompts, samples, signal } = sampling
  const total = prompts.length * samples
  while (lines.length < total && !signal.aborted) {
    const from = lines.length / samples
    await lines.append(await sampleGroup(sampling, from, Math.min(prompts.length, from + lines.group / samples)))
    yield { event: 'progress', phase: 'generate', done: lines.length, total }
  }
}

const sampleGroup = async <L extends object>(
  { scheduler, tokenization, settings, samples, prompts, line }: CompletionSampling<L>,
  from: number,
  to: number,
): Promise<L[]> => {
  const numbers = Array.from({ length: to - from }, (_, i) => from + i)
  const encoded = await Promise.all(numbers.map((i) => prompts.ids(i)))
  // All are asked for before the first step, so that who joins the batch when is the same every time
  const asked = encoded.map((ids, i) => {
    if (typeof ids === 'string') return { dropped: ids }
    const room = Math.min(settings.maxNewTokens, tokenization.limits.maxLength - ids.length)
    const options = { ...settings, samples, maxNewTokens: room, eosIds: tokenization.eosIds }
    return completions(scheduler.submit({ prompt: ids, options, row: numbers[i] }))
  })
  const made = await Promise.all(
    asked.map(async (each, i): Promise<L[]> => {
      if ('dropped' in each) return Array.from({ length: samples }, () => line(each, numbers[i]))
      const all: Completion[] = []
      for await (const completion of each) all.push(completion)
      return all.sort((a, b) => a.sample - b.sample).map((completion) => line(completion, numbers[i]))
    }),
  )
  return made.flat()
}

/** Keeps the random numbers of two uses of one seed apart ("roll" and "play" in ASCII). */
const seedStreams = { rollout: 0x726f6c6c, selfPlay: 0x706c6179 }

/** The seed of one rollout or iteration, for one purpose in it. */
export const samplingSeed = (use: keyof typeof seedStreams, seed: number, number: number, purpose: number): number =>
  Math.floor(rng(seed, seedStreams[use], number).uniform(purpose) * 2 ** 32)

/** Lines that are kept nowhere but in memory. */
export const memoryLines = <L>(group: number): LineFile<L> => {
  const lines: L[] = []
  return {
    group,
    get length() {
      return lines.length
    },
    append: async (values) => void lines.push(...values),
    read: async (i) => lines[i],
    close: async () => {},
  }
}
