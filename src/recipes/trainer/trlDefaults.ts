/**
 * The defaults of TRL, for `--like trl`: laid under the settings that are given, before the defaults of attune.
 *
 * They are those of TRL's Config classes, of transformers' TrainingArguments, and for LoRA of TRL's ModelConfig and PEFT.
 * Only what decides a result is here; how often a run saves and logs is not.
 */
import { z } from 'zod'
import { badInput } from '../../util/fault.ts'
import { kebab } from '../../util/kebab.ts'
import { defaultsOf } from './defaults.ts'
import { usualAlpha } from './fields.ts'

type Settings = Readonly<Record<string, unknown>>

/** The methods that TRL has, and the version that the defaults are of; later versions have no PPO. */
const versions: Readonly<Record<string, string>> = {
  sft: '1.16.0',
  dpo: '1.16.0',
  kto: '1.16.0',
  reward: '1.16.0',
  rloo: '1.16.0',
  grpo: '1.16.0',
  ppo: '1.12.0',
  'online-dpo': '1.16.0',
  distill: '1.16.0',
}

const trainingArguments = {
  epochs: 3,
  batchSize: 8,
  gradAccum: 1,
  schedule: 'linear',
  warmupSteps: 0,
  optimizer: 'adamw',
  weightDecay: 0,
  maxGradNorm: 1,
  shuffle: true,
  seed: 42,
}

/** TRL's trainers with a reference model, and that of reward models, turn all dropout off. */
const withoutDropout = { loraDropout: 0 }

const sampling = { temperature: 1, topP: 1, minP: 0, stepsPerGeneration: 1 }

const onPolicy = { ...trainingArguments, learningRate: 1e-6, maxNewTokens: 512, ...sampling, numIterations: 1 }

/** TRL counts completions in the batch of RLOO and GRPO, attune prompts. @param usual TRL's completions of a prompt */
const completionsOfBatch = 8
const promptsOfBatch = ({ numGenerations, batchSize }: Settings, usual: number): unknown => {
  const each = numGenerations ?? usual
  // The schema refuses what is no whole number
  if (typeof each !== 'number' || !Number.isInteger(each) || each < 1) return batchSize
  if (completionsOfBatch % each === 0) return completionsOfBatch / each
  if (batchSize !== undefined) return batchSize
  throw badInput(
    'bad-flag',
    `TRL's batch of ${completionsOfBatch} completions cannot be divided into groups of ${each}, and TRL refuses it; add --batch-size, the number of prompts`,
    { flag: '--like' },
  )
}

/** The losses of DPO that have names in `given`. */
const usesLoss = ({ loss }: Settings, ...names: string[]) =>
  `${loss}`.split(',').some((part) => names.includes(part.split(':')[0].trim()))

/** By method; some depend on the settings that are given. */
const table: Readonly<Record<string, (given: Settings) => Settings>> = {
  sft: () => ({
    ...trainingArguments,
    learningRate: 2e-5,
    maxLength: 1024,
    loss: 'nll',
    labelSmoothing: 0,
    completionOnlyLoss: true,
    assistantOnlyLoss: false,
    loraDropout: 0.05,
  }),
  dpo: (given) => ({
    ...trainingArguments,
    learningRate: 1e-6,
    maxLength: 1024,
    loss: 'sigmoid',
    beta: 0.1,
    simpoGamma: 0.5,
    alpha: 0,
    ...(usesLoss(given, 'cpo', 'simpo') && { cpoAlpha: 1 }),
    ...(usesLoss(given, 'orpo') && { orpoPrompt: true }),
    referenceFree: false,
    wpo: false,
    fDivergence: 'reverse_kl',
    fAlpha: 0.5,
    discopopTau: 0.05,
    ...withoutDropout,
  }),
  kto: () => ({
    ...trainingArguments,
    // KTOConfig's train_sampling_strategy is 'sequential'
    shuffle: false,
    learningRate: 1e-6,
    maxLength: 1024,
    loss: 'kto',
    beta: 0.1,
    desirableWeight: 1,
    undesirableWeight: 1,
    ...withoutDropout,
  }),
  reward: () => ({
    ...trainingArguments,
    learningRate: 1e-4,
    maxLength: 1024,
    centerRewards: 0,
    labelSmoothing: 0,
    ...withoutDropout,
  }),
  rloo: (given) => ({
    ...onPolicy,
    batchSize: promptsOfBatch(given, 2),
    numGenerations: 2,
    klCoef: 0.05,
    epsilon: 0.2,
    normalizeAdvantages: false,
    maskTruncated: false,
    loraDropout: 0.05,
  }),
  grpo: (given) => ({
    ...onPolicy,
    batchSize: promptsOfBatch(given, 8),
    numGenerations: 8,
    klCoef: 0,
    useBiasCorrectionKl: true,
    epsilon: 0.2,
    lossType: 'dapo',
    scaleRewards: 'group',
    importanceSamplingLevel: 'token',
    entropyCoef: 0,
    topEntropyQuantile: 1,
    maskTruncated: false,
    loraDropout: 0.05,
  }),
  ppo: () => ({
    ...onPolicy,
    learningRate: 3e-6,
    maxNewTokens: 53,
    temperature: 0.7,
    numGenerations: 1,
    numIterations: 4,
    klCoef: 0.05,
    klEstimator: 'k1',
    cliprange: 0.2,
    cliprangeValue: 0.2,
    vfCoef: 0.1,
    gamma: 1,
    lam: 0.95,
    whitenRewards: false,
    ...withoutDropout,
  }),
  // GKDConfig is an SFTConfig; its trainer turns the student's dropout off
  distill: () => ({
    ...trainingArguments,
    learningRate: 2e-5,
    maxLength: 1024,
    beta: 0.5,
    lmbda: 0.5,
    seqKd: false,
    temperature: 0.9,
    maxNewTokens: 128,
    kdTemperature: 1,
    ...withoutDropout,
  }),
  'online-dpo': () => ({
    ...onPolicy,
    learningRate: 5e-7,
    maxLength: 512,
    maxNewTokens: 64,
    temperature: 0.9,
    numGenerations: 2,
    beta: 0.1,
    ...withoutDropout,
  }),
}

/** PEFT chooses the modules by the architecture. */
const lora = { loraAlpha: 32, loraTarget: ['peft'] }

/** TRL's defaults for a method, where the settings that are given ask for them. An adapter that is continued keeps its shape. */
export const likeDefaults = (method: string, given: Settings): Settings => {
  if (given.like !== 'trl' || !(method in table)) return {}
  const { loraDropout, ...others } = table[method](given)
  if (given.loraR === undefined && given.adapter === undefined) return others
  return { ...others, loraDropout, ...(given.adapter === undefined && lora) }
}

/** The settings that are given, and under them the defaults that `like` asks for. */
export const withLikeDefaults = (method: string, given: Settings): Record<string, unknown> => ({
  ...likeDefaults(method, given),
  ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
})

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

/** Which of those defaults are other than attune's own, and hold in these settings. */
export const likeChanges = (method: string, schema: z.ZodObject, settings: Settings): Settings => {
  const own: Settings = { ...defaultsOf(schema), loraAlpha: usualAlpha }
  const holds = ([key, value]: [string, unknown]) => settings[key] === undefined || same(settings[key], value)
  const entries = Object.entries(likeDefaults(method, settings))
  return Object.fromEntries(entries.filter((entry) => holds(entry) && !same(entry[1], own[entry[0]])))
}

/** 1e-6 of 0.000001 */
const short = (value: unknown) =>
  typeof value === 'number' && value < 1e-3 && value > 0 ? value.toExponential() : `${value}`

/** learning-rate 1e-6, lora-target peft */
export const likeText = (changes: Settings): string =>
  Object.entries(changes)
    .map(([key, value]) => `${kebab(key)} ${[value].flat().map(short).join(',')}`)
    .join(', ')

export const trlVersion = (method: string): string => versions[method]

/** Adds the setting `like` to the schema of a method that TRL has. Its help names what would change. */
export const withLike = <S extends z.ZodRawShape>(method: string, schema: z.ZodObject<S>) => {
  const changes = likeText(likeChanges(method, schema, { like: 'trl', loraR: 1 }))
  return schema.extend({
    like: z
      .enum(['trl'])
      .optional()
      .meta({ group: 'Learning' })
      .describe(
        `the defaults of TRL ${trlVersion(method)} for what you do not give${changes && `, where they differ: ${changes}`}`,
      ),
  })
}
