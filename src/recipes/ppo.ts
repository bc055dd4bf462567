/**
 * PPO (arXiv 1707.06347) for language models (arXiv 1909.08593; 2203.02155): tokens have rewards, a value function says what
 * was to be expected at each, and the difference moves the policy, several times for each rollout.
 *
 * The value function is a head on the policy, learnt from the same pass, or with --value-model a second model on the same
 * engine, updated in the same step. As in TRL's PPO, gradients of both are clipped by one norm.
 */
import { methods } from './methods.ts'
import { openRlContext } from './rl/context.ts'
import type { Experience, MethodState } from './rl/method.ts'
import { ppoAdvantages } from './rl/ppoAdvantages.ts'
import { ppoObjective, valueObjective } from './rl/ppoObjective.ts'
import { ppoSchema } from './rl/ppoSchema.ts'
import { openPretraining } from './rl/pretraining.ts'
import { runRlTrainer } from './rl/trainer.ts'
import { openValueModel, policyWithValueHead } from './rl/valueModel.ts'
import { recipe } from './trainer/recipe.ts'

export const ppo = recipe(methods.ppo, ppoSchema, async function* (config, context) {
  // data, policy, reference, rewards
  const { valueModel: valueModelName, ptxData } = config
  const hasValueHead = valueModelName === undefined
  const withHead = hasValueHead ? policyWithValueHead(config.seed) : undefined
  const opened = await openRlContext(config, context, { usesReference: true, withHead })
  // value model
  const valueModel = hasValueHead
    ? undefined
    : await openValueModel({ ...config, valueModel: valueModelName }, opened.policy, context.loading.sharing)
  // pretraining
  const pretraining = ptxData && (await openPretraining({ ...config, ptxData }, context, opened))
  const rl = { ...opened, policy: valueModel?.policy ?? opened.policy, pretraining }
  // advantages
  const computeAdvantages = (experience: Experience, state: MethodState) =>
    ppoAdvantages(config, experience, state, valueModel?.model)
  // objective
  const clip = { policy: config.cliprange, value: config.cliprangeValue }
  const objective = ppoObjective({ clip, vfCoef: hasValueHead ? config.vfCoef : undefined })
  // loop
  yield* runRlTrainer(rl, {
    needs: { oldLogps: true, refLogps: true, values: hasValueHead },
    computeAdvantages,
    loss: objective,
    aggregation: 'dapo',
    valueModel: valueModel && {
      model: valueModel.model,
      gradients: valueModel.gradients,
      loss: valueObjective(clip),
      head: {},
    },
    extraBatches: pretraining?.batches,
  })
})
