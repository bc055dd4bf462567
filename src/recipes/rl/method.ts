/**
 * What an RL method gives to the trainer (which log-probs it needs, its advantages, its loss) and the experience that it
 * gets: a rollout with its rewards and log-probs.
 */

import type { Rollout } from '../../generate/completionSampler.ts'
import type { Aggregation } from '../../objectives/aggregation.ts'
import type { RolloutRewards } from '../../rewards/rewards.ts'
import type { LossFunction } from '../../train/loss.ts'
import type { MicroBatch } from '../../train/micro.ts'
import type { Trainer } from '../../train/step.ts'

/** What a method carries from one rollout to the next: plain data, which is part of every checkpoint. */
export type MethodState = Readonly<Record<string, unknown>>

/** What is known of a rollout when its advantages are computed. All lists are by sample, in the order of the rollout. */
export type Experience = RolloutRewards & {
  rollout: Rollout
  /** Samples that count. Those whose reward failed do not, nor truncated ones with --mask-truncated. */
  mask: boolean[]
  /** [samples][tokens] under the policy that sampled and under the reference model, where the method needs them. */
  oldLogps?: number[][]
  refLogps?: number[][]
  /** [samples][tokens] by the policy's own value head: the value before each token. */
  values?: number[][]
}

/** By name and in the order of the samples: a number for each sample, or a list with one for each of its tokens. */
export type Columns = Record<string, (number | number[])[]>

export type ComputedAdvantages = {
  /** What the loss reads of each sample or token, by name. */
  columns: Columns
  /** What changes in the method's state. */
  state?: MethodState
  metrics?: Record<string, number>
}

/** A rollout with all that its updates learn from. Methods differ in their columns and in the loss that reads them. */
export type ExperienceBatch = {
  rollout: Rollout
  columns: Columns
  /** Samples that count. The others stay in the batch with weight 0. */
  mask: boolean[]
  /** Null where the reward failed. */
  rewards: (number | null)[]
}

export type RlMethod = {
  /** Log-probs and values that `computeAdvantages` or the loss reads, beside the log-probs of the update's own pass. */
  needs: { oldLogps: boolean; refLogps: boolean; values?: boolean }
  computeAdvantages(experience: Experience, state: MethodState): ComputedAdvantages | Promise<ComputedAdvantages>
  loss: LossFunction
  /** How the losses of tokens are averaged. */
  aggregation: Aggregation
  /** The micro-batches of one update on these prompts, where they are not those of a policy gradient. */
  batches?(batch: ExperienceBatch, promptNumbers: readonly number[]): MicroBatch[]
  /** A model of its own that learns from the same micro-batches. */
  valueModel?: Trainer['beside']
  /** Micro-batches of other rows for an update. Updates are counted from 0 over the whole run. */
  extraBatches?(update: number): Promise<MicroBatch[]>
}
