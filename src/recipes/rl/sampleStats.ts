/**
 * What a model says of every sampled token: log-probs of the policy before an update, or of the reference. Peculiar: the
 * reference is the policy with its adapter off; only where all weights are trained, or the adapter was trained before,
 * the trained arrays are copied once, as they were at the beginning.
 */

import { pack, passesOf, type Tree } from '../../data/batch.ts'
import type { Rollout } from '../../generate/completionSampler.ts'
import type { HeadSettings } from '../../passes/head.ts'
import { type Model, makeModel } from '../../passes/model.ts'
import { targetStats } from '../../passes/stats.ts'
import type { TargetStat } from '../../train/loss.ts'
import { hasLiveReference, type Policy, referenceModel } from '../trainer/policy.ts'

/** Tokens of a pass, roughly. */
const passTokens = 4096

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
  const { trees, K } = treesOf(rollout)
  const all = Object.fromEntries(names.map((name) => [name, [] as number[][]])) as Record<S, number[][]>
  for (const pass of passesOf(trees, passTokens)) {
    const packed = pack(pass, K)
    const { stats, placed } = targetStats(model, packed, names, settings)
    for (const name of names) {
      const values = await model.backend.read(stats[name])
      const own = Array.from({ length: pass.length * K }, (): number[] => [])
      values.forEach((value, m) => {
        own[packed.targets.sequence[m]].push(value)
      })
      all[name].push(...own)
    }
    model.backend.free([...names.map((name) => stats[name]), ...placed.handles])
  }
  return all
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
