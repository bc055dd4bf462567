/**
 * The objective of REINFORCE, RLOO, GRPO and their kin. Peculiar: methods differ in their advantages and in the weights
 * of tokens, both made before the pass, so one objective serves them all. A batch's arrays: `weights` [M], `lengths` [S] and
 * `advantages` (by response [S], or by token [M]), `oldLogps` and `refLogps` [M] where they are read.
 */
import type { Aggregation } from '../../objectives/aggregation.ts'
import { type PolicyBatch, type PolicyLoss, type PolicyOptions, policyLoss } from '../../objectives/policyGradient.ts'
import type { LossFunction, LossInputs } from '../../train/loss.ts'

/** TRL's loss_type: which loss of a token, and how tokens are averaged. */
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

export type PolicySettings = PolicyOptions & {
  /** The batch has `oldLogps`; without, the policy itself drew the responses just now, and every ratio is 1. */
  old: boolean
  /** Advantages are of tokens instead of responses. */
  tokenAdvantages?: boolean
}

/** What `policyLoss` reads, of a pass over sampled responses. */
const policyInputs = ({ logps, entropy, array }: LossInputs, s: PolicySettings): PolicyBatch => {
  const sequence = array('sequence', ['M'], 'i64')
  const advantages = array('advantages', [s.tokenAdvantages ? 'M' : 'S'])
  return {
    ...{ logps, entropy, sequence, weights: array('weights', ['M']), lengths: array('lengths', ['S']) },
    advantages: s.tokenAdvantages ? advantages : advantages.gather(sequence),
    ...(s.old && { oldLogps: array('oldLogps', ['M']) }),
    ...(s.beta !== 0 && { refLogps: array('refLogps', ['M']) }),
  }
}

export const policyGradientObjective = (settings: PolicySettings): LossFunction => ({
  name: `policy ${JSON.stringify(settings)}`,
  stats: ['logps', 'entropy'],
  entropyGradient: settings.entropyCoef !== 0,
  together: settings.topEntropyQuantile !== undefined,
  trace: (inputs) => policyLoss(policyInputs(inputs, settings), settings),
})
