/**
 * Best-of-N: N samples of each prompt, of which the one with the highest reward is kept. Nothing is trained, so this is what
 * every method must beat.
 *
 * N samples also tell, without bias, what each smaller n would have given: the mean of the best over all sets of n samples.
 */

import type { PromptExample } from '../data/prompts.ts'
import { templateColumns } from '../data/records.ts'
import { isMessages, type Text } from '../data/rows.ts'
import { openScheduler } from '../generate/scheduler.ts'
import { shareModel } from '../generate/sharedModel.node.ts'
import { sharedScheduler } from '../generate/sharedScheduler.ts'
import { type LengthSettings, openTokenization } from '../generate/tokenization.node.ts'
import type { Compute } from '../passes/int8.ts'
import { openModel } from '../passes/open.node.ts'
import { checkRewards, openRewards, type RewardSettings, rewardColumns } from '../rewards/open.ts'
import { type ProgramFunctions, scoreRollout } from '../rewards/rewards.ts'
import type { ProgressEvent, WarningEvent } from '../runs/events.ts'
import { trainedWithChat } from '../runs/find.node.ts'
import { normalInterval, wilson } from '../statistics/intervals.ts'
import { deviation, mean } from '../statistics/summary.ts'
import { makeResources } from '../util/resources.ts'
import type { Sharing } from '../util/sharing.ts'
import { promptStream } from './rl/context.ts'
import { evaluationSeed, type RolloutSettings, rollOut } from './rl/rollout.ts'
import { chunks } from './trainer/collate.ts'
import { droppedRows, openDataset, surveyRows, unreadWarnings } from './trainer/dataset.ts'

export type BestOfNSettings = RolloutSettings &
  RewardSettings &
  Omit<Parameters<typeof openDataset>[1], 'chat'> &
  LengthSettings & { model: string; adapter?: string; chat?: boolean; compute?: Compute }

/** The result of `bestOfN`. */
export type BestOfN = {
  /**
   * The best completion of each prompt, as `sft` reads it: behind messages it is the assistant's, behind a text a text, and of
   * a model without a tokenizer token ids. `ids` are its tokens. What the prompt's row says to the chat template stands beside.
   */
  rows: {
    prompt: Text
    completion: Text
    reward: number | null
    ids: number[]
    tools?: readonly unknown[]
    chat_template_kwargs?: Readonly<Record<string, unknown>>
  }[]
  /**
   * What the best of n samples gives on average, n = 1, 2, 4, ... N: its reward, with the standard error and the interval of
   * 95 % over prompts, and the most that its KL from the policy can be, log n - (n - 1) / n nats. Where all prompts have the same
   * reward, their spread says nothing: rewards of 0 and 1 then have Wilson's interval, others none.
   */
  table: { n: number; reward: number; standard_error: number; low?: number; high?: number; kl: number }[]
  /** Prompts that were not used, by reason. */
  dropped: Record<string, number>
  /** Samples whose reward failed. */
  failed: number
}

/** The mean of the best of n of these N rewards over all C(N, n) sets; the i-th best is it in C(N - i, n - 1) of them. */
export const expectedBest = (rewards: readonly number[], n: number): number => {
  const sorted = [...rewards].sort((a, b) => b - a)
  const N = sorted.length
  // The chance that the i-th best is in a set of n and none better is
  let chance = n / N
  let sum = 0
  for (let i = 0; i <= N - n; i++) {
    sum += chance * sorted[i]
    chance *= (N - n - i) / (N - 1 - i)
  }
  return sum
}

type Extras = { signal?: AbortSignal; functions?: ProgramFunctions; sharing?: Sharing }

/** After an abort undefined. Faults: those of the model, the data and the rewards. */
export async function* bestOfN(
  settings: BestOfNSettings,
  { signal = new AbortController().signal, functions, sharing }: Extras = {},
): AsyncGenerator<ProgressEvent | WarningEvent, BestOfN | undefined> {
  const { own, close } = makeResources()
  try {
    // data, policy, rewards
    const chat = settings.chat ?? (await trainedWithChat(settings.adapter ?? settings.model)) ?? false
    const reading = { ...settings, chat }
    const dataset = own(await openDataset('prompt', reading, { record: rewardColumns(settings.reward) }))
    await checkRewards(settings, functions)
    const opened = own(await openModel(settings))
    const { model, tokenizer, dir, adapterDir: adapter, generationConfig } = opened
    const tokenization = await openTokenization({ dir, adapter }, { config: model.config, generationConfig }, reading)
    const rewards = await openRewards(settings, { own, tokenization, folders: { dir, adapter }, functions, sharing })
    yield* unreadWarnings([dataset.rows])
    yield* rewards.warnings
    const readers = { tokenization, rewards }
    const stream = promptStream(readers, dataset.rows, { seed: settings.seed, shuffle: false, epochs: 1 })
    yield* surveyRows([stream], signal)
    if (signal.aborted) return undefined
    const { examples: prompts } = await stream.take(0, stream.length)
    // rollout
    const local = own(openScheduler(model, tokenizer, { packed: true, batchSize: 64 }))
    const { compute = 'fp32' } = settings
    const share = sharing && shareModel(opened, { quantize: 'none', compute }, sharing).sampling
    const scheduler = share ? sharedScheduler(local, share) : local
    const seed = evaluationSeed(settings.seed)
    const rollout = yield* rollOut({ scheduler, tokenization, settings, seed, signal }, prompts)
    if (!rollout) return undefined
    // rewards
    const scored = yield* scoreRollout(rewards, rollout, { signal })
    if (!scored) return undefined
    // the best of N
    const groups = chunks(scored.rewards, rollout.perPrompt)
    const samples = chunks(rollout.samples, rollout.perPrompt)
    return {
      rows: groups.map((group, g) => bestRow(prompts[g], samples[g], group)),
      table: tableOf(groups),
      dropped: droppedRows(dataset.rows.dropped, stream),
      failed: scored.rewards.filter(Number.isNaN).length,
    }
  } finally {
    await close()
  }
}

/** The number of the first sample with the highest reward; of a failed one only where all failed. */
export const indexOfBest = (rewards: readonly number[]): number =>
  rewards.reduce((best, reward, i) => (Number.isNaN(rewards[best]) || reward > rewards[best] ? i : best), 0)

const bestRow = (
  { prompt, template }: PromptExample,
  samples: readonly { ids: number[]; text?: string }[],
  rewards: readonly number[],
): BestOfN['rows'][number] => {
  const best = indexOfBest(rewards)
  const reward = Number.isNaN(rewards[best]) ? null : rewards[best]
  const { ids, text } = samples[best]
  return { prompt, completion: completionOf(prompt, text ?? ids), reward, ids, ...templateColumns(template) }
}

const completionOf = (prompt: Text, completion: string | number[]): Text =>
  isMessages(prompt) && typeof completion === 'string' ? [{ role: 'assistant', content: completion }] : completion

/** @param groups [prompts][N] rewards, NaN of those that failed */
export const tableOf = (groups: readonly number[][]): BestOfN['table'] => {
  const withoutFailed = groups.map((group) => group.filter((reward) => !Number.isNaN(reward)))
  const N = groups[0].length
  const isShare = withoutFailed.flat().every((reward) => reward === 0 || reward === 1)
  const powersOfTwo = Array.from({ length: Math.floor(Math.log2(N)) + 1 }, (_, i) => 2 ** i)
  return [...new Set([...powersOfTwo, N])].map((n) => {
    const values = withoutFailed.filter((group) => group.length >= n).map((group) => expectedBest(group, n))
    return {
      n,
      reward: mean(values),
      standard_error: deviation(values) / Math.sqrt(values.length),
      ...boundsOf(values, isShare),
      kl: Math.log(n) - (n - 1) / n,
    }
  })
}

/** Undefined bounds of a single prompt, and of equal rewards that are no shares of 0 and 1. */
const boundsOf = (values: readonly number[], isShare: boolean): { low?: number; high?: number } => {
  if (values.length < 2) return {}
  const alike = values.every((value) => value === values[0])
  if (alike && !isShare) return {}
  const { low, high } = alike ? wilson(values[0] * values.length, values.length) : normalInterval(values)
  return { low, high }
}
