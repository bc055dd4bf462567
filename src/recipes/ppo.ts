/**
 * PPO (arXiv 1707.06347) for language models (arXiv 1909.08593; 2203.02155): rewards stand on tokens, a value function says
 * what was to be expected at each, and the difference moves the policy, several times for each rollout.
 * Peculiar: the value function is a head on the policy, learnt from the same pass, or with --value-model a second model on
 * the same engine, updated in the same step and clipped with the policy by one norm, as TRL's PPO did.
 */
import { withValueHead } from '../models/scored.ts'
import { methods } from './methods.ts'
import { openRlContext } from './rl/context.ts'
import { ppoAdvantages } from './rl/ppoAdvantages.ts'
import { ppoObjective, valueObjective } from './rl/ppoObjective.ts'
import { ppoSchema } from './rl/ppoSchema.ts'
import { openPretraining } from './rl/pretraining.ts'
import { runRlTrainer } from './rl/trainer.ts'
import { openValueModel, valueHead } from './rl/valueModel.ts'
import { recipe } from './trainer/recipe.ts'

export const ppo = recipe(methods.ppo, ppoSchema, async function* (config, context) {
  const shared = config.valueModel === undefined
  // data, policy, reference, rewards
  const head = shared
    ? (base: Parameters<typeof valueHead>[0]) => withValueHead(base, valueHead(base, config.seed))
    : undefined
  const opened = await openRlContext(config, context, true, head)
  // values
  const critic = shared ? undefined : await openValueModel({ ...config, valueModel: config.valueModel! }, opened)
  const rl = critic ? { ...opened, policy: critic.joined } : opened
  // pretraining
  const pretraining = config.ptxData && (await openPretraining({ ...config, ptxData: config.ptxData }, context, opened))
  // loop
  const clip = { policy: config.cliprange, value: config.cliprangeValue }
  yield* runRlTrainer(
    { ...rl, pretraining: pretraining || undefined },
    {
      needs: { old: true, ref: true, values: shared },
      computeAdvantages: (experience, state) => ppoAdvantages(config, experience, state, critic?.model),
      loss: ppoObjective({ clip, vfCoef: shared ? config.vfCoef : undefined }),
      valueModel: critic && { ...critic, loss: valueObjective(clip), head: {} },
      extraBatches: pretraining?.batches,
      aggregation: 'dapo',
    },
  )
})
