/** The settings of `attune ppo`. Names and defaults are TRL's, but for minibatches and epochs, which are named as in GRPO. */
import { z } from 'zod'
import { klEstimators } from '../../objectives/kl.ts'
import { count, flag, fraction, grouped, positive, rateField, text, texts, weight } from '../trainer/fields.ts'
import { learningRates } from '../trainer/learningRates.ts'
import { withLike } from '../trainer/trlDefaults.ts'
import { rewardFields, rlShared, rolloutFields } from './schema.ts'

const valueFields = {
  valueModel: text('MODEL')
    .optional()
    .describe('train a separate value model that starts from this reward model (default: a new head on the policy)'),
  vfCoef: weight().default(0.1).describe('weight of the value loss, if the value head is on the policy'),
  gamma: fraction().default(1).describe('discount factor of later rewards, per token'),
  lam: fraction().default(0.95).describe('lambda of generalised advantage estimation (GAE)'),
  cliprange: positive().default(0.2).describe('clip importance ratios to 1 - this and 1 + this'),
  cliprangeValue: positive().default(0.2).describe('clip values to within this of the value at the rollout'),
  whitenRewards: flag().describe(
    'scale the rewards of the tokens to a standard deviation of 1; advantages are always whitened',
  ),
}

const klFields = {
  klCoef: weight()
    .default(0.05)
    .describe('weight of KL(policy || reference), subtracted from the reward of each token'),
  klEstimator: z
    .enum(klEstimators)
    .default('k1')
    .describe('estimator of the KL divergence from one token (k1 is unbiased)'),
  klTarget: positive()
    .optional()
    .describe('adapt --kl-coef so that the KL divergence of a completion approaches this, in nats'),
  klHorizon: positive().default(10_000).describe('about how many completions an adaptive --kl-coef takes to double'),
}

const ptxFields = {
  ptxData: texts('FILE').optional().describe('pretraining rows to learn from in every update (PPO-ptx); repeatable'),
  ptxCoef: weight().default(1).describe('gamma of PPO-ptx: weight of the mean log-prob of a pretraining token'),
  ptxBatchSize: count().optional().describe('pretraining rows in each update (default: --batch-size)'),
}

const ppoSettings = z.object({
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
  ...rlShared(8, learningRates.ppo),
  ...grouped('Learning', {
    learningRate: rateField(positive(), learningRates.ppo).describe('peak learning rate of policy and value model'),
  }),
})

export const ppoSchema = withLike('ppo', ppoSettings)
