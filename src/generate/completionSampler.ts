/**
 * Samples completions of many prompts, for the rollouts of reinforcement learning and the data of self-play. They are made
 * and stored a group of prompts at a time. A group depends on its prompts, the seed and the weights alone, so a resumed run
 * keeps the groups that were finished and makes the others again, bit for bit.
 */
import { z } from 'zod'
import type { PromptExample } from '../data/prompts.ts'
import type { ProgressEvent } from '../runs/events.ts'
import type { LineFile } from '../store/lines.node.ts'
import { makeEventStream } from '../util/eventStream.ts'
import { rng } from '../util/rng.ts'
import { type Completion, completions } from './completions.ts'
import type { Scheduler } from './scheduler.ts'
import type { CompletionOptions, Piece } from './sequence.ts'
import type { Tokenization } from './tokenization.node.ts'

/** A completion in a rollout, as its file stores it. */
export const sampleSchema = z.object({
  /** Number of the prompt in the rollout, and of the completion among those of the prompt. */
  prompt: z.number(),
  sample: z.number(),
  ids: z.array(z.number()),
  /** Of each token, by the model's own distribution (temperature 1) as the decoder computes it, in nats. */
  logps: z.array(z.number()),
  text: z.string().optional(),
  finish_reason: z.enum(['eos', 'stop', 'length']),
})
export type Sample = z.infer<typeof sampleSchema>

/** Prompts with their completions: `samples` has `perPrompt` of the first prompt, then as many of the second, and so on. */
export type Rollout = { prompts: readonly PromptExample[]; samples: readonly Sample[]; perPrompt: number }

export type SamplingSettings = Pick<
  CompletionOptions,
  'temperature' | 'topP' | 'topK' | 'minP' | 'maxNewTokens' | 'seed'
>

export type CompletionSamplerOptions<L extends object> = {
  scheduler: Scheduler
  tokenization: Tokenization
  settings: SamplingSettings
  /** Completions of each prompt. */
  samples: number
  prompts: {
    length: number
    /** The prompt's token ids; a text instead says why it gets no completions. */
    ids(i: number): readonly number[] | string | Promise<readonly number[] | string>
  }
  /** The line to store for a completion of prompt i, or for each one that it does not get and why (`dropped`). */
  line(completion: Completion | { dropped: string }, i: number): L
  signal: AbortSignal
  /** After an abort the group under way is given up, not finished: for completions that are not kept. */
  stopAtOnce?: boolean
  /** Progress while a group is under way, too: a completion counts by the share of its tokens. */
  withParts?: boolean
}

/**
 * Makes the completions that `lines` still lacks: `samples` lines a prompt, in the order of prompts, appended a group at a
 * time (`lines.group` is a multiple of `samples`). After an abort it ends with the group under way, or at once, `lines`
 * incomplete.
 */
export async function* sampleCompletions<L extends object>(
  options: CompletionSamplerOptions<L>,
  lines: Pick<LineFile<L>, 'length' | 'group' | 'append'>,
): AsyncGenerator<ProgressEvent, void> {
  const { prompts, samples, signal, stopAtOnce, withParts = false } = options
  const total = prompts.length * samples
  while (lines.length < total && !signal.aborted) {
    const start = lines.length / samples
    const end = Math.min(prompts.length, start + lines.group / samples)
    const grown = makeEventStream<ProgressEvent>()
    let shown = lines.length
    const made = sampleGroup(options, { start, end }, (part) => {
      const done = start * samples + Math.floor(part)
      // The last one is told when it is stored
      if (withParts && done > shown && done < end * samples)
        grown.push({ event: 'progress', phase: 'generate', done, total })
      shown = Math.max(shown, done)
    }).finally(grown.end)
    // A failure is thrown below, unless the reader has left
    made.catch(() => {})
    yield* grown.read()
    const group = await made.catch((error) => {
      if (stopAtOnce && signal.aborted) return undefined
      throw error
    })
    if (!group) return
    await lines.append(group)
    yield { event: 'progress', phase: 'generate', done: lines.length, total }
  }
}

/** Lines of the prompts from `start` to before `end`. @param onGrown is told how many completions there are, and parts of them */
const sampleGroup = async <L extends object>(
  { scheduler, tokenization, settings, samples, prompts, line, signal, stopAtOnce }: CompletionSamplerOptions<L>,
  { start, end }: { start: number; end: number },
  onGrown: (part: number) => void,
): Promise<L[]> => {
  let part = 0
  const grow = (by: number) => onGrown((part += by))
  const indices = Array.from({ length: end - start }, (_, n) => start + n)
  const encoded = await Promise.all(indices.map((i) => prompts.ids(i)))
  // All requests are submitted before the first step, so that they join the batch in the same order every time
  const requests = encoded.map((ids, n) => {
    if (typeof ids === 'string') return { dropped: ids }
    const maxNewTokens = Math.min(settings.maxNewTokens, tokenization.limits.maxLength - ids.length)
    const options = { ...settings, samples, maxNewTokens, eosIds: tokenization.eosIds }
    const pieces = scheduler.submit({ prompt: ids, options, row: indices[n], ...(stopAtOnce && { signal }) })
    return completions(watched(pieces, maxNewTokens, grow))
  })
  const linesOfPrompts = await Promise.all(
    requests.map(async (request, n): Promise<L[]> => {
      if ('dropped' in request) return Array.from({ length: samples }, () => line(request, indices[n]))
      const all: Completion[] = []
      for await (const completion of request) all.push(completion)
      return all.sort((a, b) => a.sample - b.sample).map((completion) => line(completion, indices[n]))
    }),
  )
  return linesOfPrompts.flat()
}

/** The same pieces. @param grow is told by what share of a completion each one is longer; an ended one is whole */
async function* watched(
  pieces: AsyncIterable<Piece>,
  maxNewTokens: number,
  grow: (by: number) => void,
): AsyncGenerator<Piece> {
  const shares = new Map<number, number>()
  for await (const piece of pieces) {
    const before = shares.get(piece.sample) ?? 0
    const after = piece.finishReason === undefined ? before + piece.ids.length / maxNewTokens : 1
    shares.set(piece.sample, after)
    grow(after - before)
    yield piece
  }
}

/** Random streams of their own for the uses of a run's seed ("roll", "play" and "dist" in ASCII). */
const seedStreams = { rollout: 0x726f6c6c, selfPlay: 0x706c6179, distill: 0x64697374 }

/**
 * The seed for sampling in one rollout, self-play iteration or step of distillation.
 * @param seed of the run
 * @param number of the rollout or iteration, or the position of the step
 * @param purpose tells uses within it apart (training prompts, evaluation, ...)
 */
export const samplingSeed = (use: keyof typeof seedStreams, seed: number, number: number, purpose: number): number =>
  Math.floor(rng(seed, seedStreams[use], number).uniform(purpose) * 2 ** 32)

/** Lines in memory, for completions that are not stored. */
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
