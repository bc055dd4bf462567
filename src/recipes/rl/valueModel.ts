/**
 * PPO's value function: a head on the policy, or a value model of its own that begins as a reward model.
 *
 * A value model lives on the policy's engine, and its arenas lie beside the policy's. So one update, one gradient norm and
 * one checkpoint are of both.
 */
import type { StoredTensor } from '../../checkpoint/stored.ts'
import { scoreWeight } from '../../models/architecture.ts'
import type { Base } from '../../models/merge.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import { asRewardModel, newScoreWeight, withValueHead } from '../../models/scored.ts'
import { optimizer } from '../../optim/optimizers.ts'
import type { Model } from '../../passes/model.ts'
import type { Gradients } from '../../passes/stack.ts'
import { sameTokenizer } from '../../text/tokenizer.node.ts'
import { makeUpdater } from '../../train/update.ts'
import { badInput } from '../../util/fault.ts'
import type { Sharing } from '../../util/sharing.ts'
import { openPolicy, type Policy, type PolicySettings } from '../trainer/policy.ts'
import { sharePolicy } from '../trainer/sharedPolicy.ts'

/** The model's own head where it has one output, else a new one. */
const valueHead = ({ config, params }: Base, seed: number): StoredTensor => {
  const own = params.get(scoreWeight)
  return own?.shape[0] === 1 ? own : newScoreWeight(config, 1, seed)
}

/** The policy's model with a value head beside its language head. */
export const policyWithValueHead =
  (seed: number) =>
  (base: Base): Base =>
    withValueHead(base, valueHead(base, seed))

/** A model that becomes a value model. @param name for messages */
export const valueModelHead =
  (seed: number, name: string) =>
  (base: Base): Base =>
    asRewardModel(base, valueHead(base, seed), name)

export type ValueModel = {
  model: Model
  gradients: Gradients
  /** The policy, whose arenas and updater are now those of both. */
  policy: Policy
}

/**
 * Throws Faults: those of `openPolicy`, and 'bad-flag' where the two models read different tokens.
 * @param sharing workers that may compute values
 */
export const openValueModel = async (
  settings: PolicySettings & { valueModel: string },
  policy: Policy,
  sharing?: Sharing,
): Promise<ValueModel> => {
  const folders = await resolveModel({ model: settings.valueModel })
  const withHead = valueModelHead(settings.seed, settings.valueModel)
  // The --lora flags speak of the policy's adapter. One that the value model brings goes on as it is
  const lora = folders.adapter === undefined ? {} : { loraR: undefined, loraAlpha: undefined, loraTarget: undefined }
  const own = { ...settings, ...lora }
  const opened = await openPolicy(own, folders, { withHead, engine: policy.backend })
  await requireSameTokens(policy, opened)
  const arenas = [...policy.arenas, ...opened.arenas]
  const method = optimizer(settings.optimizer, { weightDecay: settings.weightDecay })
  // As with a policy, too many trained parameters are not sent about
  const shared = sharing && opened.shard && sharePolicy(opened, own, sharing, 'value-model').passes
  return {
    model: { ...opened.model, shared },
    gradients: opened.gradients,
    policy: {
      ...policy,
      arenas,
      updater: makeUpdater(policy.backend, arenas, method),
      files: [...policy.files, ...opened.files],
    },
  }
}

const tokenizerPlace = ({ dir, adapterDir: adapter }: Policy) => ({ dir, adapter })

/** There is a value before each token of the policy, so both models must tokenize alike. */
const requireSameTokens = async (policy: Policy, valueModel: Policy) => {
  const isSame = (await sameTokenizer(tokenizerPlace(policy), tokenizerPlace(valueModel))) ?? true
  if (isSame && policy.model.config.vocab_size <= valueModel.model.config.vocab_size) return
  throw badInput(
    'bad-flag',
    `${valueModel.dir} reads other tokens than ${policy.dir}; give a reward model of the same family, or leave the flag out`,
    { flag: '--value-model' },
  )
}
