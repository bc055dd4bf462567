/**
 * RLOO (arXiv 2402.14740): each sample is evalPrompts against the mean of the prompt's other samples. Peculiar: the KL penalty is
 * part of the reward, and a sample has one ratio, the product of its tokens'.
 */
import { leaveOneOut, normalized } from '../objectives/advantages.ts'
import type { PolicyOptions } from '../objectives/policyGradient.ts'
import { methods } from './methods.ts'
import { openRlContext, requireSeveral } from './rl/context.ts'
import { klPenalizedRewards } from './rl/klReward.ts'
import { updatesPerRollout } from './rl/minibatches.ts'
import { policyGradientObjective } from './rl/policyLoss.ts'
import { rlooSchema } from './rl/schema.ts'
import { runRlTrainer } from './rl/trainer.ts'
import { chunks } from './trainer/collate.ts'
import { recipe } from './trainer/recipe.ts'

export const rloo = recipe(methods.rloo, rlooSchema, async function* (config, context) {
  // data, policy, reference, rewards
  requireSeveral(config)
  const usesReference = config.klCoef > 0
  const rl = await openRlContext(config, context, usesReference)
  // objective
  const needsOldLogps = updatesPerRollout(config) > 1
  const options: PolicyOptions = {
    ...{ loss: 'clip', ratio: 'reply', beta: 0, klEstimator: 'k1', entropyCoef: 0 },
    ...{ epsilonLow: config.epsilon, epsilonHigh: config.epsilonHigh ?? config.epsilon },
  }
  // loop
  yield* runRlTrainer(rl, {
    needs: { old: usesReference || needsOldLogps, ref: usesReference },
    loss: policyGradientObjective({ ...options, old: needsOldLogps }),
    // One ratio a sample, the same on each of its tokens: their mean is that of the samples
    aggregation: 'grpo',
    computeAdvantages: ({ rollout, scored, oldLogps, refLogps }, state) => {
      const { rewards, measures } = klPenalizedRewards(scored.rewards, config.klCoef, oldLogps, refLogps)
      const groups = chunks(rewards, rollout.perPrompt)
      const plain = leaveOneOut(groups)
      const advantages = config.normalizeAdvantages ? normalized(plain, (i, j) => Number.isNaN(groups[i][j])) : plain
      return {
        columns: { advantages: advantages.flat(), ...(needsOldLogps && { oldLogps: oldLogps! }) },
        ...{ state, measures },
      }
    },
  })
})
