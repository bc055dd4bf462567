/**
 * The settings that all training methods share, by group: model, data, learning, LoRA, evaluation, output, engine. The
 * flags of the command line with their help, the settings of the library and run.json all come from these zod schemas.
 *
 * Nothing of the engine is imported here, so that `--help` is quick. Keys are camelCase, flags kebab-case. A description
 * ends without a full stop; a default is TRL's unless the description says why not. Beside the description a field may
 * have: `value`, what stands for its value in the help (FILE, N); `group`, the heading of its part of the help;
 * `separator`, with which a whole list fits into one flag; `otherwise`, what is filled in for a field without a default
 * that is left out; `off`, the description of the `--no-` flag of a switch that is on by default.
 */
import { z } from 'zod'
import { labelRule } from '../../data/labelRule.ts'
import { scheduleNames } from '../../optim/schedules.ts'
import { computeForms } from '../../passes/int8.ts'
import { quantFormats } from '../../tensor/quantization.ts'
import { defaultsNote, type MethodRates } from './learningRates.ts'

export const count = () => z.number().int().positive()
export const size = () => z.number().int().nonnegative()
export const positive = () => z.number().positive()
export const weight = () => z.number().nonnegative()
/** From 0 to 1, both included. */
export const fraction = () => z.number().min(0).max(1)
/** LoRA alpha of an adapter that is new. */
export const usualAlpha = 32
/** The p of nucleus sampling. */
export const probability = () => z.number().gt(0).max(1)
export const flag = () => z.boolean().default(false)
/** A switch that is on by default. @param off what its `--no-` flag does */
export const on = (off: string) => z.boolean().default(true).meta({ off })
export const text = (value: string) => z.string().min(1).meta({ value })
export const texts = (value: string) => z.array(z.string().min(1)).min(1).meta({ value })
/** One number, or several separated by commas. */
export const numbers = () => z.array(z.number().positive()).min(1).meta({ value: 'NUMBERS', separator: ',' })
const pairs = (value: string) => z.record(z.string(), z.string()).default({}).meta({ value })

/** Puts fields under one heading of the help. */
export const grouped = <F extends Record<string, z.ZodType>>(group: string, fields: F): F => {
  for (const field of Object.values(fields)) z.globalRegistry.add(field, { ...field.meta(), group })
  return fields
}

export const quantizeField = z
  .enum(['none', ...quantFormats])
  .default('none')
  .describe("quantize the weights of the layers' linear modules to 8 or 4 bits while the model is loaded")

export const computeField = z
  .enum(computeForms)
  .default('fp32')
  .describe(
    'how the products of the linear modules are computed: fp32, int8 (weights in 8 bits, computed exactly), int8-fast (inputs rounded to 8 bits as well)',
  )

export const modelFields = grouped('Model', {
  model: text('MODEL').describe(
    'the model to start from: a folder in Hugging Face layout, a hub id or the name of a run',
  ),
  adapter: text('DIR').optional().describe('a PEFT adapter of that model, to continue training it'),
})

export const engineFields = grouped('Engine', {
  device: z.enum(['auto', 'cpu', 'webgpu', 'cuda']).default('auto').describe('the device to compute on'),
  threads: count().optional().describe('CPU threads (default: one a core); they do not change any result'),
  compute: computeField,
  seed: size().default(42).describe('random seed for the order of rows, dropout and new LoRA weights'),
})

/** Of commands whose work can be shared out. */
export const workersFields = grouped('Workers', {
  workers: text('REDIS')
    .optional()
    .describe(
      'share the work out to machines that run "attune worker" at the same Redis (redis://HOST:6379); the result is the same',
    ),
  workersFiles: text('PLACE')
    .optional()
    .describe(
      'a folder that all machines see, or s3://BUCKET/PREFIX, for models, rows and results (default: over HTTP from this machine)',
    ),
  workersHost: text('HOST')
    .optional()
    .describe('the address at which workers reach this machine (default: the one that Redis is reached from)'),
})

export const dataFields = grouped('Data', {
  data: texts('FILE').describe(
    'training rows: jsonl, json, csv, tsv, parquet, jsonl.gz, or a hub data set (owner/name); repeatable',
  ),
  column: pairs('NAME=COLUMN').describe(
    'the name that a column has in your file, if another one is expected: chosen=good; repeatable',
  ),
  chat: flag().describe(
    "read plain rows as a chat: a prompt is the user's message and a response the assistant's, in the chat template of the model",
  ),
  maxSamples: count().optional().describe('use only the first N rows'),
  shuffle: on('keep the order of the rows in the file').describe('shuffle the rows anew in every epoch'),
  maxLength: count().default(1024).describe('maximum number of tokens of a row; longer rows are cut at the end'),
  maxPromptLength: count()
    .optional()
    .describe('maximum number of tokens of a prompt; longer prompts are cut at their beginning'),
})

/** Of methods that read rows with labels. */
export const labelFields = grouped('Data', {
  label: text('RULE')
    .refine((rule) => labelRule(rule) !== undefined, "must be VALUE=true,VALUE=false, or a threshold such as '>=4'")
    .optional()
    .describe(
      "what the labels of completions mean: 'up=true,down=false', or '>=4' for ratings from 4 on (default: true, yes, good, 👍 and 1 are good)",
    ),
})

export const evalFields = grouped('Evaluation', {
  evalData: texts('FILE').optional().describe('rows to evaluate on; repeatable'),
  evalSplit: z
    .number()
    .gt(0)
    .lt(1)
    .optional()
    .describe('instead of --eval-data: the fraction of the training rows to hold out for evaluation'),
  evalEvery: count().optional().describe('evaluate every N steps (default: once an epoch)'),
  bestMetric: text('NAME')
    .default('eval_loss')
    .describe('the metric that decides which checkpoint is the best and becomes the result; none: always the last'),
  patience: count().optional().describe('early stopping: stop after N evaluations without a better one'),
})

export const outputFields = grouped('Output', {
  output: text('DIR')
    .meta({ otherwise: 'a new folder in attune-runs' })
    .describe('the run folder: settings, log, checkpoints, and the trained model or adapter'),
  saveEvery: count().default(500).describe('save a checkpoint every N steps'),
  keep: count().default(2).describe('how many of the newest checkpoints to keep'),
  resume: flag().describe('continue the run in --output from its newest intact checkpoint'),
  saveDtype: z
    .enum(['float32', 'bfloat16', 'float16'])
    .default('float32')
    .describe('data type of the weights in the saved model'),
  logEvery: count()
    .default(10)
    .describe('print a line every N steps, where no progress bar can be shown; --json prints every step'),
  reportTo: z.enum(['tensorboard']).optional().describe('also write the metrics for TensorBoard, into tb/'),
  pushToHub: text('OWNER/NAME')
    .optional()
    .describe('upload the result to this repository of the hub; a new one is private'),
})

const scheduleOptions = [
  'numCycles',
  'power',
  'lrEnd',
  'timescale',
  'minLrRate',
  'numDecaySteps',
  'minLrRatio',
] as const

export const optimizers = ['adamw', 'adam', 'sgd', 'rmsprop'] as const

/** A learning rate that defaultLearningRate.ts fills in where it is left out. */
export const rateField = <F extends z.ZodType>(field: F, rates: MethodRates) =>
  field.optional().meta({ ...field.meta(), otherwise: defaultsNote(rates) })

export const learningFields = (rates: MethodRates) =>
  grouped('Learning', {
    epochs: positive().default(3).describe('passes over the rows'),
    maxSteps: count().optional().describe('stop after N optimizer steps, even if --epochs asks for more'),
    batchSize: count()
      .default(8)
      .describe('rows of a batch; a batch with many tokens is computed in parts (micro-batches)'),
    gradAccum: count().default(1).describe('gradient accumulation: batches per optimizer step'),
    learningRate: rateField(positive(), rates).describe('peak learning rate'),
    findLr: flag().describe(
      'train nothing: try rising learning rates, one step each, and suggest one for these rows (range test; of sft, dpo, kto and reward)',
    ),
    schedule: z.enum(scheduleNames).default('linear').describe('learning rate schedule after the warm-up'),
    scheduleOption: z
      .partialRecord(z.enum(scheduleOptions), z.coerce.number())
      .default({})
      .meta({ value: 'NAME=NUMBER' })
      .describe('an option of the schedule: minLrRate=0.1, numDecaySteps=100; repeatable'),
    warmupSteps: size().default(0).describe('steps in which the learning rate rises from 0 to its peak'),
    optimizer: z.enum(optimizers).default('adamw').describe('the optimizer, with the default settings of torch.optim'),
    weightDecay: weight().default(0).describe('weight decay of all weights but norms and biases'),
    maxGradNorm: weight().default(1).describe('clip the gradient to this norm; 0 does not clip'),
    memory: z
      .enum(['auto', 'fast', 'low'])
      .default('auto')
      .describe('keep the activations of the forward pass (fast), or recompute them to save memory (low)'),
  })

export const loraFields = (dropout: number) =>
  grouped('LoRA', {
    loraR: count().optional().describe('train a LoRA adapter of this rank instead of all weights'),
    loraAlpha: positive()
      .optional()
      .describe(`LoRA alpha: the adapter is scaled by alpha / r (default: ${usualAlpha})`),
    loraDropout: z.number().min(0).lt(1).default(dropout).describe("dropout of the adapter's input while training"),
    loraTarget: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .meta({ value: 'NAMES', separator: ',' })
      .describe(
        "modules that get an adapter: q_proj,v_proj, or all-linear for all linear modules but the head, or peft for PEFT's choice, queries and values (default: all-linear)",
      ),
    useDora: z
      .boolean()
      .optional()
      .describe('DoRA: learn the length of each row of the adapted weights by itself, the adapter only its direction'),
    quantize: quantizeField.describe(
      "QLoRA: quantize the frozen weights of the layers' linear modules to 8 or 4 bits; the adapter stays in float32",
    ),
  })

/** All groups that are not the method's own, in the order of the help. */
export const sharedFields = (defaults: { rates: MethodRates; loraDropout: number }) => ({
  ...modelFields,
  ...dataFields,
  ...learningFields(defaults.rates),
  ...loraFields(defaults.loraDropout),
  ...evalFields,
  ...outputFields,
  ...engineFields,
  ...workersFields,
})
