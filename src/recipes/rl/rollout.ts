/**
 * Rollouts: completions of prompts, sampled from the policy as it is now.
 *
 * The decoder reads the very weights that are trained, so nothing is copied after an update: an adapter goes into every step
 * as an input, beside copies of the frozen base that the engine has laid out; without an adapter all weights are inputs.
 */
import { join } from 'node:path'
import type { PromptExample } from '../../data/prompts.ts'
import {
  memoryLines,
  type Rollout,
  type Sample,
  sampleCompletions,
  sampleSchema,
  samplingSeed,
} from '../../generate/completionSampler.ts'
import { openScheduler, type Scheduler } from '../../generate/scheduler.ts'
import { sharedScheduler } from '../../generate/sharedScheduler.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import { scoreWeight } from '../../models/architecture.ts'
import type { ProgressEvent } from '../../runs/events.ts'
import { openLines } from '../../store/lines.node.ts'
import type { Policy } from '../trainer/policy.ts'

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
/** Sampled tokens that a crash may cost: samples are written to disk a group of prompts at a time. */
const groupTokens = 65_536

export const samplePath = (dir: string) => join(dir, 'samples.jsonl')

/** @param number of the rollout, counted from 1 */
export const rolloutSeed = (seed: number, number: number): number => samplingSeed('rollout', seed, number, 1)

/** For completions that are not learnt from: evaluations and best-of-N. */
export const evaluationSeed = (seed: number): number => samplingSeed('rollout', seed, 0, 2)

/** One scheduler serves the whole run: its programs are made once and read the weights of the moment. */
export const openPolicyScheduler = (policy: Policy, { tokenizer }: Tokenization): Scheduler => {
  const isBaseFrozen = policy.adapter?.saved.every((name) => name === scoreWeight)
  const own = openScheduler(policy.model, tokenizer, { batchSize, packed: isBaseFrozen })
  return policy.sharing ? sharedScheduler(own, policy.sharing.sampling) : own
}

export type RolloutContext = {
  scheduler: Scheduler
  tokenization: Tokenization
  settings: RolloutSettings
  /** Of this rollout alone. */
  seed: number
  /** A folder for samples.jsonl; samples that are there are not made again. Without a folder nothing is kept. */
  dir?: string
  signal: AbortSignal
  /** Progress while completions grow, too. */
  withParts?: boolean
}

/**
 * Samples `numGenerations` completions of each prompt. After an abort it returns undefined: at a group's end, or at once
 * where nothing is kept.
 */
export async function* rollOut(
  { scheduler, tokenization, settings, seed, dir, signal, withParts }: RolloutContext,
  prompts: readonly PromptExample[],
): AsyncGenerator<ProgressEvent, Rollout | undefined> {
  const { temperature, topP, topK, minP, maxNewTokens, numGenerations: G } = settings
  const total = prompts.length * G
  const group = Math.max(1, Math.floor(groupTokens / (maxNewTokens * G))) * G
  const lines =
    dir === undefined
      ? memoryLines<Sample>(group)
      : await openLines(samplePath(dir), { schema: sampleSchema, total, group })
  try {
    yield* sampleCompletions(
      {
        scheduler,
        tokenization,
        settings: { temperature, topP, topK, minP, maxNewTokens, seed },
        samples: G,
        prompts: { length: prompts.length, ids: (i) => prompts[i].ids },
        line: (made, prompt): Sample => {
          if ('dropped' in made) throw new Error(made.dropped)
          const { sample, ids, logps, text, finishReason: finish_reason } = made
          return { prompt, sample, ids, logps, ...(tokenization.tokenizer && { text }), finish_reason }
        },
        signal,
        stopAtOnce: dir === undefined,
        withParts,
      },
      lines,
    )
    if (lines.length < total) return undefined
    const samples: Sample[] = []
    for (let i = 0; i < total; i++) samples.push(await lines.read(i))
    return { prompts, samples, perPrompt: G }
  } finally {
    await lines.close()
  }
}
