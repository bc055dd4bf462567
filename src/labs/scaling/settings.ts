/** What a sweep trains, with which numbers, and why these. */
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

/** All that decides what a cell gives; it stands in sweep.json, and a folder takes one plan. */
export type Plan = {
  vocabulary: number
  sizes: Size[]
  /** Sums to train on, and held-out ones: for the validation loss and exact matches. */
  taught: number
  held: number
  batchSize: number
  warmupSteps: number
  /** Steps from one evaluation to the next. */
  evalEvery: number
  /** Parts of an sft run after which its answers are counted. */
  marks: number[]
  selfPlay: SelfPlay
}

type SelfPlay = {
  /** The mark of the sft run at which self-play begins. */
  mark: number
  iterations: number
  /** Of each iteration. */
  steps: number
  learningRate: number
  beta: number
}

/** The size that helps smaller ones: the largest, at the mark, so that supervised runs go beyond the compute of both. */
export const helperOf = ({ sizes }: Plan): Size => sizes.reduce((a, b) => (b.hidden > a.hidden ? b : a))

/** What may differ from one call to the next over the same folder. */
export type Extent = { seeds: number; methods: Method[] }

export type Preset = Plan & Extent

/**
 * Two layers at least, for one alone learns to carry in some seeds only; one more for each fourfold width. Learning
 * rates fall with the width, the greatest that trained without spikes.
 */
const size = (hidden: number, learningRate: number, steps: number): Size => ({
  ...{ hidden, layers: Math.floor((Math.log2(hidden) - 1) / 2), learningRate, steps },
})

const shared = { taught: 1000, batchSize: 32, warmupSteps: 50, marks: [0.25, 0.5, 0.75, 1] }

/** At 2e-4 and a beta of 0.1, as is usual for larger models, these forget what they could; so they do at 1e-3. */
const selfPlay = (mark: number, iterations: number, steps: number): SelfPlay => ({
  ...{ mark, iterations, steps, learningRate: 1e-4, beta: 1 },
})

export const presets: Record<(typeof presetNames)[number], Preset> = {
  demo: {
    ...shared,
    // The embedded tokenizer's own: what it leaves out is counted in no curve, and would take all of the time
    vocabulary: 13,
    sizes: [size(32, 4e-3, 1600), size(64, 3e-3, 1000)],
    selfPlay: selfPlay(2, 2, 40),
    ...{ held: 256, evalEvery: 40, seeds: 2, methods: ['sft', 'spin', 'asft'] },
  },
  small: {
    ...shared,
    // At 128,256 an hour gives a third of the cells, of which all but a tenth is work of the head
    vocabulary: 13,
    sizes: [size(32, 4e-3, 2400), size(64, 3e-3, 1600), size(128, 2e-3, 1600), size(256, 7e-4, 2400)],
    selfPlay: selfPlay(1, 3, 50),
    ...{ held: 256, evalEvery: 20, seeds: 8, methods: [...methodNames] },
  },
  seed: {
    ...shared,
    vocabulary: 128_256,
    sizes: [
      ...[size(32, 4e-3, 20_000), size(64, 3e-3, 15_000), size(128, 2e-3, 10_000)],
      ...[size(256, 7e-4, 8000), size(512, 3e-4, 5000)],
    ],
    selfPlay: selfPlay(1, 3, 200),
    ...{ held: 1000, evalEvery: 50, seeds: 5, methods: [...methodNames] },
  },
}
