/** Loads a training method, and the engine with it. */
import type { MethodKey, SchemaOf } from './methods.ts'
import type { Recipe } from './trainer/recipe.ts'

const recipes: { [K in MethodKey]: () => Promise<Recipe<SchemaOf<K>>> } = {
  sft: async () => (await import('./sft.ts')).sft,
  dpo: async () => (await import('./dpo.ts')).dpo,
  kto: async () => (await import('./kto.ts')).kto,
  reward: async () => (await import('./reward.ts')).reward,
  spin: async () => (await import('./spin.ts')).spin,
  asft: async () => (await import('./asft.ts')).asft,
  distill: async () => (await import('./distill.ts')).distill,
  selfreward: async () => (await import('./selfreward.ts')).selfreward,
  reinforce: async () => (await import('./reinforce.ts')).reinforce,
  rloo: async () => (await import('./rloo.ts')).rloo,
  grpo: async () => (await import('./grpo.ts')).grpo,
  ppo: async () => (await import('./ppo.ts')).ppo,
  onlineDpo: async () => (await import('./onlineDpo.ts')).onlineDpo,
}

export const loadRecipe = <K extends MethodKey>(key: K): Promise<Recipe<SchemaOf<K>>> => recipes[key]()
