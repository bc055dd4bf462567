/**
 * What lies beside a saved reward model: reward.json, its scale. Peculiar: transformers' score head has no bias, and
 * after an RMS norm none can be hidden in the weights, so the weights give the plain score, as transformers reads it, and
 * the bias and the normalisation are numbers of their own: reward = score + bias, normalised (reward - mean) / std.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { badInput } from '../../util/fault.ts'
import { deviation, mean } from '../../util/statistics.ts'
import type { JudgedRow } from './judged.ts'
import { rewardKinds } from './kind.ts'

export const rewardFile = 'reward.json'

const schema = z.object({
  kind: z.enum(rewardKinds),
  /** Of the score head; more than one are scores 1..N. */
  outputs: z.number().int().positive(),
  bias: z.number(),
  /** Of rewards, bias included. */
  mean: z.number(),
  std: z.number().positive(),
  /** What they were measured on: that many replies of held-out rows, or of those trained on. */
  replies: z.number().int(),
  of: z.enum(['held-out', 'training']),
})
export type RewardNotes = z.infer<typeof schema>

/** @param rows what the final weights say */
export const rewardNotes = (
  facts: Pick<RewardNotes, 'kind' | 'outputs' | 'bias' | 'of'>,
  rows: readonly JudgedRow[],
): RewardNotes => {
  const rewards = rows.flatMap((row) => row.rewards)
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
