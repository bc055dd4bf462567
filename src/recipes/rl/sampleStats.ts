/**
 * What a model says of every sampled token: log-probs of the policy before an update, or of the reference. Peculiar: the
 * reference is the policy with its adapter off; only where all weights are trained, or the adapter was trained before,
 * the trained arrays are copied once, as they were at the beginning.
 */

import type { Tree } from '../../data/batch.ts'
import type { Rollout } from '../../generate/completionSampler.ts'
import type { HeadSettings } from '../../passes/head.ts'
import { type Model, makeModel } from '../../passes/model.ts'
import { readTokenStats, type TargetStat } from '../../passes/tokenStats.ts'
import { hasLiveReference, type Policy, referenceModel } from '../trainer/policy.ts'

/** Attention pays for the square of a tree, so samples share their prompt only while they are this short together. */
const treeSamples = 384

/** Samples of a prompt that stand in one tree: a divisor of how many it has, so that samples keep their numbers. */
const perTree = ({ samples, perPrompt }: Rollout): number => {
  const longest = Math.max(...samples.map(({ ids }) => ids.length))
  let count = perPrompt
  while (count > 1 && (perPrompt % count !== 0 || count * longest > treeSamples)) count--
  return count
}

/** Prompts with their samples, which share a pass over them; branch k of tree t is sample t * K + k. */
export const treesOf = (rollout: Rollout): { trees: Tree[]; K: number } => {
  const { prompts, samples, perPrompt } = rollout
  const K = perTree(rollout)
  const trees = Array.from({ length: samples.length / K }, (_, t) => ({
    trunk: prompts[Math.floor((t * K) / perPrompt)].ids,
    branches: samples.slice(t * K, (t + 1) * K).map(({ ids }) => ids),
  }))
  return { trees, K }
}

/** Statistics (or the one score) of every token of every sample, in their order. @returns [samples][tokens] */
export const sampleStats = async <S extends TargetStat>(
  model: Model,
  rollout: Rollout,
  names: readonly S[],
  settings: HeadSettings,
): Promise<Record<S, number[][]>> => {
  const { trees } = treesOf(rollout)
  const stats = await readTokenStats(model, trees, names, { ...settings, splitByLength: false })
  const bySample = names.map((name) => [name, stats[name].flatMap(({ branches }) => branches)])
  return Object.fromEntries(bySample)
}

/** The policy as it was at the beginning; to be called before a checkpoint is restored. */
export const openReferenceModel = async (policy: Policy): Promise<Model> => {
  if (hasLiveReference(policy)) return referenceModel(policy)
  const { model, backend, gradients } = policy
  const params = new Map(model.params)
  for (const name of gradients.keys()) {
    const trained = model.params.get(name)!
    params.set(name, backend.put(await backend.read(trained), trained.shape))
  }
  return makeModel({ ...model, params, dropout: 0 })
}
