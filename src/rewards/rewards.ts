/**
 * Rewards of sampled completions: what a source of rewards is, and the scoring of a rollout by several of them.
 *
 * A reward that failed is NaN and stays so. It is counted, and its sample is left out of means, baselines and updates; it is
 * never taken for 0. Where one of several rewards failed, the sum has failed. Rewards are written to the run's folder as soon
 * as a group of prompts has them, so a resumed run asks no source twice.
 */

import { join } from 'node:path'
import { z } from 'zod'
import type { PromptExample } from '../data/prompts.ts'
import type { Rollout, Sample } from '../generate/completionSampler.ts'
import type { Tokenization } from '../generate/tokenization.node.ts'
import type { ProgressEvent, WarningEvent } from '../runs/events.ts'
import { openLines } from '../store/lines.node.ts'
import type { TokenizerPlace } from '../text/tokenizer.node.ts'
import { runFailure } from '../util/fault.ts'
import type { Resources } from '../util/resources.ts'
import type { FileHash } from '../util/sha256.node.ts'
import type { Sharing } from '../util/sharing.ts'

/** A sampled completion with its prompt, as a source of rewards sees it. */
export type CompletionToScore = Pick<PromptExample, 'prompt' | 'template'> & {
  promptIds: readonly number[]
  /** All columns of the prompt's row. */
  record: Readonly<Record<string, unknown>>
  sample: Sample
}

/** A completion as a reward function sees it: the columns of the prompt's row, and these beside or instead of them. */
export type ScoredRow = Readonly<Record<string, unknown>> & {
  prompt: CompletionToScore['prompt']
  completion: string
  ids: readonly number[]
  finish_reason: Sample['finish_reason']
}

type Values = ArrayLike<number | null>
/** A reward function of a program: for each row, in order, a number, or null where it leaves the row to the other rewards. */
export type ProgramFunction = (rows: readonly ScoredRow[]) => Values | Promise<Values>

/** Functions of a program by the settings that stand for them. */
export type ProgramFunctions = ReadonlyMap<string, ProgramFunction>

export type Reward = {
  /** NaN where the reward failed. */
  value: number
  /** How unsure a probabilistic reward is: its standard deviation. */
  sigma?: number
  /** Why it failed. */
  trouble?: string
  /** The source has no reward for this completion and leaves it to the others; `value` is NaN. */
  abstains?: true
}

export const failed = (trouble: string): Reward => ({ value: Number.NaN, trouble })
export const abstained: Reward = { value: Number.NaN, abstains: true }

export type RewardSource = {
  /** What the metrics call it. */
  name: string
  /** In the sum. A source of weight 0 is only measured. */
  weight: number
  /** One reward for each completion, in order. Completions of a prompt come together. */
  score(completions: readonly CompletionToScore[]): Promise<Reward[]>
  /** Of a source that compares: rewards of completions, each against one other completion of its prompt. */
  scoreAgainst?(completions: readonly CompletionToScore[], others: readonly string[]): Promise<Reward[]>
  /** Throws a Fault where no completion of the prompt could be scored. */
  requirePrompt?(prompt: PromptExample): void
}

/** What opening a source gives, whatever it is called and weighs. */
export type OpenedReward = Pick<RewardSource, 'score' | 'scoreAgainst' | 'requirePrompt'> & {
  /** Files that results depend on. */
  files?: FileHash[]
  /** What a user should know of it. */
  warnings?: WarningEvent[]
}

/** What a source may need of the run that it is opened for. */
export type RewardContext = {
  own: Resources['own']
  /** The policy's. */
  tokenization: Pick<Tokenization, 'tokenizer'>
  /** The policy's folder, and its adapter's. */
  folders: TokenizerPlace
  /** Reward functions of the program, by the settings that stand for them. */
  functions?: ProgramFunctions
  /** Workers that may compute what models say. */
  sharing?: Sharing
}

export type Rewards = {
  sources: readonly RewardSource[]
  /** Throws the Fault of the first source that could score no completion of the prompt. */
  requirePrompt(prompt: PromptExample): void
  files: readonly FileHash[]
  warnings: readonly WarningEvent[]
}

/** Of a rollout's samples, in order. */
export type RolloutRewards = {
  /** The weighted sum over the sources that do not abstain; NaN where one of them failed. */
  rewards: number[]
  /** Standard deviations, where a source gives one. */
  sigmas?: number[]
  /** Each source's own, by its name. */
  by: Record<string, number[]>
}

/** What rewards.jsonl holds of a sample, by source: the reward, null where it failed, 'abstains' where there is none. */
const lineSchema = z.object({
  values: z.array(z.union([z.number(), z.null(), z.literal('abstains')])),
  sigmas: z.array(z.number().nullable()),
})
type Line = z.infer<typeof lineSchema>

export const rewardPath = (dir: string) => join(dir, 'rewards.jsonl')

/** Completions that are scored at once, roughly: those of whole prompts. */
const groupSize = 256

/**
 * Rewards of a rollout. After an abort it ends at a group's end and returns undefined.
 * @param dir a folder for rewards.jsonl; rewards that are there are not computed again. Without a folder nothing is kept
 * Throws a Fault 'reward' where not one sample of the rollout has a reward.
 */
export async function* scoreRollout(
  { sources }: Pick<Rewards, 'sources'>,
  rollout: Rollout,
  { dir, signal }: { dir?: string; signal: AbortSignal },
): AsyncGenerator<ProgressEvent, RolloutRewards | undefined> {
  const G = rollout.perPrompt
  const total = rollout.samples.length
  const group = Math.max(1, Math.floor(groupSize / G)) * G
  const file = dir === undefined ? undefined : await openLines(rewardPath(dir), { schema: lineSchema, total, group })
  const lines: Line[] = []
  let trouble: string | undefined
  try {
    if (file) for (let i = 0; i < file.length; i++) lines.push(await file.read(i))
    while (lines.length < total) {
      if (signal.aborted) return undefined
      const scored = await scoreGroup(sources, rollout, lines.length, Math.min(total, lines.length + group))
      trouble ??= scored.trouble
      await file?.append(scored.lines)
      lines.push(...scored.lines)
      yield { event: 'progress', phase: 'reward', done: lines.length, total }
    }
  } finally {
    await file?.close()
  }
  const summed = sumOfSources(sources, lines)
  if (summed.rewards.every(Number.isNaN))
    throw runFailure('reward', `none of ${total} completions got a reward${trouble ? `: ${trouble}` : ''}`)
  return summed
}

/** Samples from..to by every source, and why the first of them failed, if one did. */
const scoreGroup = async (
  sources: readonly RewardSource[],
  { prompts, samples, perPrompt }: Rollout,
  from: number,
  to: number,
): Promise<{ lines: Line[]; trouble?: string }> => {
  const completions = samples.slice(from, to).map((sample, i): CompletionToScore => {
    const { ids, ...prompt } = prompts[Math.floor((from + i) / perPrompt)]
    return { ...prompt, promptIds: ids, sample }
  })
  const bySource: Reward[][] = []
  for (const source of sources) bySource.push(await source.score(completions))
  const orNull = (value: number | undefined) => (value !== undefined && Number.isFinite(value) ? value : null)
  const lines = completions.map(
    (_, i): Line => ({
      values: bySource.map((rewards) => (rewards[i].abstains ? 'abstains' : orNull(rewards[i].value))),
      sigmas: bySource.map((rewards) => orNull(rewards[i].sigma)),
    }),
  )
  const trouble = bySource.flat().find((reward) => reward.trouble)?.trouble
  const allAbstain = completions.some((_, i) => bySource.every((rewards) => rewards[i].abstains))
  return { lines, trouble: trouble ?? (allAbstain ? 'every source abstained from a completion' : undefined) }
}

const sumOfSources = (sources: readonly RewardSource[], lines: readonly Line[]): RolloutRewards => {
  const value = ({ values }: Line, k: number) => {
    const found = values[k]
    return typeof found === 'number' ? found : Number.NaN
  }
  const weightedSum = (line: Line) => {
    const counted = sources.flatMap(({ weight }, k) =>
      weight !== 0 && line.values[k] !== 'abstains' ? [{ weight, k }] : [],
    )
    return counted.length ? counted.reduce((total, { weight, k }) => total + weight * value(line, k), 0) : Number.NaN
  }
  // Of independent rewards variances add up
  const sigma = ({ sigmas }: Line) =>
    Math.sqrt(sources.reduce((total, { weight }, k) => total + (weight * (sigmas[k] ?? 0)) ** 2, 0))
  const isProbabilistic = lines.some(({ sigmas }) => sigmas.some((each) => each !== null))
  return {
    rewards: lines.map(weightedSum),
    ...(isProbabilistic && { sigmas: lines.map(sigma) }),
    by: Object.fromEntries(sources.map(({ name }, k) => [name, lines.map((line) => value(line, k))])),
  }
}
