/** Settings and presets of a study of scaling laws, and why their numbers are as they are. */
import { z } from 'zod'
import { engineFields, workersFields } from '../../recipes/trainer/fields.ts'
import { badInput } from '../../util/fault.ts'
import { plural } from '../../util/format.ts'

/**
 * What goes on from the same weights with the same compute (methods.ts): three ways of supervised training, supervised training on the
 * completions of a helper model, on-policy distillation from it, and three ways of self-play.
 */
export const methodNames = ['sft', 'sft-slow', 'sft-decay', 'sft-helper', 'distill', 'spin', 't-spin', 'asft'] as const
export type Method = (typeof methodNames)[number]

const presetNames = ['demo', 'small', 'seed'] as const

const whole = () => z.number().int().positive()
const list = (value: string, field: z.ZodNumber) => z.array(field).min(1).optional().meta({ value, separator: ',' })

export const scalingSchema = z.object({
  preset: z
    .enum(presetNames)
    .default('small')
    .describe('how much is trained: demo takes some minutes on two cores, small about two hours, seed days'),
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
  sizes: list('WIDTHS', whole()).describe("hidden sizes, all of one depth (default: the preset's)"),
  layers: whole().optional().meta({ value: 'N' }).describe("layers of every size (default: the preset's)"),
  budgets: list('FLOPS', z.number().positive()).describe(
    "budgets of training compute, such as 1e10,1e11; every size is trained to each, in a run of its own (default: the preset's)",
  ),
  learningRates: list('RATES', z.number().positive()).describe(
    "learning rates that are tried for each size, on seeds of their own (default: the preset's)",
  ),
  digits: z
    .number()
    .int()
    .min(2)
    .max(3)
    .optional()
    .meta({ value: 'N' })
    .describe("digits of the numbers that are added (default: the preset's)"),
  vocabulary: whole().optional().meta({ value: 'N' }).describe("tokens of the vocabulary (default: the preset's)"),
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
    .describe(
      "which methods go on from the same weights with equal compute (default: the preset's); sft alone compares none",
    ),
  jobs: z.number().int().positive().optional().describe('cells at once, each on one thread (default: one a core)'),
  open: z.boolean().default(false).describe('open the report in a browser'),
  device: engineFields.device,
  ...workersFields,
})

export type ScalingSettings = z.output<typeof scalingSchema>

/** Everything that a cell's result depends on. It is kept in sweep.json, and a folder takes one plan only. */
export type Plan = {
  vocabulary: number
  /** Hidden sizes, all with this many layers. */
  sizes: number[]
  layers: number
  digits: number
  /** Budgets of training in FLOPs, ascending. */
  budgets: number[]
  /** Tried for each size at the largest budget, on seeds that nothing is reported of. */
  learningRates: number[]
  tuningSeeds: number
  /** Sums that are trained on, that settings are chosen by, and that are reported. */
  taught: number
  held: number
  reported: number
  batchSize: number
  /** Of a run's steps: the part in which its learning rate rises, and the part in which it falls to 0. */
  warmup: number
  cooldown: number
  comparison: ComparisonPlan
}

/** The comparison of methods: each goes on from the same weights with the same compute. */
export type ComparisonPlan = {
  sizes: number[]
  /** Compute of the supervised training before, at a constant learning rate, and of each method. */
  startBudget: number
  budget: number
  /** The model that helps: its size, and the compute of its training. */
  helper: { hidden: number; budget: number }
  /** Tried for each method and size, on seeds of their own. */
  learningRates: number[]
  betas: number[]
  /** Of self-play. */
  iterations: number
}

/** Which cells of a plan are trained. This may change from one call to the next in the same folder. */
export type Extent = {
  seeds: number
  comparisonSeeds: number
  methods: Method[]
}

export type Preset = Plan & Extent

/** At one depth, so that sizes differ in width alone; with one layer the model learns to carry with some seeds only. */
const shared = {
  layers: 2,
  digits: 2,
  taught: 1000,
  held: 256,
  reported: 1000,
  batchSize: 32,
  warmup: 0.05,
  cooldown: 0.2,
}

/** What a study of hours settles by, whatever its sizes. */
const study = {
  learningRates: [1e-3, 3e-3, 1e-2],
  tuningSeeds: 2,
  comparison: {
    sizes: [32, 64],
    startBudget: 1e11,
    budget: 3e10,
    helper: { hidden: 128, budget: 1e12 },
    learningRates: [1e-4, 3e-4, 1e-3],
    betas: [0.1, 1],
    iterations: 2,
  },
  seeds: 8,
  comparisonSeeds: 12,
  methods: [...methodNames],
}

export const presets: Record<(typeof presetNames)[number], Preset> = {
  demo: {
    ...shared,
    // That of the embedded tokenizer. A larger one would change no curve, and the head would take nearly all of the time
    vocabulary: 13,
    sizes: [16, 32, 64],
    budgets: [1e10, 3e10, 1e11],
    learningRates: [4e-3],
    tuningSeeds: 1,
    comparison: {
      sizes: [32],
      startBudget: 1e11,
      budget: 2e10,
      helper: { hidden: 64, budget: 1e11 },
      learningRates: [3e-4],
      betas: [1],
      iterations: 2,
    },
    seeds: 2,
    comparisonSeeds: 2,
    methods: ['sft', 'sft-decay', 'spin', 'asft'],
  },
  small: {
    ...shared,
    ...study,
    vocabulary: 13,
    sizes: [8, 16, 32, 64, 128],
    budgets: [3e10, 1e11, 3e11, 1e12],
  },
  seed: {
    ...shared,
    ...study,
    // That of the study: nine tenths of the time go into the head, which no curve counts
    vocabulary: 128_256,
    sizes: [32, 64, 128, 256],
    budgets: [1e11, 3e11, 1e12, 3e12],
  },
}

const ascending = (values: readonly number[]) => [...new Set(values)].sort((a, b) => a - b)

/** The preset with what was asked for by flags. Sizes and budgets of the comparison stay those of the preset. */
export const plannedBy = (settings: ScalingSettings, preset: Preset): { plan: Plan; extent: Extent } => {
  const { seeds, comparisonSeeds, methods, ...plan } = preset
  return {
    plan: {
      ...plan,
      vocabulary: settings.vocabulary ?? plan.vocabulary,
      sizes: ascending(settings.sizes ?? plan.sizes),
      layers: settings.layers ?? plan.layers,
      digits: settings.digits ?? plan.digits,
      budgets: ascending(settings.budgets ?? plan.budgets),
      learningRates: ascending(settings.learningRates ?? plan.learningRates),
    },
    extent: {
      seeds: settings.seeds ?? seeds,
      comparisonSeeds: settings.seeds ?? comparisonSeeds,
      methods: [...new Set(['sft' as const, ...(settings.methods ?? methods)])],
    },
  }
}

/** Which flag sets a part of the plan, for the message that names what an older folder was made with. */
export const flagOf: Partial<Record<keyof Plan, string>> = {
  vocabulary: '--vocabulary',
  sizes: '--sizes',
  layers: '--layers',
  digits: '--digits',
  budgets: '--budgets',
  learningRates: '--learning-rates',
}

/** A run of fewer steps has no warm-up and no cooldown to speak of. */
const fewestSteps = 20

/**
 * Throws a Fault for a budget that gives a size too few steps: it would be compared before it has learned anything.
 * @param stepFlops FLOPs of a training step of each hidden size
 */
export const requireSteps = ({ sizes, budgets }: Plan, stepFlops: (hidden: number) => number): void => {
  const [budget] = budgets
  const largest = sizes.at(-1)!
  const steps = Math.round(budget / stepFlops(largest))
  if (steps >= fewestSteps) return
  throw badInput(
    'bad-flag',
    `${budget.toExponential()} FLOPs are ${plural(steps, 'step')} of hidden size ${largest}, and a run needs ${fewestSteps}: give budgets from ${roundedUp(fewestSteps * stepFlops(largest))} on, or smaller --sizes`,
    { flag: '--budgets' },
  )
}

/** Two digits, as 3.3e+7. */
const roundedUp = (flops: number): string => {
  const unit = 10 ** (Math.floor(Math.log10(flops)) - 1)
  return (Math.ceil(flops / unit) * unit).toExponential(1)
}
