/** What a run that learns from its own samples stands on: prompts, the policy and its decoder, rewards, the reference. */
import type { TextExample } from '../../data/examples.ts'
import { endIds } from '../../generate/generate.ts'
import type { Scheduler } from '../../generate/scheduler.ts'
import type { Model } from '../../passes/model.ts'
import type { Run } from '../../runs/run.node.ts'
import { loadTokenizerFolder } from '../../text/tokenizer.node.ts'
import type { ExampleStream } from '../../train/stream.ts'
import { badInput } from '../../util/fault.ts'
import { idsOnly, locate } from '../encoder.ts'
import { hasLiveReference, openPolicy, type Policy, type PolicySettings } from '../policy.ts'
import type { Body } from '../recipe.ts'
import { type Data, limitsOf, openData, partsOf } from '../runRows.ts'
import type { SessionSettings } from '../session.ts'
import { openRewards, type RewardSettings, rewardColumns } from './openRewards.ts'
import { openFrozen } from './passes.ts'
import { type Encoding, type PromptStream, promptStream } from './prompts.ts'
import type { Rewards } from './rewards.ts'
import { openRollouts, type RolloutSettings } from './rollout.ts'
import type { UpdateSettings } from './updates.ts'

export type RlSettings = SessionSettings &
  PolicySettings &
  RewardSettings &
  RolloutSettings &
  UpdateSettings &
  Parameters<typeof limitsOf>[0] & {
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
  encoding: Encoding
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
  const place = await locate(settings)
  const data = own(await openData('prompt', settings, { record: rewardColumns(settings.reward) }))
  const policy = own(await openPolicy(settings, place, withHead))
  const tokenizer = await loadTokenizerFolder(place.dir, place.adapter)
  const encoder = tokenizer ?? idsOnly(place.dir)
  const eosIds = endIds(policy.model.config.raw, policy.pretrained.generationConfig, tokenizer?.eosId)
  const encoding: Encoding = { encoder, tokenizer, eosIds, limits: limitsOf(settings, policy) }
  const rewards = await openRewards(settings, { own, encoding, place })
  const parts = partsOf(data, settings)
  const readers = { encoding, vocabulary: policy.model.config.vocab_size, rewards }
  const train = promptStream(readers, parts.train, settings)
  const held = parts.held && promptStream(readers, parts.held, { seed: settings.seed, shuffle: false, epochs: 1 })
  const wanted = tied || settings.klBudget !== undefined || hasLiveReference(policy)
  const reference = wanted ? await openFrozen(policy) : undefined
  const scheduler = own(openRollouts(policy, encoding))
  return { settings, run, signal, policy, encoding, scheduler, rewards, reference, data, train, held }
}
