/**
 * REINFORCE with a moving baseline. Peculiar: the baseline is what earlier rollouts were worth, so it needs no second
 * sample of a prompt; a probabilistic reward says how unsure it is, and moves the policy the less (level 2).
 */
import { baselineAdvantages } from '../objectives/advantages.ts'
import { type BaselineState, initialBaseline, updateBaseline } from '../objectives/baselines.ts'
import type { PolicyOptions } from '../objectives/policyGradient.ts'
import { methods } from './methods.ts'
import { openRlContext } from './rl/context.ts'
import { klPenalizedRewards } from './rl/klReward.ts'
import { updatesPerRollout } from './rl/minibatches.ts'
import { policyGradientObjective } from './rl/policyLoss.ts'
import { reinforceSchema } from './rl/schema.ts'
import { runRlTrainer } from './rl/trainer.ts'
import { recipe } from './trainer/recipe.ts'

export const reinforce = recipe(methods.reinforce, reinforceSchema, async function* (config, context) {
  // data, policy, reference, rewards
  const usesReference = config.klCoef > 0
  const rl = await openRlContext(config, context, usesReference)
  // credit
  const { baseline, baselineMomentum: momentum, baselineWindow: window } = config
  const moving = { kind: baseline === 'ema' ? 'ema_first' : baseline, momentum, window } as const
  // objective
  const needsOldLogps = updatesPerRollout(config) > 1
  const loss = policyGradientObjective({ ...plain, old: needsOldLogps })
  // loop
  yield* runRlTrainer(rl, {
    needs: { old: usesReference || needsOldLogps, ref: usesReference },
    loss,
    aggregation: 'sum',
    computeAdvantages: ({ scored, oldLogps, refLogps }, state) => {
      const { rewards, measures } = klPenalizedRewards(scored.rewards, config.klCoef, oldLogps, refLogps)
      const before = (state.baseline as BaselineState | undefined) ?? initialBaseline
      const sigmas = config.regulariser ? scored.sigmas : undefined
      const after = moving.kind === 'none' ? before : updateBaseline(before, rewards, { ...moving, kind: moving.kind })
      // The first rollout against its own mean, which is RLOO's baseline times (n - 1) / n: 0 would be far from most rewards
      const { value } = before.seen === 0 ? after : before
      const advantages = baselineAdvantages(rewards, value, sigmas)
      return {
        columns: { advantages, ...(needsOldLogps && { oldLogps: oldLogps! }) },
        state: { ...state, baseline: after },
        measures: { ...measures, baseline: value },
      }
    },
  })
})

/** -A log pi(y|x), whose gradient is that of the ratio where the policy is the one that sampled. */
const plain: PolicyOptions = {
  loss: 'reinforce',
  ratio: 'token',
  epsilonLow: 0,
  epsilonHigh: 0,
  beta: 0,
  klEstimator: 'k1',
  entropyCoef: 0,
}
