/** The methods that are compared, and what each needs. */
import type { ComparisonPlan, Method } from './settings.ts'

type MethodFacts = {
  title: string
  what: string
  /** Whether a larger model completes the prompts for it. */
  helped?: boolean
  /** Whether it has a beta, which is tried too. */
  beta?: boolean
  /** Whether its learning rate is tried; the others train at that of another run. */
  tried?: boolean
}

export const methods: Readonly<Record<Method, MethodFacts>> = {
  sft: { title: 'SFT, constant rate', what: 'supervised training goes on at the constant learning rate of before' },
  'sft-slow': { title: "SFT at SPIN's rate", what: 'supervised training goes on at the learning rate that SPIN uses' },
  'sft-decay': {
    title: 'SFT, falling rate',
    what: 'supervised training goes on while its learning rate falls to 0',
    tried: true,
  },
  'sft-helper': {
    title: "SFT on the helper's completions",
    what: 'supervised training on what the helper model completes',
    helped: true,
    tried: true,
  },
  distill: {
    title: 'On-policy distillation',
    what: 'its own completions, at each token of which it learns what the helper would have said (reverse KL)',
    helped: true,
    tried: true,
  },
  spin: { title: 'SPIN', what: 'the data ranked above its own completions', beta: true, tried: true },
  't-spin': { title: 'T-SPIN', what: 'SPIN without a reference model', beta: true, tried: true },
  asft: {
    title: 'aSFT',
    what: "the data ranked above the helper's completions, and these above its own",
    helped: true,
    beta: true,
    tried: true,
  },
}

/** The learning rates that are tried for a method; none where it takes that of another run. */
export const ratesOf = (method: Method, { learningRates }: ComparisonPlan): readonly number[] =>
  methods[method].tried ? learningRates : []
