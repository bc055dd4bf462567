/**
 * Log-probabilities and values of the sampled tokens, under the policy that sampled them and under the reference model.
 *
 * The reference model is the policy with its adapter off. Only where all weights are trained, or where the adapter was
 * trained before, the trained arrays are copied once, as they were at the beginning.
 */

import type { Tree } from '../../data/batch.ts'
import type { Rollout } from '../../generate/completionSampler.ts'
import { backOf, smoothOf } from '../../nn/scope.ts'
import type { HeadSettings } from '../../passes/head.ts'
import { int8Weight } from '../../passes/int8.ts'
import { type Model, makeModel } from '../../passes/model.ts'
import { readTokenStats, type TargetStat } from '../../passes/tokenStats.ts'
import { hasLiveReference, type Policy, referenceModel } from '../trainer/policy.ts'
import type { Experience, MethodState, RlMethod } from './method.ts'

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

/** The policy as it was at the beginning. To be called before a checkpoint is restored. */
export const openReferenceModel = async (policy: Policy): Promise<Model> => {
  if (hasLiveReference(policy)) return referenceModel(policy)
  const { model, backend, gradients } = policy
  const params = new Map(model.params)
  const int8 = new Map(model.int8)
  for (const name of gradients.keys()) {
    const trained = model.params.get(name)!
    const form = int8.get(name)
    if (!form) {
      params.set(name, backend.put(await backend.read(trained), trained.shape))
      continue
    }
    // The policy's codes change with it. Without gradients codes are all that is read
    const { out: _, inner: __, ...rest } = form
    const smooth = form.smooth === undefined ? undefined : model.params.get(smoothOf(name, form.smooth))
    const own = int8Weight(backend, model.architecture, name, trained, { ...rest, back: false }, smooth)
    for (const part of [name, backOf(name)]) params.delete(part)
    for (const [part, handle] of Object.entries(own.handles)) params.set(part, handle)
    int8.set(name, own.form)
  }
  return makeModel({ ...model, params, int8, dropout: 0, shared: await policy.sharing?.frozenPasses() })
}

/** Log-probs of every sampled token, at the temperature that they were sampled at. @returns [samples][tokens] */
export const sampleLogps = async (model: Model, rollout: Rollout, temperature: number): Promise<number[][]> =>
  (await sampleStats(model, rollout, ['logps'], { temperature })).logps

/** By how much a probability of the decoder may differ from that of a training pass to be used in its place. */
const largestRatioError = 1e-4

/** Rollouts 1, 2, 4, 8, ... compare the two. A new adapter does nothing in the first, which alone would say little. */
const isCompared = (rolloutNumber: number) => (rolloutNumber & (rolloutNumber - 1)) === 0

export type ExperienceLogps = Pick<Experience, 'oldLogps' | 'refLogps' | 'values'> & {
  /** The decoder's log-probs may be used as `oldLogps` until the next comparison. */
  isDecoderExact: boolean
  /** max |pi by a training pass / pi by the decoder - 1| over the sampled tokens; undefined where they were not compared. */
  ratioError?: number
}

/**
 * The log-probs and values that the method reads. `oldLogps` are the decoder's own, which cost no pass, while the last
 * comparison found them near enough. The result of that comparison is part of the state (`near`), so that a resumed run
 * uses the same ones.
 */
export const experienceLogps = async (
  {
    policy,
    reference,
    settings,
  }: { policy: Policy; reference?: Model; settings: { temperature: number; klBudget?: number } },
  { needs }: Pick<RlMethod, 'needs'>,
  rollout: Rollout,
  { number, state }: { number: number; state: MethodState },
): Promise<ExperienceLogps> => {
  const { temperature } = settings
  const hasKlBudget = settings.klBudget !== undefined
  // reference
  const refLogps =
    reference && (needs.refLogps || hasKlBudget) ? await sampleLogps(reference, rollout, temperature) : undefined
  // policy, from the decoder
  const needsOldLogps = needs.oldLogps || hasKlBudget
  if (needsOldLogps && !needs.values && temperature === 1 && state.near === true && !isCompared(number))
    return { oldLogps: rollout.samples.map(({ logps }) => logps), refLogps, isDecoderExact: true }
  // policy, from a pass of training
  const model = { ...policy.model, dropout: 0 }
  const both = needs.values ? await sampleStats(model, rollout, ['logps', 'scores'], { temperature }) : undefined
  const oldLogps = both?.logps ?? (needsOldLogps ? await sampleLogps(model, rollout, temperature) : undefined)
  // The decoder gives its log-probs at temperature 1
  const comparable =
    oldLogps && temperature === 1 ? oldLogps : number === 1 ? await sampleLogps(model, rollout, 1) : undefined
  const ratioError = comparable && largestError(rollout, comparable)
  return {
    oldLogps,
    refLogps,
    values: both?.scores,
    ratioError,
    isDecoderExact: ratioError !== undefined && ratioError <= largestRatioError,
  }
}

const largestError = ({ samples }: Rollout, logps: readonly (readonly number[])[]): number => {
  let largest = 0
  for (const [i, sample] of samples.entries())
    for (const [t, logp] of sample.logps.entries())
      largest = Math.max(largest, Math.abs(Math.expm1(logps[i][t] - logp)))
  return largest
}
