/**
 * The policy loss of REINFORCE, RLOO, GRPO and their kin, traced from the arrays of a micro-batch.
 *
 * Methods differ in their advantages and in the weights of tokens. Both are computed before the pass, so one loss serves
 * all. Arrays: `weights` [M], `lengths` [S], `advantages` (by sample [S] or by token [M]), and where they are read
 * `oldLogps` and `refLogps` [M].
 */
import type { Aggregation } from '../../objectives/aggregation.ts'
import { type PolicyBatch, type PolicyLoss, type PolicyOptions, policyLoss } from '../../objectives/policyGradient.ts'
import type { LossFunction, LossInputs } from '../../train/loss.ts'

/** TRL's loss_type: the loss of a token, and how the losses of tokens are averaged. */
export const lossTypes = {
  grpo: { loss: 'clip', aggregation: 'grpo' },
  bnpo: { loss: 'clip', aggregation: 'bnpo' },
  dr_grpo: { loss: 'clip', aggregation: 'dr_grpo' },
  dapo: { loss: 'clip', aggregation: 'dapo' },
  cispo: { loss: 'cispo', aggregation: 'dapo' },
  sapo: { loss: 'sapo', aggregation: 'grpo' },
  vespo: { loss: 'vespo', aggregation: 'dapo' },
  luspo: { loss: 'clip', aggregation: 'sum' },
} as const satisfies Record<string, { loss: PolicyLoss; aggregation: Aggregation }>
export type LossType = keyof typeof lossTypes

export type PolicyLossSettings = PolicyOptions & {
  /** The batch has `oldLogps`. Without them the samples are the policy's own of this moment, and every ratio is 1. */
  hasOldLogps: boolean
  /** Advantages are of tokens instead of samples. */
  tokenAdvantages?: boolean
}

const policyBatch = ({ logps, entropy, array }: LossInputs, settings: PolicyLossSettings): PolicyBatch => {
  const sequence = array('sequence', ['M'], 'i64')
  return {
    logps,
    oldLogps: settings.hasOldLogps ? array('oldLogps', ['M']) : undefined,
    refLogps: settings.beta !== 0 ? array('refLogps', ['M']) : undefined,
    advantages: settings.tokenAdvantages ? array('advantages', ['M']) : array('advantages', ['S']).gather(sequence),
    weights: array('weights', ['M']),
    entropy,
    sequence,
    lengths: array('lengths', ['S']),
  }
}

export const policyGradientObjective = (settings: PolicyLossSettings): LossFunction => ({
  name: `policy ${JSON.stringify(settings)}`,
  stats: ['logps', 'entropy'],
  entropyGradient: settings.entropyCoef !== 0,
  together: settings.topEntropyQuantile !== undefined,
  trace: (inputs) => policyLoss(policyBatch(inputs, settings), settings),
})
