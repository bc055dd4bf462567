/** What a run that learns from its own samples stands on: prompts, the policy and its decoder, rewards, the reference. */

import type { TextExample } from '../../data/examples.ts'
import type { Scheduler } from '../../generate/scheduler.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import { type LengthSettings, openTokenization } from '../../generate/tokenization.node.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import type { Model } from '../../passes/model.ts'
import { openRewards, type RewardSettings, rewardColumns } from '../../rewards/open.ts'
import type { Rewards } from '../../rewards/rewards.ts'
import type { Run } from '../../runs/run.node.ts'
import type { ExampleStream } from '../../train/stream.ts'
import { badInput } from '../../util/fault.ts'
import { type Dataset, openDataset, splitRows } from '../trainer/dataset.ts'
import { hasLiveReference, openPolicy, type Policy, type PolicySettings } from '../trainer/policy.ts'
import type { Body } from '../trainer/recipe.ts'
import type { TrainerSettings } from '../trainer/trainer.ts'
import type { UpdateSettings } from './minibatches.ts'
import { type PromptStream, promptStream } from './prompts.ts'
import { openPolicyScheduler, type RolloutSettings } from './rollout.ts'
import { openReferenceModel } from './sampleStats.ts'

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

export type RlContext = {
  settings: RlSettings
  run: Run
  signal: AbortSignal
  policy: Policy
  tokenization: Tokenization
  scheduler: Scheduler
  rewards: Rewards
  /** Undefined where nothing reads it and a copy would have to be made. */
  reference?: Model
  data: Dataset<'prompt'>
  trainPrompts: PromptStream
  evalPrompts?: PromptStream
  /** What is learnt from beside the prompts' samples. */
  pretraining?: { files: readonly string[]; stream: ExampleStream<TextExample> }
}

/** Throws a Fault 'bad-flag' where a prompt has one sample, and nothing to hold it against. */
export const requireSeveral = ({ numGenerations }: Pick<RolloutSettings, 'numGenerations'>): void => {
  if (numGenerations < 2)
    throw badInput('bad-flag', 'each sample is evalPrompts against the others of its prompt; give 2 or more', {
      flag: '--num-generations',
    })
}

/**
 * @param usesReference whether the method itself reads the reference
 * @param withHead gives the policy a value head
 */
export const openRlContext = async (
  settings: RlSettings,
  { own, run, signal }: RecipeContext,
  usesReference: boolean,
  withHead?: Parameters<typeof openPolicy>[2],
): Promise<RlContext> => {
  const folders = await resolveModel(settings)
  const data = own(await openDataset('prompt', settings, { record: rewardColumns(settings.reward) }))
  const policy = own(await openPolicy(settings, folders, withHead))
  const tokenization = await openTokenization(folders, policy.pretrained, settings)
  const rewards = await openRewards(settings, { own, tokenization, folders })
  const parts = splitRows(data, settings)
  const readers = { tokenization, rewards }
  const trainPrompts = promptStream(readers, parts.train, settings)
  const evalPrompts =
    parts.evalRows && promptStream(readers, parts.evalRows, { seed: settings.seed, shuffle: false, epochs: 1 })
  const wanted = usesReference || settings.klBudget !== undefined || hasLiveReference(policy)
  const reference = wanted ? await openReferenceModel(policy) : undefined
  const scheduler = own(openPolicyScheduler(policy, tokenization))
  return { settings, run, signal, policy, tokenization, scheduler, rewards, reference, data, trainPrompts, evalPrompts }
}
