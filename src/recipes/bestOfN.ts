/**
 * Best-of-N: the same policy, asked N times, and the answer kept that is rewarded most. No training, so it is what every
 * method must beat. Peculiar: N samples tell what each smaller n would have given, without bias, by counting in how many
 * of the sets of n the i-th best is the best.
 */

import { type PromptExample, promptText } from '../data/prompts.ts'
import { openScheduler } from '../generate/scheduler.ts'
import type { Tokenization } from '../generate/tokenization.node.ts'
import { type LengthSettings, openTokenization } from '../generate/tokenization.node.ts'
import { openModel } from '../passes/open.node.ts'
import { openRewards, type RewardSettings, rewardColumns } from '../rewards/open.ts'
import { rewardsOf } from '../rewards/rewards.ts'
import type { ProgressEvent, WarningEvent } from '../runs/events.ts'
import { deviation, mean } from '../statistics/summary.ts'
import { makeResources } from '../util/resources.ts'
import { promptStream } from './rl/prompts.ts'
import { evaluationSeed, type RolloutSettings, rollOut } from './rl/rollout.ts'
import { chunks } from './trainer/collate.ts'
import { droppedRows, openDataset, surveyRows, unreadWarnings } from './trainer/dataset.ts'

export type BestOfNSettings = RolloutSettings &
  RewardSettings &
  Parameters<typeof openDataset>[1] &
  LengthSettings & { model: string; adapter?: string }

/** The best answer to each prompt, and what n samples would give on average, n = 1, 2, 4, ... N. */
export type BestOfN = {
  rows: { prompt: string; completion: string; reward: number | null; ids: number[] }[]
  /** `reward` with its standard error over prompts; `kl` at most log n - (n - 1) / n nats from the policy. */
  table: { n: number; reward: number; standard_error: number; kl: number }[]
  dropped: Record<string, number>
  failed: number
}

/** Mean of the best of n draws without replacement from these rewards: the i-th best is it in C(N - i, n - 1) of C(N, n). */
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

/** After an abort undefined. Faults: those of the model, the data and the rewards. */
export async function* bestOfN(
  settings: BestOfNSettings,
  signal: AbortSignal = new AbortController().signal,
): AsyncGenerator<ProgressEvent | WarningEvent, BestOfN | undefined> {
  const { own, close } = makeResources()
  try {
    const data = own(await openDataset('prompt', settings, { record: rewardColumns(settings.reward) }))
    const source = own(await openModel(settings))
    const { model, tokenizer, dir, adapterDir: adapter, generationConfig } = source
    const tokenization = await openTokenization({ dir, adapter }, { config: model.config, generationConfig }, settings)
    const rewards = await openRewards(settings, { own, tokenization, folders: { dir, adapter } })
    yield* unreadWarnings([data.rows])
    yield* rewards.warnings
    const scheduler = own(openScheduler(model, tokenizer, { packed: true, batchSize: 64 }))
    const readers = { tokenization, rewards }
    const stream = promptStream(readers, data.rows, { seed: settings.seed, shuffle: false, epochs: 1 })
    yield* surveyRows([stream], signal)
    if (signal.aborted) return undefined
    const { examples } = await stream.take(0, data.rows.length)
    const seed = evaluationSeed(settings.seed)
    const rollout = yield* rollOut({ scheduler, tokenization, settings, seed, signal }, examples)
    const scored = rollout && (yield* rewardsOf(rewards, rollout, { signal }))
    if (!rollout || !scored) return undefined
    const [groups, samples] = [chunks(scored.rewards, rollout.perPrompt), chunks(rollout.samples, rollout.perPrompt)]
    return {
      rows: groups.map((group, g) => bestRow(tokenization, examples[g], samples[g], group)),
      table: tableOf(groups),
      dropped: droppedRows(data.rows.dropped, stream),
      failed: scored.rewards.filter(Number.isNaN).length,
    }
  } finally {
    await close()
  }
}

/** The first sample of the most reward; one without a reward only where none has one. */
export const mostRewarded = (rewards: readonly number[]): number =>
  rewards.reduce((at, reward, i) => (Number.isNaN(rewards[at]) || reward > rewards[at] ? i : at), 0)

const bestRow = (
  tokenization: Tokenization,
  { prompt }: PromptExample,
  samples: readonly { ids: number[]; text?: string }[],
  rewards: readonly number[],
): BestOfN['rows'][number] => {
  const best = mostRewarded(rewards)
  const reward = Number.isNaN(rewards[best]) ? null : rewards[best]
  const { ids, text = '' } = samples[best]
  return { prompt: promptText(tokenization, prompt), completion: text, reward, ids }
}

const tableOf = (groups: readonly number[][]): BestOfN['table'] => {
  const kept = groups.map((group) => group.filter((reward) => !Number.isNaN(reward)))
  const most = groups[0].length
  const sizes = Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, i) => 2 ** i)
  return [...new Set([...sizes, most])].map((n) => {
    const values = kept.filter((group) => group.length >= n).map((group) => expectedBest(group, n))
    return {
      n,
      reward: mean(values),
      standard_error: deviation(values) / Math.sqrt(values.length),
      kl: Math.log(n) - (n - 1) / n,
    }
  })
}
