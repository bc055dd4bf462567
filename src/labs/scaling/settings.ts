/** Settings and presets of a sweep, and why their numbers are as they are. */
import { z } from 'zod'
import { engineFields } from '../../recipes/trainer/fields.ts'

export const methodNames = ['sft', 'spin', 't-spin', 'asft'] as const
export type Method = (typeof methodNames)[number]

const presetNames = ['demo', 'small', 'seed'] as const

export const scalingSchema = z.object({
  preset: z
    .enum(presetNames)
    .default('small')
    .describe('how much is trained: demo takes two minutes on two cores, small about an hour, seed days'),
  output: z
    .string()
    .min(1)
    .default('attune-scaling')
    .meta({ value: 'DIR' })
    .describe('the sweep; a stopped one goes on'),
  tokenizer: z
    .string()
    .min(1)
    .optional()
    .meta({ value: 'MODEL' })
    .describe('the tokenizer of this model (default: an embedded one, a token a character)'),
  seeds: z
    .number()
    .int()
    .positive()
    .optional()
    .describe("how many seeds each cell is run with (default: the preset's)"),
  methods: z
    .array(z.enum(methodNames))
    .min(1)
    .optional()
    .meta({ value: 'NAMES', separator: ',' })
    .describe("which of sft, spin, t-spin, asft (default: the preset's); sft is always among them"),
  jobs: z.number().int().positive().optional().describe('cells at once, each on one thread (default: one a core)'),
  open: z.boolean().default(false).describe('open the report in a browser'),
  device: engineFields.device,
})

export type Size = { hidden: number; layers: number; learningRate: number; steps: number }

/** Everything that a cell's result depends on. It is kept in sweep.json, and a folder takes one plan only. */
export type Plan = {
  vocabulary: number
  sizes: Size[]
  /** How many sums are trained on, and how many are held out for the validation loss and exact matches. */
  taught: number
  held: number
  batchSize: number
  warmupSteps: number
  /** Steps from one evaluation to the next. */
  evalEvery: number
  /** Shares of a supervised run, 0 to 1, after which exact matches are counted. */
  marks: number[]
  selfPlay: SelfPlay
}

type SelfPlay = {
  /** Index of the mark of the supervised run from which self-play starts. */
  mark: number
  iterations: number
  /** Steps of each iteration. */
  steps: number
  learningRate: number
  beta: number
}

/**
 * The size of aSFT's helper model: the largest. Its weights are those at the mark where self-play starts, so that supervised
 * runs go beyond the compute of a cell and its helper together.
 */
export const helperSize = ({ sizes }: Plan): Size => sizes.reduce((a, b) => (b.hidden > a.hidden ? b : a))

/** Which cells of a plan are trained. This may change from one call to the next in the same folder. */
export type Extent = { seeds: number; methods: Method[] }

export type Preset = Plan & Extent

/**
 * At least two layers, since with one the model learns to carry with some seeds only; one layer more for each fourfold width.
 * Learning rates fall with the width: the largest ones that trained without spikes.
 */
const size = (hidden: number, learningRate: number, steps: number): Size => ({
  hidden,
  layers: Math.floor((Math.log2(hidden) - 1) / 2),
  learningRate,
  steps,
})

const shared = { taught: 1000, batchSize: 32, warmupSteps: 50, marks: [0.25, 0.5, 0.75, 1] }

/** With the 2e-4 and beta 0.1 that are usual for larger models, or with 1e-3, these models forget how to add. */
const selfPlay = (mark: number, iterations: number, steps: number): SelfPlay => ({
  mark,
  iterations,
  steps,
  learningRate: 1e-4,
  beta: 1,
})

export const presets: Record<(typeof presetNames)[number], Preset> = {
  demo: {
    ...shared,
    // That of the embedded tokenizer. A larger one would change no curve, and the head would take nearly all of the time
    vocabulary: 13,
    sizes: [size(32, 4e-3, 1600), size(64, 3e-3, 1000)],
    selfPlay: selfPlay(2, 2, 40),
    held: 256,
    evalEvery: 40,
    seeds: 2,
    methods: ['sft', 'spin', 'asft'],
  },
  small: {
    ...shared,
    // With 128,256 tokens an hour would be enough for a third of the cells, and nine tenths of it would go into the head
    vocabulary: 13,
    sizes: [size(32, 4e-3, 2400), size(64, 3e-3, 1600), size(128, 2e-3, 1600), size(256, 7e-4, 2400)],
    selfPlay: selfPlay(1, 3, 50),
    held: 256,
    evalEvery: 20,
    seeds: 8,
    methods: [...methodNames],
  },
  seed: {
    ...shared,
    vocabulary: 128_256,
    sizes: [
      size(32, 4e-3, 20_000),
      size(64, 3e-3, 15_000),
      size(128, 2e-3, 10_000),
      size(256, 7e-4, 8000),
      size(512, 3e-4, 5000),
    ],
    selfPlay: selfPlay(1, 3, 200),
    held: 1000,
    evalEvery: 50,
    seeds: 5,
    methods: [...methodNames],
  },
}
