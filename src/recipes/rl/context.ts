/** What an RL run works with: prompts, the policy and its decoder, the reference model, the rewards. */

import { encodePrompt, type TextExample } from '../../data/examples.ts'
import type { PromptExample } from '../../data/prompts.ts'
import type { Prompt } from '../../data/rows.ts'
import { rowOrder } from '../../data/shuffle.ts'
import type { RowSource } from '../../data/source.ts'
import type { Scheduler } from '../../generate/scheduler.ts'
import { type LengthSettings, openTokenization, type Tokenization } from '../../generate/tokenization.node.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import type { Model } from '../../passes/model.ts'
import { openRewards, type RewardSettings, rewardColumns } from '../../rewards/open.ts'
import type { Rewards } from '../../rewards/rewards.ts'
import type { Run } from '../../runs/run.node.ts'
import { type ExampleStream, exampleStream } from '../../train/stream.ts'
import { badInput } from '../../util/fault.ts'
import { closeLook } from '../check/beforeTraining.ts'
import { type Made, makeRowChecks, type RowChecks, type SeenRow } from '../check/rowChecks.ts'
import { answered } from '../check/rowSigns.ts'
import { type Dataset, openDataset, requireKnownIds, splitRows } from '../trainer/dataset.ts'
import {
  hasLiveReference,
  openPolicy,
  type Policy,
  type PolicyOptions,
  type PolicySettings,
} from '../trainer/policy.ts'
import type { Body } from '../trainer/recipe.ts'
import type { TrainerSettings } from '../trainer/trainer.ts'
import { openReferenceModel } from './logps.ts'
import type { UpdateSettings } from './minibatches.ts'
import { openPolicyScheduler, type RolloutSettings } from './rollout.ts'

export type RlSettings = TrainerSettings &
  PolicySettings &
  RewardSettings &
  RolloutSettings &
  UpdateSettings &
  LengthSettings & {
    model: string
    adapter?: string
    klBudget?: number
    missingEosPenalty?: number
    maskTruncated: boolean
    sampleEvery: number
    keepRollouts: boolean
  }

export type RecipeContext = Parameters<Body<never>>[1]

export type PromptStream = ExampleStream<PromptExample>

export type RlContext = {
  settings: RlSettings
  run: Run
  signal: AbortSignal
  dataset: Dataset<'prompt'>
  trainPrompts: PromptStream
  /** What the survey of the prompts finds wrong with them. */
  checks: RowChecks
  evalPrompts?: PromptStream
  /** Held-out rows, or else those that are trained on: whose prompts samples of before and after are made for. */
  sampledRows: RowSource<Prompt>
  policy: Policy
  tokenization: Tokenization
  /** Decodes with the policy's weights of the moment. */
  scheduler: Scheduler
  /** Undefined where nothing reads it and a copy would have to be made. */
  reference?: Model
  rewards: Rewards
  /** Texts that are learnt from beside the prompts' samples (PPO-ptx). */
  pretraining?: { files: readonly string[]; stream: ExampleStream<TextExample> }
}

/**
 * @param usesReference whether the method itself reads the reference model
 * @param withHead gives the policy a value head
 */
export const openRlContext = async (
  settings: RlSettings,
  { own, run, signal, loading, functions }: RecipeContext,
  { usesReference, withHead }: { usesReference: boolean; withHead?: PolicyOptions['withHead'] },
): Promise<RlContext> => {
  const folders = await resolveModel(settings, loading)
  // data
  const dataset = own(await openDataset('prompt', settings, { record: rewardColumns(settings.reward) }))
  // policy
  const policy = own(await openPolicy(settings, folders, { ...loading, withHead, sharedHead: withHead && 'value' }))
  const tokenization = await openTokenization(folders, policy.pretrained, settings)
  // rewards
  const rewards = await openRewards(settings, { own, tokenization, folders, functions, sharing: loading.sharing })
  // prompts, which policy and rewards must be able to read
  const rows = splitRows(dataset, settings)
  const readers = { tokenization, rewards }
  const checks = makeRowChecks('grpo', tokenization, closeLook(rows))
  const trainPrompts = promptStream(readers, rows.train, settings, checks.train)
  const evalPrompts =
    rows.evalRows &&
    promptStream(readers, rows.evalRows, { seed: settings.seed, shuffle: false, epochs: 1 }, checks.held)
  // reference, also where it costs nothing: evaluations then measure the KL
  const hasReference = usesReference || settings.klBudget !== undefined || hasLiveReference(policy)
  const reference = hasReference ? await openReferenceModel(policy) : undefined
  const scheduler = own(openPolicyScheduler(policy, tokenization))
  return {
    settings,
    run,
    signal,
    dataset,
    trainPrompts,
    evalPrompts,
    sampledRows: rows.evalRows ?? rows.train,
    checks,
    policy,
    tokenization,
    scheduler,
    reference,
    rewards,
  }
}

/** Throws a Fault 'bad-flag' where a prompt has one sample, and the method compares the samples of a prompt. */
export const requireSeveralGenerations = ({ numGenerations }: Pick<RolloutSettings, 'numGenerations'>): void => {
  if (numGenerations < 2)
    throw badInput('bad-flag', 'each sample is compared with the others of its prompt; give 2 or more', {
      flag: '--num-generations',
    })
}

/** The prompt alone is known before training. */
export const promptSequence = ({ ids }: PromptExample): Made => ({
  truncated: false,
  sequences: () => [answered('prompt', ids, [])],
})

/** A prompt's token ids, or why it is left out. */
export const promptExample = (
  tokenization: Tokenization,
  row: Prompt,
): PromptExample | 'empty-prompt' | 'prompt-too-long' => {
  const { prompt, template, record = {} } = row
  const { encoder, limits } = tokenization
  const ids = encodePrompt(encoder, prompt, template)
  requireKnownIds(row, [ids], tokenization)
  if (ids.length === 0) return 'empty-prompt'
  const longest = Math.min(limits.maxPromptLength ?? Number.POSITIVE_INFINITY, limits.maxLength - 1)
  return ids.length > longest ? 'prompt-too-long' : { prompt, template, ids, record }
}

/**
 * Prompts as the policy reads them. A prompt longer than --max-prompt-length is left out and counted, never cut: the answer
 * to half a question would be rewarded as the answer to the whole. Throws a Fault for a prompt that the policy or a reward
 * cannot read.
 * @param look is shown every row of the survey
 */
export const promptStream = (
  { tokenization, rewards }: { tokenization: Tokenization; rewards: Pick<Rewards, 'requirePrompt'> },
  rows: RowSource<Prompt>,
  settings: { seed: number; shuffle: boolean; epochs: number },
  look?: (seen: SeenRow) => void,
): PromptStream =>
  exampleStream<Prompt, PromptExample>({
    length: rows.length,
    row: rows.row,
    where: rows.where,
    epochs: settings.epochs,
    order: rowOrder(rows.length, settings),
    example: (row) => {
      const example = promptExample(tokenization, row)
      if (typeof example !== 'string') rewards.requirePrompt(example)
      return example
    },
    truncated: () => false,
    surveyed: (row, { example, ...more }) =>
      look?.({ row, made: typeof example === 'string' ? example : promptSequence(example), ...more }),
    // Columns may be large, and prompts are few beside what is sampled from them
    keptCharacters: 0,
  })
