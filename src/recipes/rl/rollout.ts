/**
 * Rollouts: what the policy as it is now answers to the next prompts. Peculiar: the fast decoder reads the very weights
 * that are trained. An adapter's come as feeds of every step, beside copies of the frozen base that the engine has laid
 * out; without an adapter all weights are feeds. So nothing is copied after an update. Samples lie in the run's folder, a
 * group of prompts at a time, and a resumed run finds them.
 */
import { join } from 'node:path'
import { z } from 'zod'
import { completions } from '../../generate/generate.ts'
import { openScheduler, type Scheduler } from '../../generate/scheduler.ts'
import { scoreWeight } from '../../models/architecture.ts'
import { rng } from '../../util/rng.ts'
import { openLines } from '../lineFile.ts'
import type { Policy } from '../policy.ts'
import type { ProgressEvent } from '../recipe.ts'
import type { Encoding, PromptExample } from './prompts.ts'

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

export type RolloutSettings = {
  seed: number
  temperature: number
  topP: number
  topK?: number
  minP: number
  maxNewTokens: number
  numGenerations: number
}

/** Sequences decoded at once. */
const batchSize = 64
/** Tokens that a crash may cost. */
const groupTokens = 65_536

export const samplePath = (dir: string) => join(dir, 'samples.jsonl')

/** Keeps the seeds of a run's purposes apart ("roll" in ASCII). */
const STREAM = 0x726f6c6c

export const seedOf = (seed: number, number: number, purpose: number): number =>
  Math.floor(rng(seed, STREAM, number).uniform(purpose) * 2 ** 32)

/** One for the whole run: its programs are made once and read the weights of the moment. */
export const openRollouts = (policy: Policy, { tokenizer }: Encoding): Scheduler => {
  const frozenBase = policy.adapter?.saved.every((name) => name === scoreWeight)
  return openScheduler(policy.model, tokenizer, { batchSize, packed: frozenBase })
}

export type RollingOut = {
  scheduler: Scheduler
  encoding: Encoding
  settings: RolloutSettings
  /** Of this rollout alone. */
  seed: number
  /** A folder for its files; without it nothing is kept. */
  dir?: string
  signal: AbortSignal
}

/** Samples of the prompts. After an abort it ends at a group's end and returns undefined. */
export async function* rollOut(
  rolling: RollingOut,
  prompts: readonly PromptExample[],
): AsyncGenerator<ProgressEvent, Rollout | undefined> {
  const { settings, dir, signal } = rolling
  const G = settings.numGenerations
  const together = Math.max(1, Math.floor(groupTokens / (settings.maxNewTokens * G)))
  const total = prompts.length * G
  const file =
    dir === undefined
      ? undefined
      : await openLines(samplePath(dir), { schema: sampleSchema, total, group: together * G })
  const samples: Sample[] = []
  try {
    if (file) for (let i = 0; i < file.length; i++) samples.push(await file.read(i))
    while (samples.length < total) {
      if (signal.aborted) return undefined
      const from = samples.length / G
      const made = await sampleGroup(rolling, prompts.slice(from, from + together), from)
      await file?.append(made)
      samples.push(...made)
      yield { event: 'progress', phase: 'generate', done: samples.length, total }
    }
  } finally {
    await file?.close()
  }
  return { prompts, samples, perPrompt: G }
}

/** All are asked before the first step, so who joins when is the same every time. */
const sampleGroup = async (
  { scheduler, encoding, settings, seed }: RollingOut,
  prompts: readonly PromptExample[],
  from: number,
): Promise<Sample[]> => {
  const { temperature, topP, topK, minP, maxNewTokens, numGenerations } = settings
  const asked = prompts.map(({ ids }, i) => {
    const room = Math.min(maxNewTokens, encoding.limits.maxLength - ids.length)
    const options = { temperature, topP, topK, minP, seed, maxNewTokens: room, eosIds: encoding.eosIds }
    return completions(
      scheduler.submit({ prompt: ids, options: { ...options, samples: numGenerations }, row: from + i }),
    )
  })
  const made: Sample[] = []
  for (const [i, answers] of (await Promise.all(asked.map(collected))).entries())
    for (const { sample, ids, logps, text, finishReason } of answers.sort((a, b) => a.sample - b.sample))
      made.push({
        ...{ prompt: from + i, sample, ids, logps },
        ...(encoding.tokenizer && { text }),
        finish_reason: finishReason,
      })
  return made
}

const collected = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const each of source) all.push(each)
  return all
}
