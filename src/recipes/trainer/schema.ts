/**
 * What can be set, once for each method: from these schemas come the flags of the command line, run.json and a form.
 * Peculiar: nothing of the engine is imported, so `--help` stays quick. Keys are camelCase, flags kebab-case; a
 * description ends without a full stop, and the default beside it is TRL's unless it says why not.
 */
import { z } from 'zod'
import { preferenceLossNames } from '../../objectives/preferenceLosses.ts'
import { scheduleNames } from '../../optim/schedules.ts'
import { quantFormats } from '../../tensor/quantization.ts'

/*
 * A field's notes beside zod's `description`: `value` stands for its value in the help (FILE, N), `group` heads its part
 * of the help, a list with a `separator` fits one flag, and `otherwise` says what a required field becomes when it is
 * left out and the command line fills it in; `off` says what turning off does that is on by default.
 */

export const count = () => z.number().int().positive()
export const size = () => z.number().int().nonnegative()
export const positive = () => z.number().positive()
export const weight = () => z.number().nonnegative()
export const part = () => z.number().min(0).max(1)
export const flag = () => z.boolean().default(false)
export const on = (off: string) => z.boolean().default(true).meta({ off })
export const text = (value: string) => z.string().min(1).meta({ value })
export const texts = (value: string) => z.array(z.string().min(1)).min(1).meta({ value })
const pairs = (value: string) => z.record(z.string(), z.string()).default({}).meta({ value })

export const quantizeField = z
  .enum(['none', ...quantFormats])
  .default('none')
  .describe("round the weights of the blocks' linear layers to 8 or 4 bits as they are read")

export const modelFields = {
  model: text('MODEL').describe(
    'the model to start from: a folder in Hugging Face layout, a hub id or the name of a run',
  ),
  adapter: text('DIR').optional().describe('a PEFT adapter of that model to go on training'),
}

export const engineFields = {
  device: z.enum(['auto', 'cpu', 'webgpu', 'cuda']).default('auto').describe('what computes'),
  threads: count().optional().describe('threads of the CPU engine (default: one a core); results do not depend on it'),
  seed: size().default(42).describe('of the order of rows, dropout and new LoRA weights'),
}

export const dataFields = {
  data: texts('FILE').describe(
    'training rows: jsonl, json, csv, parquet, jsonl.gz, or a hub data set (owner/name); repeatable',
  ),
  column: pairs('NAME=COLUMN').describe('where the file calls a column something else: chosen=good; repeatable'),
  maxSamples: count().optional().describe('use the first so many rows'),
  shuffle: on('take the rows as they come').describe('a new order of rows in every epoch'),
  maxLength: count().default(1024).describe('tokens of a row; longer ones are cut at the end'),
  maxPromptLength: count().optional().describe('tokens of a prompt; of longer ones the last are kept'),
}

export const evalFields = {
  evalData: texts('FILE').optional().describe('rows to evaluate on; repeatable'),
  evalSplit: z.number().gt(0).lt(1).optional().describe('instead: set this part of the training rows aside'),
  evalEvery: count().optional().describe('steps from one evaluation to the next (default: once an epoch)'),
  bestMetric: text('NAME').default('eval_loss').describe('the measure of the best step, whose checkpoint is kept'),
  patience: count().optional().describe('stop after so many evaluations without a better one, and keep the best step'),
}

export const outputFields = {
  output: text('DIR')
    .meta({ otherwise: 'a new folder in attune-runs' })
    .describe('the run folder: settings, log, checkpoints, and the model or adapter'),
  saveEvery: count().default(500).describe('steps from one checkpoint to the next'),
  keep: count().default(2).describe('how many of the newest checkpoints stay'),
  resume: flag().describe('go on with the run in --output from its newest sound checkpoint'),
  saveDtype: z
    .enum(['float32', 'bfloat16', 'float16'])
    .default('float32')
    .describe('of the weights in the saved model'),
  logEvery: count()
    .default(10)
    .describe('steps from one line to the next where there is no bar; --json gives every step'),
  reportTo: z.enum(['tensorboard']).optional().describe('also write the measures as TensorBoard reads them, into tb/'),
  pushToHub: text('OWNER/NAME')
    .optional()
    .describe('upload the result to this repository of the hub; a new one is private'),
}

const scheduleOptions = [
  'numCycles',
  'power',
  'lrEnd',
  'timescale',
  'minLrRate',
  'numDecaySteps',
  'minLrRatio',
] as const

const optimizers = ['adamw', 'adam', 'sgd', 'rmsprop'] as const

const learningFields = (learningRate: number) => ({
  epochs: positive().default(3).describe('passes over the rows'),
  maxSteps: count().optional().describe('stop after so many optimizer steps, whatever --epochs says'),
  batchSize: count().default(8).describe('rows of a batch, computed in parts where they have many tokens'),
  gradAccum: count().default(1).describe('batches that make one optimizer step'),
  learningRate: positive().default(learningRate).describe('at its highest'),
  schedule: z.enum(scheduleNames).default('linear').describe('how the learning rate goes on after the warm-up'),
  scheduleOption: z
    .partialRecord(z.enum(scheduleOptions), z.coerce.number())
    .default({})
    .meta({ value: 'NAME=NUMBER' })
    .describe('what a schedule needs: minLrRate=0.1, numDecaySteps=100; repeatable'),
  warmupSteps: size().default(0).describe('steps over which the learning rate rises from 0'),
  optimizer: z.enum(optimizers).default('adamw').describe('with the settings of torch.optim'),
  weightDecay: weight().default(0).describe('of every weight but norms and biases'),
  maxGradNorm: weight().default(1).describe('longer gradients are scaled down to this; 0 leaves them'),
  memory: z
    .enum(['auto', 'fast', 'low'])
    .default('auto')
    .describe('keep activations (fast) or compute them again (low)'),
})

const loraFields = (dropout: number) => ({
  loraR: count().optional().describe('train a LoRA adapter of this rank instead of all weights'),
  loraAlpha: positive().optional().describe('the adapter counts alpha / r (default: 32)'),
  loraDropout: z.number().min(0).lt(1).default(dropout).describe('in front of the adapter, while training'),
  loraTarget: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .meta({ value: 'NAMES', separator: ',' })
    .describe('modules that get an adapter: q_proj,v_proj, or all-linear, all but the head (default: all-linear)'),
  quantize: quantizeField.describe(
    "QLoRA: round the frozen weights of the blocks' linear layers to 8 or 4 bits; the adapter stays fp32",
  ),
})

export const grouped = <F extends Record<string, z.ZodType>>(group: string, fields: F): F => {
  for (const field of Object.values(fields)) z.globalRegistry.add(field, { ...field.meta(), group })
  return fields
}

export const shared = (defaults: { learningRate: number; loraDropout: number }) => ({
  ...grouped('Model', modelFields),
  ...grouped('Data', dataFields),
  ...grouped('Learning', learningFields(defaults.learningRate)),
  ...grouped('LoRA', loraFields(defaults.loraDropout)),
  ...grouped('Evaluation', evalFields),
  ...grouped('Output', outputFields),
  ...grouped('Engine', engineFields),
})

export const sftSchema = z.object({
  ...grouped('Method', {
    loss: z.enum(['nll', 'dft']).default('nll').describe('likelihood, or dynamic fine-tuning, which weighs by it'),
    labelSmoothing: z.number().min(0).lt(1).default(0).describe('of the target distribution'),
    completionOnlyLoss: on('the prompt counts too').describe('of rows with a prompt only the completion counts'),
    assistantOnlyLoss: flag().describe("of rows with messages only the assistant's turns count"),
  }),
  ...shared({ learningRate: 2e-5, loraDropout: 0.05 }),
})

/** No dropout, so that the first loss is ln 2: policy and reference agree to the last bit. */
const withReference = { learningRate: 1e-6, loraDropout: 0 }

const beta = positive().default(0.1).describe('strength of the tie to the reference model')

export const preferenceSchema = z.object({
  ...grouped('Method', {
    loss: text('LOSS')
      .default('sigmoid')
      .describe(`one of ${preferenceLossNames.join(', ')}, or several with weights: sigmoid:0.8,sft:0.2`),
    beta,
    labelSmoothing: part().optional().describe('how likely a label is wrong (default: 0; exo_pair 0.001)'),
    simpoGamma: z.number().default(0.5).describe("simpo's target margin"),
    cpoAlpha: weight().optional().describe("weight of the chosen response's likelihood (default: cpo 1, simpo 0)"),
    alpha: z.number().default(0).describe("AlphaPO's shape of cpo's and simpo's rewards; 0 leaves them as they are"),
    orpoPrompt: flag().describe("orpo's likelihood covers the prompt too, as TRL's does"),
    ldAlpha: part().optional().describe('weight of the tokens beyond the shorter response (LD-DPO)'),
    referenceFree: flag().describe("no reference: log-probs of the policy alone are compared, as in SLiC's hinge"),
    wpo: flag().describe('weigh each pair by how likely the policy is to say it (WPO)'),
    fDivergence: z
      .enum(['reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'])
      .default('reverse_kl')
      .describe('what ties the policy to the reference'),
    fAlpha: z.number().default(0.5).describe('order of the alpha divergence'),
    discopopTau: positive().default(0.05).describe("discopop's temperature"),
    ties: z
      .enum(['marginal', 'breslow'])
      .default('marginal')
      .describe('how plackett-luce takes responses of equal rank'),
  }),
  ...shared(withReference),
})

export const ktoSchema = z.object({
  ...grouped('Method', {
    loss: z.enum(['kto', 'apo_zero_unpaired']).default('kto').describe('the objective'),
    beta,
    desirableWeight: weight().default(1).describe('of good responses'),
    undesirableWeight: weight().default(1).describe('of bad responses'),
  }),
  ...shared(withReference),
})

export const numbers = (fallback: number) =>
  z.array(z.number().positive()).min(1).default([fallback]).meta({ value: 'NUMBERS', separator: ',' })

const { evalData, evalSplit } = evalFields

/** What a model does that plays against its own last snapshot. */
const selfPlayFields = {
  iterations: count().default(3).describe('rounds: the model answers, then learns to tell its answers from the better'),
  beta: numbers(0.1).describe('strength of the tie to the snapshot, in each iteration; the last one goes on'),
  mixIterations: flag().describe('train on the answers of the last two iterations, as SPIN did'),
  onEqual: z
    .enum(['drop', 'tie'])
    .default('drop')
    .describe('of equal answers keep the best-ranked alone, or let them share its rank'),
  maxNewTokens: count().default(256).describe('tokens of an answer of its own, at most'),
  temperature: z.number().nonnegative().default(1).describe('of its own answers; 0 takes the likeliest token'),
  topP: z
    .number()
    .gt(0)
    .max(1)
    .default(1)
    .describe('of its own answers: the likeliest tokens of this much probability'),
  stopMargin: flag().describe('end after an iteration whose held-out margin cannot be told from 0'),
  exactMatch: on('do not compare greedy answers to the held-out prompts with the data'),
}

/** uclaml/SPIN's optimizer and rate; a rate for each iteration. */
const selfPlayShared = {
  ...grouped('Model', modelFields),
  ...grouped('Data', dataFields),
  ...grouped('Learning', {
    ...learningFields(5e-7),
    epochs: positive().default(3).describe('passes over the rows in each iteration'),
    maxSteps: count().optional().describe('optimizer steps of each iteration, at most'),
    learningRate: numbers(5e-7).describe('at its highest, in each iteration; the last one goes on'),
    optimizer: z.enum(optimizers).default('rmsprop').describe('with the settings of torch.optim'),
  }),
  ...grouped('LoRA', loraFields(0)),
  ...grouped('Evaluation', { evalData, evalSplit }),
  ...grouped('Output', outputFields),
  ...grouped('Engine', engineFields),
}

export const spinSchema = z.object({
  ...grouped('Method', {
    ...selfPlayFields,
    loss: z
      .enum(['plackett-luce', 't-spin'])
      .default('plackett-luce')
      .describe(
        'of two answers plackett-luce is the logistic loss of SPIN; t-spin has no reference, and implies --historic',
      ),
    historic: flag().describe('rank the answer of the very first model behind all others'),
    historicWeight: weight().default(1).describe("of t-spin's historical advantage"),
  }),
  ...selfPlayShared,
})

export const asftSchema = z.object({
  ...grouped('Method', {
    helper: texts('SOURCE').describe(
      "who helps: column:NAME of the data, a model's folder, hub id or run, or a server's URL#MODEL; repeatable, best first",
    ),
    helperRanks: z
      .array(count())
      .min(1)
      .optional()
      .meta({ value: 'NUMBERS', separator: ',' })
      .describe('rank of each helper; the data has 1, equal ranks tie (default: 2,3,... in their order)'),
    ...selfPlayFields,
    historic: flag().describe('rank the answer of the very first model behind all others'),
  }),
  ...selfPlayShared,
})
