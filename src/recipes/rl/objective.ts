/** The policy's objective, traced from the columns of a lesson: `advantages`, and the old and reference log-probs. */
import { type PolicyOptions, policyLoss } from '../../objectives/policyGradient.ts'
import type { LossFunction } from '../../train/loss.ts'

export type Reads = {
  /** There is a column `oldLogps`; without it the policy that sampled is the one that learns. */
  old: boolean
  /** There is a column `refLogps`. */
  ref: boolean
}

export const policyObjective = (options: PolicyOptions, { old, ref }: Reads): LossFunction => ({
  name: `policy ${JSON.stringify([options, old, ref])}`,
  stats: ['logps', 'entropy'],
  trace: ({ logps, entropy, array }) => {
    const sequence = array('sequence', ['M'], 'i64')
    return policyLoss(
      {
        ...{ logps, entropy, sequence },
        ...(old && { oldLogps: array('oldLogps', ['M']) }),
        ...(ref && { refLogps: array('refLogps', ['M']) }),
        advantages: array('advantages', ['S']).gather(sequence),
        weights: array('weights', ['M']),
        lengths: array('lengths', ['S']),
      },
      options,
    )
  },
})
