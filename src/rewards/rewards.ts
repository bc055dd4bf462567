/**
 * What an answer is worth. Peculiar: a reward that failed is NaN and stays so: it is counted and the sample left out of
 * means, baselines and updates, never taken for 0; of several rewards one that failed is enough. Rewards lie in the run's
 * folder as soon as a group of prompts has them, so a resumed run asks nobody twice.
 */

import { join } from 'node:path'
import { z } from 'zod'
import type { PromptExample } from '../data/prompts.ts'
import type { Rollout, Sample } from '../generate/completionSampler.ts'
import type { ProgressEvent, WarningEvent } from '../runs/events.ts'
import { openLines } from '../store/lines.node.ts'
import { runFailure } from '../util/fault.ts'
import type { FileHash } from '../util/sha256.node.ts'

/** A sample as those see it who judge it. */
export type CompletionToScore = Pick<PromptExample, 'prompt' | 'template'> & {
  promptIds: readonly number[]
  /** All columns of the prompt's row. */
  record: Readonly<Record<string, unknown>>
  sample: Sample
}

/**
 * NaN where it failed, and why; `sigma` is how unsure a probabilistic one is, as a standard deviation. A source that abstains
 * leaves the answer to the others.
 */
export type Reward = { value: number; sigma?: number; trouble?: string; abstains?: true }

export type RewardSource = {
  name: string
  weight: number
  /** One each, in order. Samples of a prompt come together. */
  of(answers: readonly CompletionToScore[]): Promise<Reward[]>
  /** Throws a Fault where it could not judge any answer to the prompt. */
  requirePrompt?(prompt: PromptExample): void
}

export type Rewards = {
  sources: readonly RewardSource[]
  /** Throws the Fault of the first source that could not judge any answer to the prompt. */
  requirePrompt(prompt: PromptExample): void
  /** Files that results depend on. */
  files: readonly FileHash[]
  /** What a user should know of them. */
  warnings: readonly WarningEvent[]
}

/** Of each sample: the weighted sum (NaN where any failed), its deviation where a source gives one, and each source's. */
export type RolloutRewards = {
  rewards: number[]
  sigmas?: number[]
  by: Record<string, number[]>
}

/** A source's reward of an answer: null where it failed, 'abstains' where it has none to give. */
const lineSchema = z.object({
  values: z.array(z.union([z.number(), z.null(), z.literal('abstains')])),
  sigmas: z.array(z.number().nullable()),
})
type Line = z.infer<typeof lineSchema>

export const rewardPath = (dir: string) => join(dir, 'rewards.jsonl')

/** Answers that are judged together, roughly. */
const together = 256

export const failed = (trouble: string): Reward => ({ value: Number.NaN, trouble })
export const abstained: Reward = { value: Number.NaN, abstains: true }

/**
 * Rewards of a rollout. After an abort it ends at a group's end and returns undefined.
 * @param dir the rollout's folder; without it nothing is kept
 * Throws a Fault 'reward' where not one sample of the rollout has a reward.
 */
export async function* rewardsOf(
  { sources }: Pick<Rewards, 'sources'>,
  rollout: Rollout,
  { dir, signal }: { dir?: string; signal: AbortSignal },
): AsyncGenerator<ProgressEvent, RolloutRewards | undefined> {
  const G = rollout.perPrompt
  const total = rollout.samples.length
  const size = Math.max(1, Math.floor(together / G)) * G
  const file =
    dir === undefined ? undefined : await openLines(rewardPath(dir), { schema: lineSchema, total, group: size })
  const lines: Line[] = []
  let trouble: string | undefined
  try {
    if (file) for (let i = 0; i < file.length; i++) lines.push(await file.read(i))
    while (lines.length < total) {
      if (signal.aborted) return undefined
      const made = await judged(sources, rollout, lines.length, Math.min(total, lines.length + size))
      trouble ??= made.trouble
      await file?.append(made.lines)
      lines.push(...made.lines)
      yield { event: 'progress', phase: 'reward', done: lines.length, total }
    }
  } finally {
    await file?.close()
  }
  const scored = scoredOf(sources, lines)
  if (scored.rewards.every(Number.isNaN))
    throw runFailure('reward', `none of ${total} answers got a reward${trouble ? `: ${trouble}` : ''}`)
  return scored
}

const judged = async (
  sources: readonly RewardSource[],
  { prompts, samples, perPrompt }: Rollout,
  from: number,
  to: number,
) => {
  const answers = samples.slice(from, to).map((sample, i): CompletionToScore => {
    const { ids, ...asked } = prompts[Math.floor((from + i) / perPrompt)]
    return { ...asked, promptIds: ids, sample }
  })
  const each: Reward[][] = []
  for (const source of sources) each.push(await source.of(answers))
  const finite = (value: number | undefined) => (value !== undefined && Number.isFinite(value) ? value : null)
  const lines = answers.map(
    (_, i): Line => ({
      values: each.map((rewards) => (rewards[i].abstains ? 'abstains' : finite(rewards[i].value))),
      sigmas: each.map((rewards) => finite(rewards[i].sigma)),
    }),
  )
  const trouble = each.flat().find((reward) => reward.trouble)?.trouble
  const silent = answers.some((_, i) => each.every((rewards) => rewards[i].abstains))
  return { lines, trouble: trouble ?? (silent ? 'every source abstained from an answer' : undefined) }
}

const scoredOf = (sources: readonly RewardSource[], lines: readonly Line[]): RolloutRewards => {
  const value = ({ values }: Line, k: number) => {
    const found = values[k]
    return typeof found === 'number' ? found : Number.NaN
  }
  const sum = (line: Line) => {
    // A weight of 0 only watches
    const asked = sources.flatMap(({ weight }, k) =>
      weight !== 0 && line.values[k] !== 'abstains' ? [{ weight, k }] : [],
    )
    return asked.length ? asked.reduce((total, { weight, k }) => total + weight * value(line, k), 0) : Number.NaN
  }
  // Of independent rewards variances add up
  const sigma = ({ sigmas }: Line) =>
    Math.sqrt(sources.reduce((total, { weight }, k) => total + (weight * (sigmas[k] ?? 0)) ** 2, 0))
  const unsure = lines.some(({ sigmas }) => sigmas.some((each) => each !== null))
  return {
    rewards: lines.map(sum),
    ...(unsure && { sigmas: lines.map(sigma) }),
    by: Object.fromEntries(sources.map(({ name }, k) => [name, lines.map((line) => value(line, k))])),
  }
}
