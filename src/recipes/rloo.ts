/**
 * RLOO (arXiv 2402.14740): a sample's advantage is its reward less the mean reward of its prompt's other samples. The KL
 * penalty is part of the reward, and a sample has one ratio, the product of its tokens'.
 */

import { leaveOneOut, normalized } from '../objectives/advantages.ts'
import { methods } from './methods.ts'
import { openRlContext, requireSeveralGenerations } from './rl/context.ts'
import { klPenalizedRewards } from './rl/klReward.ts'
import type { ComputedAdvantages, Experience } from './rl/method.ts'
import { updatesPerRollout } from './rl/minibatches.ts'
import { policyGradientObjective } from './rl/policyLoss.ts'
import { rlooSchema } from './rl/schema.ts'
import { runRlTrainer } from './rl/trainer.ts'
import { chunks } from './trainer/collate.ts'
import { recipe } from './trainer/recipe.ts'

export const rloo = recipe(methods.rloo, rlooSchema, async function* (config, context) {
  // data, policy, reference, rewards
  requireSeveralGenerations(config)
  const usesReference = config.klCoef > 0
  const rl = await openRlContext(config, context, { usesReference })
  const hasOldLogps = updatesPerRollout(config) > 1
  // advantages
  const computeAdvantages = ({ rollout, rewards, oldLogps, refLogps }: Experience): ComputedAdvantages => {
    const penalized = klPenalizedRewards(rewards, config.klCoef, oldLogps, refLogps)
    const groups = chunks(penalized.rewards, rollout.perPrompt)
    const plain = leaveOneOut(groups)
    const advantages = config.normalizeAdvantages ? normalized(plain, (i, j) => Number.isNaN(groups[i][j])) : plain
    return {
      columns: { advantages: advantages.flat(), ...(hasOldLogps && { oldLogps: oldLogps! }) },
      metrics: penalized.metrics,
    }
  }
  // objective
  const objective = policyGradientObjective({
    loss: 'clip',
    ratio: 'completion',
    epsilonLow: config.epsilon,
    epsilonHigh: config.epsilonHigh ?? config.epsilon,
    beta: 0,
    klEstimator: 'k1',
    entropyCoef: 0,
    hasOldLogps,
  })
  // loop
  yield* runRlTrainer(rl, {
    needs: { oldLogps: usesReference || hasOldLogps, refLogps: usesReference },
    computeAdvantages,
    loss: objective,
    // The tokens of a sample have the same ratio, so their mean is the loss of the sample
    aggregation: 'grpo',
  })
})
