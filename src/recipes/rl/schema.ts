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
  on,
  part,
  positive,
  shared,
  text,
  texts,
  weight,
} from '../trainer/schema.ts'

export const rewardFields = {
  reward: texts('SPEC').describe(
    'who rewards: a reward model (folder, hub id, run), a module (rewards.ts: rows to numbers), exact:COLUMN, regex:PATTERN (1 where it is found), schema:FILE.json, arithmetic, or a judge (URL#MODEL); NAME=SPEC names it in the metrics; repeatable',
  ),
  rewardWeights: z
    .array(z.number())
    .min(1)
    .optional()
    .meta({ value: 'NUMBERS', separator: ',' })
    .describe('of each reward in the sum (default: 1 each)'),
  normalizeRewards: flag().describe('of reward models: less the mean, by the deviation, that were saved with them'),
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
  maskTruncated: flag().describe('samples that were cut off at --max-new-tokens count for nothing'),
  klBudget: positive()
    .optional()
    .describe('stop as soon as the mean KL(policy || reference) of a rollout passes this, in nats a sample'),
  sampleEvery: count().default(50).describe('steps from one table of samples to the next'),
  keepRollouts: on('remove the rows of a rollout once a checkpoint lies behind it').describe(
    'every sample with its log-probs, rewards and advantages stays in rollouts/',
  ),
})

const klCoef = (fallback: number, where: string) =>
  weight().default(fallback).describe(`weight of KL(policy || reference), ${where}; 0 needs no reference`)

const inReward = 'taken off the reward'

const promptFields = {
  data: texts('FILE').describe(
    'rows with prompts, whose other columns rewards may read: jsonl, json, csv, parquet, jsonl.gz, or a hub data set (owner/name); repeatable',
  ),
  maxLength: count().default(1024).describe('tokens of prompt and answer'),
  maxPromptLength: count().optional().describe('prompts of more tokens are left out'),
}

/** Prompts are not cut, and the best step is the one of the most reward. */
export const rlShared = (batchSize: number) => ({
  ...shared({ learningRate: 1e-6, loraDropout: 0 }),
  ...grouped('Data', promptFields),
  ...grouped('Learning', {
    batchSize: count()
      .default(batchSize)
      .describe('prompts of a batch, computed in parts where their samples have many tokens'),
    learningRate: positive()
      .default(1e-6)
      .describe(
        'at its highest; the default is for all weights of a large model, an adapter or a small model wants 1e-5 to 1e-3',
      ),
  }),
  ...grouped('Engine', {
    seed: engineFields.seed.describe('of the order of prompts, samples, dropout and new weights'),
  }),
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
        'what rewards are evalPrompts against: the mean of all before, an exponential average, the last ones, nothing (but of the first rollout its own mean)',
      ),
    baselineMomentum: z.number().min(0).lt(1).default(0.9).describe('of the exponential average'),
    baselineWindow: count().default(256).describe('rewards in the window'),
    regulariser: on('do not divide the advantages of a probabilistic reward by 1 + sigma').describe(
      'advantages are divided by 1 + sigma where the reward is probabilistic',
    ),
    klCoef: klCoef(0.05, inReward),
  }),
  ...grouped('Rollout', rolloutFields(1)),
  ...grouped('Reward', rewardFields),
  ...rlShared(16),
})

/** How an update holds the policy near the one that sampled. */
const clipFields = {
  epsilon: weight().default(0.2).describe('ratios count from 1 - epsilon to 1 + epsilon'),
  epsilonHigh: weight().optional().describe('instead up to 1 + this (clip-higher; default: --epsilon)'),
}

export const rlooSchema = z.object({
  ...grouped('Method', {
    klCoef: klCoef(0.05, inReward),
    normalizeAdvantages: flag().describe('less their mean, by their deviation, over a rollout'),
    ...clipFields,
  }),
  ...grouped('Rollout', rolloutFields(2)),
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
  }),
  ...grouped('Rollout', rolloutFields(8)),
  ...grouped('Reward', rewardFields),
  ...rlShared(8),
})

export const onlineDpoSchema = z.object({
  ...grouped('Method', {
    beta: positive().default(0.1).describe('strength of the tie to the reference model'),
  }),
  ...grouped('Rollout', rolloutFields(2)),
  ...grouped('Reward', rewardFields),
  ...rlShared(8),
})

const { device, threads } = engineFields
const { column, maxSamples } = dataFields
const { maxNewTokens } = rolloutFields(1)
const { reward, rewardWeights, normalizeRewards, rewardTimeout } = rewardFields

export const bestOfNSchema = z.object({
  ...grouped('Model', {
    model: text('MODEL').describe('who answers: a folder in Hugging Face layout, a hub id or the name of a run'),
    adapter: text('DIR').optional().describe('a PEFT adapter of that model'),
  }),
  ...grouped('Data', { ...promptFields, column, maxSamples }),
  ...grouped('Reward', { reward, rewardWeights, normalizeRewards, rewardTimeout }),
  ...grouped('Sampling', {
    numGenerations: count().default(16).describe('samples of each prompt: N'),
    maxNewTokens,
    temperature: positive().default(1).describe('of the samples'),
    topP: z.number().gt(0).max(1).default(1).describe('sample among the likeliest tokens of this much probability'),
    topK: count().optional().describe('sample among so many likeliest tokens'),
    minP: part().default(0).describe('leave out tokens less likely than this part of the likeliest'),
  }),
  ...grouped('Engine', { seed: engineFields.seed.describe('of the samples'), device, threads }),
})
