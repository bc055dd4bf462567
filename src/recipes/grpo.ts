/**
 * GRPO (arXiv 2402.03300) and its kin: a sample's advantage is how far it stands from the mean of its prompt's samples.
 * Peculiar: the KL penalty, where there is one, is part of the loss (k3); by default there is none, and no reference.
 */
import { groupAdvantages } from '../objectives/advantages.ts'
import type { PolicyOptions } from '../objectives/policyGradient.ts'
import { methods } from './methods.ts'
import { openRlContext, requireSeveral } from './rl/context.ts'
import { updatesPerRollout } from './rl/minibatches.ts'
import { lossTypes, policyGradientObjective } from './rl/policyLoss.ts'
import { grpoSchema } from './rl/schema.ts'
import { runRlTrainer } from './rl/trainer.ts'
import { chunks } from './trainer/collate.ts'
import { recipe } from './trainer/recipe.ts'

export const grpo = recipe(methods.grpo, grpoSchema, async function* (config, context) {
  // data, policy, reference, rewards
  requireSeveral(config)
  const usesReference = config.klCoef > 0
  const rl = await openRlContext(config, context, usesReference)
  // objective
  const needsOldLogps = updatesPerRollout(config) > 1
  const { loss, aggregation } = lossTypes[config.lossType]
  const options: PolicyOptions = {
    ...{
      loss,
      ratio: config.importanceSamplingLevel,
      klEstimator: 'k3',
      beta: config.klCoef,
      entropyCoef: config.entropyCoef,
    },
    ...{ epsilonLow: config.epsilon, epsilonHigh: config.epsilonHigh ?? config.epsilon },
    ...{ delta: config.delta, useBiasCorrectionKl: config.useBiasCorrectionKl },
    ...(config.topEntropyQuantile < 1 && { topEntropyQuantile: config.topEntropyQuantile }),
  }
  // loop
  yield* runRlTrainer(rl, {
    needs: { old: needsOldLogps, ref: usesReference },
    loss: policyGradientObjective({ ...options, old: needsOldLogps }),
    aggregation,
    computeAdvantages: ({ rollout, scored, oldLogps, refLogps }, state) => {
      const groups = chunks(scored.rewards, rollout.perPrompt)
      const advantages = groupAdvantages(groups, config.scaleRewards).flat()
      return {
        columns: {
          advantages,
          ...(needsOldLogps && { oldLogps: oldLogps! }),
          ...(usesReference && { refLogps: refLogps! }),
        },
        state,
      }
    },
  })
})
