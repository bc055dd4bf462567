/**
 * What can be set of the methods that learn from their own samples. Peculiar: a row is a prompt, so --batch-size counts
 * prompts, each with --num-generations samples. Names and defaults are TRL's unless a description says why not.
 */
import { z } from 'zod'
import {
  count,
  dataFields,
  engineFields,
  flag,
  grouped,
  modelFields,
  on,
  part,
  positive,
  shared,
  text,
  texts,
  weight,
} from './schema.ts'

export const rewardFields = {
  reward: texts('SPEC').describe(
    'who rewards: a reward model (folder, hub id, run), a module (rewards.ts: rows to numbers), exact:COLUMN, regex:PATTERN, schema:FILE.json, arithmetic, or a judge (URL#MODEL); NAME=SPEC names it in the metrics; repeatable',
  ),
  rewardWeights: z
    .array(z.number())
    .min(1)
    .optional()
    .meta({ value: 'NUMBERS', separator: ',' })
    .describe('of each reward in the sum (default: 1 each)'),
  normaliseRewards: flag().describe('reward models: less the mean, by the deviation, that were saved with them'),
  rewardTimeout: positive().default(60).describe('seconds that a call of a reward function may take'),
  missingEosPenalty: weight().optional().describe('taken off the reward of an answer that never ends'),
}

export const rolloutFields = (numGenerations: number) => ({
  numGenerations: count().default(numGenerations).describe('samples of each prompt'),
  maxNewTokens: count().default(256).describe('tokens of a sample, at most'),
  temperature: positive().default(1).describe('of the samples; logits are divided by it in training too'),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('sample among the likeliest tokens of this much probability; below 1 the ratios are biased'),
  topK: count().optional().describe('sample among so many likeliest tokens; ratios are biased'),
  minP: part().default(0).describe('leave out tokens less likely than this part of the likeliest; ratios are biased'),
  stepsPerGeneration: count().default(1).describe('optimizer steps that share the prompts of a rollout'),
  numIterations: count().default(1).describe('passes over each rollout'),
  maskTruncated: flag().describe('samples that were cut off count for nothing'),
  klBudget: positive().optional().describe('stop as soon as KL(policy || reference) of a sample passes this, in nats'),
  sampleEvery: count().default(50).describe('steps from one table of samples in the log to the next'),
})

export const klCoef = (fallback: number, where: string) =>
  weight().default(fallback).describe(`weight of KL(policy || reference) ${where}; 0 needs no reference`)

export const inReward = 'taken off the reward'

const lengthFields = {
  maxLength: count().default(1024).describe('tokens of prompt and answer'),
  maxPromptLength: count().optional().describe('prompts of more tokens are left out'),
}

/** Prompts are not cut, and the best step is the one of most reward. */
export const rlShared = (batchSize: number) => ({
  ...shared({ learningRate: 1e-6, loraDropout: 0 }),
  ...grouped('Data', lengthFields),
  ...grouped('Learning', { batchSize: count().default(batchSize).describe('prompts that are computed at once') }),
  ...grouped('Evaluation', {
    bestMetric: text('NAME').default('eval_reward').describe('the measure of the best step, whose checkpoint is kept'),
  }),
})

export const reinforceSchema = z.object({
  ...grouped('Method', {
    baseline: z
      .enum(['mean', 'ema', 'window', 'none'])
      .default('mean')
      .describe(
        'what rewards are held against: the mean of all before, an exponential average, the last ones, nothing; the first rollout against its own mean',
      ),
    baselineMomentum: z.number().min(0).lt(1).default(0.9).describe('of the exponential average'),
    baselineWindow: count().default(256).describe('rewards in the window'),
    regulariser: on('a probabilistic reward counts the same however unsure it is').describe(
      'advantages are divided by 1 + sigma where the reward is probabilistic',
    ),
    klCoef: klCoef(0.05, inReward),
    ...rolloutFields(1),
  }),
  ...grouped('Reward', rewardFields),
  ...rlShared(16),
})

/** How an update holds the policy near the one that sampled. */
const clipFields = {
  epsilon: weight().default(0.2).describe('ratios count within 1 - epsilon'),
  epsilonHigh: weight().optional().describe('and 1 + this (default: epsilon)'),
}

export const rlooSchema = z.object({
  ...grouped('Method', {
    klCoef: klCoef(0.05, inReward),
    normalizeAdvantages: flag().describe('less their mean, by their deviation, over a rollout'),
    ...clipFields,
    ...rolloutFields(2),
  }),
  ...grouped('Reward', rewardFields),
  ...rlShared(8),
})

export const grpoSchema = z.object({
  ...grouped('Method', {
    lossType: z
      .enum(['grpo', 'bnpo', 'dr_grpo', 'dapo', 'cispo', 'sapo', 'vespo', 'luspo'])
      .default('dapo')
      .describe('how tokens are averaged, and for the last four what a ratio far from 1 does'),
    scaleRewards: z
      .enum(['group', 'batch', 'none'])
      .default('group')
      .describe('whose deviation advantages are divided by'),
    ...clipFields,
    delta: positive().optional().describe('two-sided clip: ratios of bad samples count up to this'),
    importanceSamplingLevel: z
      .enum(['token', 'sequence'])
      .default('token')
      .describe('a ratio for each token, or one for a sample (GSPO)'),
    klCoef: klCoef(0, 'in the loss (k3)'),
    useBiasCorrectionKl: flag().describe('the KL penalty times the importance ratio, as TRL has it'),
    entropyCoef: z.number().default(0).describe('weight of the entropy, which is added to what is maximised'),
    topEntropyQuantile: part().default(1).describe('only this part of the tokens counts, those of the highest entropy'),
    ...rolloutFields(8),
  }),
  ...grouped('Reward', rewardFields),
  ...rlShared(8),
})

export const onlineDpoSchema = z.object({
  ...grouped('Method', {
    beta: positive().default(0.1).describe('strength of the tie to the reference model'),
    ...rolloutFields(2),
  }),
  ...grouped('Reward', rewardFields),
  ...rlShared(8),
})

const { seed, device, threads } = engineFields
const { data, column, maxSamples } = dataFields
const { maxNewTokens, temperature, topP, topK, minP } = rolloutFields(1)
const { reward, rewardWeights, normaliseRewards, rewardTimeout } = rewardFields

export const bestOfNSchema = z.object({
  ...grouped('Model', modelFields),
  ...grouped('Data', { data, column, maxSamples, ...lengthFields }),
  ...grouped('Reward', { reward, rewardWeights, normaliseRewards, rewardTimeout }),
  ...grouped('Sampling', {
    numGenerations: count().default(16).describe('samples of each prompt: N'),
    ...{ maxNewTokens, temperature, topP, topK, minP },
  }),
  ...grouped('Engine', { seed, device, threads }),
})
