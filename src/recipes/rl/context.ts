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
import { type Data, openData, partsOf } from '../trainer/dataset.ts'
import { hasLiveReference, openPolicy, type Policy, type PolicySettings } from '../trainer/policy.ts'
import type { Body } from '../trainer/recipe.ts'
import type { SessionSettings } from '../trainer/trainer.ts'
import type { UpdateSettings } from './minibatches.ts'
import { type PromptStream, promptStream } from './prompts.ts'
import { openPolicyScheduler, type RolloutSettings } from './rollout.ts'
import { openFrozen } from './sampleStats.ts'

export type RlSettings = SessionSettings &
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

export type Context = Parameters<Body<never>>[1]

export type Ground = {
  settings: RlSettings
  run: Run
  signal: AbortSignal
  policy: Policy
  tokenization: Tokenization
  scheduler: Scheduler
  rewards: Rewards
  /** Undefined where nothing reads it and a copy would have to be made. */
  reference?: Model
  data: Data<'prompt'>
  train: PromptStream
  held?: PromptStream
  /** What is learnt from beside the prompts' samples. */
  texts?: { files: readonly string[]; stream: ExampleStream<TextExample> }
}

/** Throws a Fault 'bad-flag' where a prompt has one sample, and nothing to hold it against. */
export const requireSeveral = ({ numGenerations }: Pick<RolloutSettings, 'numGenerations'>): void => {
  if (numGenerations < 2)
    throw badInput('bad-flag', 'each sample is held against the others of its prompt; give 2 or more', {
      flag: '--num-generations',
    })
}

/**
 * @param tied whether the method itself reads the reference
 * @param withHead gives the policy a value head
 */
export const openGround = async (
  settings: RlSettings,
  { own, run, signal }: Context,
  tied: boolean,
  withHead?: Parameters<typeof openPolicy>[2],
): Promise<Ground> => {
  const folders = await resolveModel(settings)
  const data = own(await openData('prompt', settings, { record: rewardColumns(settings.reward) }))
  const policy = own(await openPolicy(settings, folders, withHead))
  const tokenization = await openTokenization(folders, policy.pretrained, settings)
  const rewards = await openRewards(settings, { own, tokenization, folders })
  const parts = partsOf(data, settings)
  const readers = { tokenization, rewards }
  const train = promptStream(readers, parts.train, settings)
  const held = parts.held && promptStream(readers, parts.held, { seed: settings.seed, shuffle: false, epochs: 1 })
  const wanted = tied || settings.klBudget !== undefined || hasLiveReference(policy)
  const reference = wanted ? await openFrozen(policy) : undefined
  const scheduler = own(openPolicyScheduler(policy, tokenization))
  return { settings, run, signal, policy, tokenization, scheduler, rewards, reference, data, train, held }
}
