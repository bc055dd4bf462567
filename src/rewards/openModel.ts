/** A trained reward model, ready to judge responses: for reinforcement learning, comparisons and the command line. */
import type { Tree } from '../data/batch.ts'
import { type OpenedModel, type OpenModelOptions, openModel } from '../passes/open.node.ts'
import { type Reward, rewardsOf } from '../passes/scores.ts'
import { type RewardNotes, readRewardNotes } from './notes.ts'

type RewardModel = OpenedModel & {
  /** Its scale, where it was trained by attune. */
  notes?: RewardNotes
  /** [tree][branch], as transformers has them: without bias, not normalised. */
  rewards(trees: readonly Tree[]): Promise<Reward[][]>
  /** A reward on the scale of the notes: (reward + bias - mean) / std; as it is, where there are none. */
  normalized(reward: number): number
}

/** Throws a Fault 'no-score-head' for a model that is no reward model, and those of `openModel`. */
export const openRewardModel = async (options: Omit<OpenModelOptions, 'head'>): Promise<RewardModel> => {
  const opened = await openModel({ ...options, head: 'scores' })
  try {
    const notes = await readRewardNotes(opened.adapterDir ?? opened.dir)
    return {
      ...opened,
      notes,
      rewards: (trees) => rewardsOf(opened.model, trees),
      normalized: (reward) => (notes ? (reward + notes.bias - notes.mean) / notes.std : reward),
    }
  } catch (error) {
    await opened.close()
    throw error
  }
}
