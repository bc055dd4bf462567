/**
 * What lies beside a saved reward model: reward.json, its scale. Peculiar: transformers' score head has no bias, and
 * after an RMS norm none can be hidden in the weights, so the weights give the plain score, as transformers reads it, and
 * the bias and the normalisation are numbers of their own: reward = score + bias, normalised (reward - mean) / std.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { deviation, mean } from '../statistics/summary.ts'
import { badInput } from '../util/fault.ts'

/** How a reward model was trained: the objective, and what its rows are. */
export const rewardKinds = ['pairwise', 'best-of-n', 'ranking', 'plackett-luce', 'probabilistic'] as const
export type RewardKind = (typeof rewardKinds)[number]

export const rewardFile = 'reward.json'

const schema = z.object({
  kind: z.enum(rewardKinds),
  /** Of the score head; more than one are scores 1..N. */
  outputs: z.number().int().positive(),
  bias: z.number(),
  /** Of rewards, bias included. */
  mean: z.number(),
  std: z.number().positive(),
  /** What they were measured on: that many responses of held-out rows, or of those trained on. */
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
