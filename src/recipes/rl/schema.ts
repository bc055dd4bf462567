/**
 * The settings of the methods that learn from rewards of their own completions. A row is a prompt here, so --batch-size
 * counts prompts, each with --num-generations completions. Names and defaults are TRL's unless a description says why not.
 */
import { z } from 'zod'
import {
  count,
  dataFields,
  engineFields,
  flag,
  fraction,
  grouped,
  on,
  positive,
  probability,
  sharedFields,
  text,
  texts,
  weight,
  workersFields,
} from '../trainer/fields.ts'
import { learningRates, type MethodRates } from '../trainer/learningRates.ts'
import { betaField } from '../trainer/schema.ts'
import { withLike } from '../trainer/trlDefaults.ts'

export const rewardFields = {
  reward: texts('SPEC').describe(
    'what gives the rewards: a reward model (folder, hub id, run), a module of yours (rewards.ts), exact:COLUMN (1 if the completion equals the column), regex:PATTERN (1 if it is found), schema:FILE.json, arithmetic, or a judge (judge:MODEL, or URL#MODEL of a server); NAME=SPEC names it in the metrics; repeatable',
  ),
  rewardWeights: z
    .array(z.number())
    .min(1)
    .optional()
    .meta({ value: 'NUMBERS', separator: ',' })
    .describe('weight of each reward in their sum (default: 1 each)'),
  judgeMode: z
    .enum(['single', 'pairwise'])
    .optional()
    .describe(
      'what a judge does: single (the default) grades each completion from 1 to 10; pairwise compares the completions of a prompt, each pair in both orders, and rewards the share of comparisons won',
    ),
  judgePrompt: text('FILE')
    .optional()
    .describe("a prompt for judges in place of attune's own, as `attune judge` takes it"),
  normalizeRewards: flag().describe(
    'normalise the scores of reward models by the mean and standard deviation that were saved with them',
  ),
  rewardTimeout: positive().default(60).describe('timeout of a call of a reward function, in seconds'),
  missingEosPenalty: weight()
    .optional()
    .describe('subtract this from the reward of a completion that does not end with an end token'),
}

export const rolloutFields = (numGenerations: number) => ({
  numGenerations: count().default(numGenerations).describe('completions of each prompt'),
  maxNewTokens: count().default(256).describe('maximum number of tokens of a completion'),
  temperature: positive().default(1).describe('sampling temperature; the logits are divided by it in training too'),
  topP: probability()
    .default(1)
    .describe(
      'nucleus sampling: draw from the most likely tokens that together have this probability; below 1 the importance ratios are biased',
    ),
  topK: count().optional().describe('draw from the K most likely tokens; the importance ratios are then biased'),
  minP: fraction()
    .default(0)
    .describe(
      'leave out tokens less likely than this fraction of the most likely one; above 0 the importance ratios are biased',
    ),
  stepsPerGeneration: count().default(1).describe('optimizer steps into which a rollout is divided'),
  numIterations: count().default(1).describe('passes over each rollout'),
  maskTruncated: flag().describe('leave completions that were cut off at --max-new-tokens out of the loss'),
  klBudget: positive()
    .optional()
    .describe('stop once KL(policy || reference) of a rollout exceeds this, in nats a completion, on average'),
  sampleEvery: count().default(50).describe('show example completions every N steps'),
  keepRollouts: on('delete the records of a rollout once a later checkpoint is saved').describe(
    'keep every completion with its log-probs, rewards and advantages in rollouts/',
  ),
})

const klCoef = (fallback: number, where: string) =>
  weight().default(fallback).describe(`weight of KL(policy || reference), ${where}; 0 needs no reference model`)

const inReward = 'subtracted from the reward'

const promptFields = {
  data: texts('FILE').describe(
    'rows with prompts; rewards can read their other columns: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); repeatable',
  ),
  maxLength: count().default(1024).describe('maximum number of tokens of prompt and completion together'),
  maxPromptLength: count().optional().describe('leave out prompts of more tokens'),
}

/** Longer prompts are left out, not cut, and the best checkpoint is the one with the highest reward. */
export const rlShared = (batchSize: number, rates: MethodRates) => ({
  ...sharedFields({ rates, loraDropout: 0 }),
  ...grouped('Data', promptFields),
  ...grouped('Learning', {
    batchSize: count()
      .default(batchSize)
      .describe('prompts of a batch; a batch with many tokens is computed in parts (micro-batches)'),
  }),
  ...grouped('Engine', {
    seed: engineFields.seed.describe('random seed for the order of prompts, sampling, dropout and new weights'),
  }),
  ...grouped('Evaluation', {
    bestMetric: text('NAME')
      .default('eval_reward')
      .describe('the metric that decides which checkpoint is the best and becomes the result; none: always the last'),
  }),
})

export const reinforceSchema = z.object({
  ...grouped('Method', {
    baseline: z
      .enum(['mean', 'ema', 'window', 'none'])
      .default('mean')
      .describe(
        'what is subtracted from the rewards: the mean of all earlier rewards, their exponential moving average, the mean of the latest, or nothing; the first rollout uses its own mean',
      ),
    baselineMomentum: z.number().min(0).lt(1).default(0.9).describe('momentum of the exponential moving average'),
    baselineWindow: count().default(256).describe('number of rewards in the window'),
    regulariser: on('do not divide the advantages of a probabilistic reward model by 1 + sigma').describe(
      'divide the advantages of a probabilistic reward model by 1 + sigma',
    ),
    klCoef: klCoef(0.05, inReward),
  }),
  ...grouped('Rollout', rolloutFields(1)),
  ...grouped('Reward', rewardFields),
  ...rlShared(16, learningRates.reinforce),
})

/** The clipping of importance ratios. */
const clipFields = {
  epsilon: weight().default(0.2).describe('clip importance ratios to 1 - epsilon and 1 + epsilon'),
  epsilonHigh: weight().optional().describe('a different upper bound, 1 + this (clip-higher; default: --epsilon)'),
}

const rlooSettings = z.object({
  ...grouped('Method', {
    klCoef: klCoef(0.05, inReward),
    normalizeAdvantages: flag().describe('normalise the advantages of a rollout by their mean and standard deviation'),
    ...clipFields,
  }),
  ...grouped('Rollout', rolloutFields(2)),
  ...grouped('Reward', rewardFields),
  ...rlShared(8, learningRates.rloo),
})

export const rlooSchema = withLike('rloo', rlooSettings)

const grpoSettings = z.object({
  ...grouped('Method', {
    lossType: z
      .enum(['grpo', 'bnpo', 'dr_grpo', 'dapo', 'cispo', 'sapo', 'vespo', 'luspo'])
      .default('dapo')
      .describe(
        'how the loss is averaged over tokens; the last four also limit importance ratios in a way of their own',
      ),
    scaleRewards: z
      .enum(['group', 'batch', 'none'])
      .default('group')
      .describe('divide advantages by the standard deviation of the rewards of the group or the batch, or not at all'),
    ...clipFields,
    delta: positive()
      .optional()
      .describe('two-sided clipping: upper bound of the importance ratio where the advantage is negative'),
    importanceSamplingLevel: z
      .enum(['token', 'sequence'])
      .default('token')
      .describe('one importance ratio for each token, or one for the whole completion (GSPO)'),
    klCoef: klCoef(0, 'in the loss (k3)'),
    useBiasCorrectionKl: flag().describe('multiply the KL penalty by the importance ratio, as TRL does'),
    entropyCoef: z.number().default(0).describe('weight of the entropy bonus'),
    topEntropyQuantile: fraction()
      .default(1)
      .describe('train only on this fraction of the tokens, those of the highest entropy'),
  }),
  ...grouped('Rollout', rolloutFields(8)),
  ...grouped('Reward', rewardFields),
  ...rlShared(8, learningRates.grpo),
})

export const grpoSchema = withLike('grpo', grpoSettings)

const onlineDpoSettings = z.object({
  ...grouped('Method', { beta: betaField }),
  ...grouped('Rollout', rolloutFields(2)),
  ...grouped('Reward', rewardFields),
  ...rlShared(8, learningRates['online-dpo']),
})

export const onlineDpoSchema = withLike('online-dpo', onlineDpoSettings)

const { device, threads, compute } = engineFields
const { column, maxSamples } = dataFields
const { maxNewTokens } = rolloutFields(1)
const { reward, rewardWeights, judgeMode, judgePrompt, normalizeRewards, rewardTimeout } = rewardFields

/** Best-of-N trains nothing, but takes its completions and rewards as the methods above do. */
export const bestOfNSchema = z.object({
  ...grouped('Model', {
    model: text('MODEL').describe('the policy: a folder in Hugging Face layout, a hub id or the name of a run'),
    adapter: text('DIR').optional().describe('a PEFT adapter of that model'),
  }),
  ...grouped('Data', {
    ...promptFields,
    column,
    chat: z
      .boolean()
      .optional()
      .describe("read each plain prompt as a user's message (default: as the run of the model did in its training)"),
    maxSamples,
  }),
  ...grouped('Reward', { reward, rewardWeights, judgeMode, judgePrompt, normalizeRewards, rewardTimeout }),
  ...grouped('Sampling', {
    numGenerations: count().default(16).describe('N: completions of each prompt'),
    maxNewTokens,
    temperature: positive().default(1).describe('sampling temperature'),
    topP: probability()
      .default(1)
      .describe('nucleus sampling: draw from the most likely tokens that together have this probability'),
    topK: count().optional().describe('draw from the K most likely tokens'),
    minP: fraction().default(0).describe('leave out tokens less likely than this fraction of the most likely one'),
  }),
  ...grouped('Engine', { seed: engineFields.seed.describe('random seed of the sampling'), device, threads, compute }),
  ...workersFields,
})
