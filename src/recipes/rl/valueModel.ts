/**
 * PPO's value functions: a head on the policy, or a model of its own that begins as the reward model. Peculiar: such a model
 * lives on the policy's engine and its arenas lie beside the policy's, so one update, one norm and one checkpoint are of both.
 */
import type { StoredTensor } from '../../checkpoint/stored.ts'
import { scoreWeight } from '../../models/architecture.ts'
import type { Base } from '../../models/merge.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import { asRewardModel, newScoreWeight } from '../../models/scored.ts'
import { optimizer } from '../../optim/optimizers.ts'
import type { Model } from '../../passes/model.ts'
import type { Gradients } from '../../passes/stack.ts'
import { sameTokenizer } from '../../text/tokenizer.node.ts'
import { makeUpdater } from '../../train/update.ts'
import { badInput } from '../../util/fault.ts'
import { openPolicy, type Policy, type PolicySettings } from '../trainer/policy.ts'
import type { RlContext } from './context.ts'

/** The model's own head of one output, else a new one. */
export const valueHead = ({ config, params }: Base, seed: number): StoredTensor => {
  const own = params.get(scoreWeight)
  return own?.shape[0] === 1 ? own : newScoreWeight(config, 1, seed)
}

export type ValueModel = {
  model: Model
  gradients: Gradients
  /** The policy, whose arenas and updater are those of both. */
  joined: Policy
}

type CriticSettings = PolicySettings & { valueModel: string }

/** Throws Faults: those of `openPolicy`, and 'bad-flag' where the two models read different tokens. */
export const openValueModel = async (
  settings: CriticSettings,
  { policy }: Pick<RlContext, 'policy'>,
): Promise<ValueModel> => {
  const folders = await resolveModel({ model: settings.valueModel })
  const head = (base: Base) => asRewardModel(base, valueHead(base, settings.seed))
  // Flags speak of the policy's adapter; one that the value model brings goes on as it is
  const own = folders.adapter === undefined ? {} : { loraR: undefined, loraAlpha: undefined, loraTarget: undefined }
  const critic = await openPolicy({ ...settings, ...own }, folders, head, policy.backend)
  await requireSameTokens(policy, critic)
  const arenas = [...policy.arenas, ...critic.arenas]
  const method = optimizer(settings.optimizer, { weightDecay: settings.weightDecay })
  const joined = {
    ...policy,
    arenas,
    updater: makeUpdater(policy.backend, arenas, method),
    files: [...policy.files, ...critic.files],
  }
  return { model: critic.model, gradients: critic.gradients, joined }
}

const placeOf = ({ dir, adapterDir: adapter }: Policy) => ({ dir, adapter })

/** A value stands on each token of the policy, so both must cut texts alike. */
const requireSameTokens = async (policy: Policy, critic: Policy) => {
  const alike = (await sameTokenizer(placeOf(policy), placeOf(critic))) ?? true
  if (alike && policy.model.config.vocab_size <= critic.model.config.vocab_size) return
  throw badInput(
    'bad-flag',
    `${critic.dir} reads other tokens than ${policy.dir}; give a reward model of the same family, or leave the flag out`,
    { flag: '--value-model' },
  )
}
