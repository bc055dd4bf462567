/** The demo's settings: sizes of the data, of the model and of training, and why these. */
import { z } from 'zod'
import { engineFields } from '../../recipes/trainer/fields.ts'
import type { SplitSizes } from './addition.ts'

export const demoSchema = z.object({
  output: z
    .string()
    .default('attune-demo')
    .meta({ value: 'DIR' })
    .describe('the folder to write; the files of an earlier demo in it are replaced'),
  seed: z.number().int().nonnegative().default(42).describe('of the sums, the class and the first weights'),
  device: engineFields.device,
  threads: engineFields.threads,
})

/** So many epochs that maxSteps is what ends a run. */
const shared = { epochs: 1000, schedule: 'cosine' } as const

export type DemoSizes = SplitSizes & {
  /** Completions of each taught sum: one a student of the class. */
  students: number
  /** Completions that the model samples of each sum that is ranked. */
  samples: number
  /** Settings of `sft`. */
  learn: Record<string, unknown>
  /** Settings of `dpo`. */
  align: Record<string, unknown>
  /** Settings of `sft` on right answers. */
  imitate: Record<string, unknown>
  /** Settings of `spin` and `asft`. */
  selfPlay: Record<string, unknown>
}

/** As many steps, rows of a step and the same learning rate for every alignment, so that they differ in what they learn from. */
const alignment = { ...shared, maxSteps: 60, batchSize: 32, learningRate: 2e-5, warmupSteps: 10 } as const

/** A beta above the usual 0.1: so small a model goes too far within a few steps otherwise. */
const beta = 0.5

const iterations = 2

/** Takes about a minute on two cores: enough to learn to carry, and for 95 % intervals of three percentage points. */
export const demoSizes: DemoSizes = {
  taught: 2400,
  ranked: 600,
  tested: 1000,
  students: 4,
  samples: 12,
  learn: { ...shared, maxSteps: 500, batchSize: 96, learningRate: 4e-3, warmupSteps: 60 },
  align: { ...alignment, beta },
  imitate: alignment,
  selfPlay: {
    ...alignment,
    iterations,
    maxSteps: alignment.maxSteps / iterations,
    warmupSteps: alignment.warmupSteps / iterations,
    learningRate: [alignment.learningRate],
    beta: [beta],
    optimizer: 'adamw',
    exactMatch: false,
  },
}

/** A Llama of 334,944 parameters, small enough for a minute and deep enough to carry. */
export const demoConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 13,
  hidden_size: 96,
  intermediate_size: 256,
  num_hidden_layers: 3,
  num_attention_heads: 3,
  num_key_value_heads: 3,
  max_position_embeddings: 32,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  // Wider than Llama's 0.02, at which so narrow a model learns nothing for hundreds of steps
  initializer_range: 0.05,
  eos_token_id: 12,
} as const
