/**
 * reward.json beside a saved reward model: how it was trained, and the scale of its rewards.
 *
 * transformers' score head has no bias, and after an RMS norm none can be hidden in the weights. So the weights give the
 * plain score, as transformers reads it, and bias, mean and deviation are numbers of their own.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { deviation, mean } from '../statistics/summary.ts'
import { badInput } from '../util/fault.ts'

/** The objective that a reward model was trained by. */
export const rewardKinds = ['pairwise', 'best-of-n', 'ranking', 'plackett-luce', 'probabilistic'] as const
export type RewardKind = (typeof rewardKinds)[number]

export const rewardFile = 'reward.json'

const schema = z.object({
  kind: z.enum(rewardKinds),
  /** Of the score head. More than one are a distribution over the scores 1..N. */
  outputs: z.number().int().positive(),
  /** Added to the score of a head with one output. */
  bias: z.number(),
  /** Of rewards, bias included. */
  mean: z.number(),
  std: z.number().positive(),
  /** How many responses mean and std were measured on, and of which rows. */
  replies: z.number().int(),
  of: z.enum(['held-out', 'training']),
})
export type RewardNotes = z.infer<typeof schema>

/** @param rewards by the final weights */
export const rewardNotes = (
  facts: Pick<RewardNotes, 'kind' | 'outputs' | 'bias' | 'of'>,
  rewards: readonly number[],
): RewardNotes => {
  const std = deviation(rewards)
  return { ...facts, mean: mean(rewards), std: std > 0 ? std : 1, replies: rewards.length }
}

/**
 * score + bias, and normalised (score + bias - mean) / std. A distribution (one with a sigma) has no bias.
 * @param scored what the weights give (passes/scores.ts)
 * @param notes of the model; as it is, where there are none
 */
export const rewardOnScale = (
  scored: { reward: number; sigma?: number },
  notes: Pick<RewardNotes, 'bias' | 'mean' | 'std'> | undefined,
  { normalize }: { normalize: boolean },
): { value: number; sigma?: number } => {
  const { reward, sigma } = scored
  const { mean, std } = normalize && notes ? notes : { mean: 0, std: 1 }
  if (sigma !== undefined) return { value: (reward - mean) / std, sigma: sigma / std }
  return { value: (reward + (notes?.bias ?? 0) - mean) / std }
}

/** The notes in a model's or an adapter's folder; undefined where it has none. Throws a Fault 'bad-config' for others. */
export const readRewardNotes = async (dir: string): Promise<RewardNotes | undefined> => {
  const file = join(dir, rewardFile)
  const text = await readFile(file, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    throw badInput('bad-config', 'is not what attune writes beside a reward model; remove it', { file })
  }
}
