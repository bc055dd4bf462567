/**
 * GRPO (arXiv 2402.03300) and its kin: a sample's advantage is how far it stands from the mean of its prompt's samples.
 * Peculiar: the KL penalty, where there is one, is part of the loss (k3); by default there is none, and no reference.
 */
import { groupAdvantages } from '../objectives/advantages.ts'
import type { Aggregation } from '../objectives/aggregation.ts'
import type { PolicyLoss, PolicyOptions } from '../objectives/policyGradient.ts'
import { badInput } from '../util/fault.ts'
import { recipe } from './recipe.ts'
import { openGround } from './rl/ground.ts'
import { groupsOf } from './rl/measures.ts'
import { policyObjective } from './rl/objective.ts'
import { rlSession } from './rl/session.ts'
import { grpoSchema } from './rlSchema.ts'

/** What each --loss-type is: how a ratio counts, and how tokens are averaged. */
const kinds = {
  grpo: { loss: 'clip', aggregation: 'grpo' },
  bnpo: { loss: 'clip', aggregation: 'bnpo' },
  dr_grpo: { loss: 'clip', aggregation: 'dr_grpo' },
  dapo: { loss: 'clip', aggregation: 'dapo' },
  cispo: { loss: 'cispo', aggregation: 'dapo' },
  sapo: { loss: 'sapo', aggregation: 'grpo' },
  vespo: { loss: 'vespo', aggregation: 'dapo' },
  luspo: { loss: 'clip', aggregation: 'sum' },
} as const satisfies Record<string, { loss: PolicyLoss; aggregation: Aggregation }>

export const grpo = recipe(
  'grpo',
  {
    summary: 'learn from rewards of its own samples, each within its group (GRPO, DAPO, Dr. GRPO, GSPO)',
    example:
      'attune grpo --model HuggingFaceTB/SmolLM2-135M-Instruct --data sums.jsonl --reward exact:answer --lora-r 32 --output runs/grpo',
  },
  grpoSchema,
  async function* (config, context) {
    // data, policy, reference, rewards
    if (config.numGenerations < 2)
      throw badInput('bad-flag', 'each sample is held against the others of its prompt; give 2 or more', {
        flag: '--num-generations',
      })
    const tied = config.klCoef > 0
    const ground = await openGround(config, context, tied)
    // objective
    const many = config.numIterations * config.stepsPerGeneration > 1
    const { loss, aggregation } = kinds[config.lossType]
    const options: PolicyOptions = {
      ...{ loss, ratio: config.importanceSamplingLevel, klEstimator: 'k3', beta: config.klCoef, entropyCoef: 0 },
      ...{ epsilonLow: config.epsilon, epsilonHigh: config.epsilonHigh ?? config.epsilon },
      ...{ delta: config.delta, useBiasCorrectionKl: config.useBiasCorrectionKl },
      ...(config.topEntropyQuantile < 1 && { topEntropyQuantile: config.topEntropyQuantile }),
    }
    // loop
    yield* rlSession(ground, {
      reads: { old: many, ref: tied },
      loss: policyObjective(options, { old: many, ref: tied }),
      aggregation,
      credit: ({ rollout, scored, oldLogps, refLogps }, state) => {
        const groups = groupsOf(scored.rewards, rollout.perPrompt)
        const advantages = groupAdvantages(groups, config.scaleRewards).flat()
        return {
          columns: {
            advantages,
            ...(many && { oldLogps: oldLogps! }),
            ...(tied && { refLogps: refLogps! }),
          },
          state,
        }
      },
    })
  },
)
