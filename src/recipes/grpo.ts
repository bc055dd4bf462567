/**
 * GRPO (arXiv 2402.03300) and its kin: a sample's advantage is its reward less the mean reward of its prompt's samples.
 * The KL penalty is part of the loss (k3). By default there is none, and no reference model.
 */

import { groupAdvantages } from '../objectives/advantages.ts'
import { methods } from './methods.ts'
import { openRlContext, requireSeveralGenerations } from './rl/context.ts'
import type { ComputedAdvantages, Experience } from './rl/method.ts'
import { updatesPerRollout } from './rl/minibatches.ts'
import { lossTypes, policyGradientObjective } from './rl/policyLoss.ts'
import { grpoSchema } from './rl/schema.ts'
import { runRlTrainer } from './rl/trainer.ts'
import { chunks } from './trainer/collate.ts'
import { recipe } from './trainer/recipe.ts'

export const grpo = recipe(methods.grpo, grpoSchema, async function* (config, context) {
  // data, policy, reference, rewards
  requireSeveralGenerations(config)
  const usesReference = config.klCoef > 0
  const rl = await openRlContext(config, context, { usesReference })
  const hasOldLogps = updatesPerRollout(config) > 1
  // advantages
  const computeAdvantages = ({ rollout, rewards, oldLogps, refLogps }: Experience): ComputedAdvantages => {
    const groups = chunks(rewards, rollout.perPrompt)
    return {
      columns: {
        advantages: groupAdvantages(groups, config.scaleRewards).flat(),
        ...(hasOldLogps && { oldLogps: oldLogps! }),
        ...(usesReference && { refLogps: refLogps! }),
      },
    }
  }
  // objective
  const { loss, aggregation } = lossTypes[config.lossType]
  const objective = policyGradientObjective({
    loss,
    ratio: config.importanceSamplingLevel,
    epsilonLow: config.epsilon,
    epsilonHigh: config.epsilonHigh ?? config.epsilon,
    delta: config.delta,
    beta: config.klCoef,
    klEstimator: 'k3',
    useBiasCorrectionKl: config.useBiasCorrectionKl,
    entropyCoef: config.entropyCoef,
    topEntropyQuantile: config.topEntropyQuantile < 1 ? config.topEntropyQuantile : undefined,
    hasOldLogps,
  })
  // loop
  yield* runRlTrainer(rl, {
    needs: { oldLogps: hasOldLogps, refLogps: usesReference },
    computeAdvantages,
    loss: objective,
    aggregation,
  })
})
