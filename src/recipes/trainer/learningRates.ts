/**
 * The learning rates of every method, of all weights and of a LoRA adapter: the default, and what papers and recipes usually take.
 * The settings, their help and the warning `learning-rate` read this table. They are rates of Adam, and of RMSprop, whose steps are
 * as large. docs/learning-rates.md has the runs that the defaults were chosen by.
 */
type Rates = { readonly default: number; readonly usual: readonly [low: number, high: number] }
/** An adapter takes about ten times the rate of all weights: "LoRA without regret", Thinking Machines Lab, 2025. */
export type MethodRates = { readonly full: Rates; readonly lora: Rates }

const preferences: MethodRates = {
  full: { default: 5e-6, usual: [1e-7, 1e-5] },
  lora: { default: 5e-5, usual: [5e-6, 1e-4] },
}
const rewards: MethodRates = {
  full: { default: 1e-5, usual: [1e-7, 1e-5] },
  lora: { default: 1e-4, usual: [5e-6, 2e-4] },
}

/** By the names of the methods. */
export const learningRates = {
  sft: { full: { default: 2e-5, usual: [1e-6, 1e-4] }, lora: { default: 2e-4, usual: [1e-4, 5e-4] } },
  dpo: preferences,
  kto: preferences,
  reward: { full: { default: 3e-5, usual: [1e-6, 1e-4] }, lora: { default: 3e-4, usual: [2e-5, 1e-3] } },
  spin: preferences,
  asft: preferences,
  // A dense signal at every token, as of SFT
  distill: { full: { default: 2e-5, usual: [1e-7, 1e-4] }, lora: { default: 2e-4, usual: [1e-5, 5e-4] } },
  selfreward: preferences,
  reinforce: rewards,
  rloo: rewards,
  grpo: rewards,
  ppo: rewards,
  'online-dpo': rewards,
} satisfies Readonly<Record<string, MethodRates>>

/** Undefined for a method that the table does not have. */
export const ratesOf = (method: string, isLora: boolean): Rates | undefined => {
  const rates: MethodRates | undefined = (learningRates as Readonly<Record<string, MethodRates>>)[method]
  return rates?.[isLora ? 'lora' : 'full']
}

/** 0.00002 as 2e-5. */
const short = (rate: number) => rate.toExponential()

/** What the help says in place of one default. */
export const defaultsNote = ({ full, lora }: MethodRates): string =>
  `${short(full.default)}; with LoRA ${short(lora.default)}`
