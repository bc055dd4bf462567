/**
 * REINFORCE (Williams 1992) with a moving baseline: a sample's advantage is its reward less what earlier rollouts got, so one
 * sample of a prompt is enough. Where a reward says how unsure it is (sigma), the advantage is divided by 1 + sigma.
 */

import { baselineAdvantages } from '../objectives/advantages.ts'
import { type BaselineState, initialBaseline, updateBaseline } from '../objectives/baselines.ts'
import { methods } from './methods.ts'
import { openRlContext } from './rl/context.ts'
import { klPenalizedRewards } from './rl/klReward.ts'
import type { ComputedAdvantages, Experience, MethodState } from './rl/method.ts'
import { updatesPerRollout } from './rl/minibatches.ts'
import { policyGradientObjective } from './rl/policyLoss.ts'
import { reinforceSchema } from './rl/schema.ts'
import { runRlTrainer } from './rl/trainer.ts'
import { recipe } from './trainer/recipe.ts'

export const reinforce = recipe(methods.reinforce, reinforceSchema, async function* (config, context) {
  // data, policy, reference, rewards
  const usesReference = config.klCoef > 0
  const rl = await openRlContext(config, context, { usesReference })
  const hasOldLogps = updatesPerRollout(config) > 1
  // advantages
  const kind = config.baseline === 'ema' ? 'ema_first' : config.baseline
  const { baselineMomentum: momentum, baselineWindow: window } = config
  const computeAdvantages = (experience: Experience, state: MethodState): ComputedAdvantages => {
    const { oldLogps, refLogps, sigmas } = experience
    const { rewards, metrics } = klPenalizedRewards(experience.rewards, config.klCoef, oldLogps, refLogps)
    const before = (state.baseline as BaselineState | undefined) ?? initialBaseline
    const after = kind === 'none' ? before : updateBaseline(before, rewards, { kind, momentum, window })
    // The first rollout is compared with its own mean, which is RLOO's baseline times (n - 1) / n; 0 would be far from most rewards
    const { value: baseline } = before.seen === 0 ? after : before
    const advantages = baselineAdvantages(rewards, baseline, config.regulariser ? sigmas : undefined)
    return {
      columns: { advantages, ...(hasOldLogps && { oldLogps: oldLogps! }) },
      state: { baseline: after },
      metrics: { ...metrics, baseline },
    }
  }
  // objective: -A log pi(y|x), whose gradient is that of the ratio where the policy is the one that sampled
  const objective = policyGradientObjective({
    loss: 'reinforce',
    ratio: 'token',
    epsilonLow: 0,
    epsilonHigh: 0,
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
    aggregation: 'sum',
  })
})
