/** What can be set of PPO. Names and defaults are TRL's, but for minibatches and epochs, which are named as in GRPO. */
import { z } from 'zod'
import { klEstimators } from '../../objectives/kl.ts'
import { count, flag, grouped, part, positive, text, texts, weight } from '../trainer/schema.ts'
import { rewardFields, rlShared, rolloutFields } from './schema.ts'

const valueFields = {
  valueModel: text('MODEL')
    .optional()
    .describe('a value model of its own, which begins as this reward model (default: a new head on the policy)'),
  vfCoef: weight().default(0.1).describe('weight of the value loss where the head is on the policy'),
  gamma: part().default(1).describe('discount of later rewards, a token'),
  lam: part().default(0.95).describe('lambda of generalised advantage estimation'),
  cliprange: positive().default(0.2).describe('ratios count from 1 - this to 1 + this'),
  cliprangeValue: positive().default(0.2).describe('values count within this of what they were at the rollout'),
  whitenRewards: flag().describe('bring the rewards of tokens to a deviation of 1; advantages always are'),
}

const klFields = {
  klCoef: weight().default(0.05).describe('weight of KL(policy || reference), taken off the reward of each token'),
  klEstimator: z.enum(klEstimators).default('k1').describe('how KL is estimated from a token (k1 is unbiased)'),
  klTarget: positive().optional().describe('adapt --kl-coef so that a sample has this KL, in nats'),
  klHorizon: positive().default(10_000).describe('samples in which an adaptive --kl-coef may double, roughly'),
}

const ptxFields = {
  ptxData: texts('FILE').optional().describe('pretraining rows, learnt from in every update (PPO-ptx); repeatable'),
  ptxCoef: weight().default(1).describe('gamma: weight of their mean log-prob of a token in the objective'),
  ptxBatchSize: count().optional().describe('pretraining rows in each update (default: --batch-size)'),
}

export const ppoSchema = z.object({
  ...grouped('Method', {
    ...valueFields,
    ...klFields,
    ...ptxFields,
  }),
  ...grouped('Rollout', {
    ...rolloutFields(1),
    numIterations: count().default(4).describe("passes over each rollout (TRL's num_ppo_epochs)"),
    stepsPerGeneration: count().default(1).describe("minibatches in each pass (TRL's num_mini_batches)"),
  }),
  ...grouped('Reward', rewardFields),
  ...rlShared(8),
  ...grouped('Learning', {
    learningRate: positive().default(3e-6).describe('learning rate at its highest, of policy and values'),
  }),
})
