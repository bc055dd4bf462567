/** PPO's losses, traced from the columns `advantages`, `returns`, `oldLogps` and `oldValues`, a number for each token. */
import { policyLoss, valueLoss } from '../../objectives/policyGradient.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { LossFunction, LossInputs } from '../../train/loss.ts'

/** Ratios count from 1 - policy to 1 + policy, values within `value` of the old ones. */
export type Clip = { policy: number; value: number }

/** A column, or the weights of tokens. [M] */
const column = ({ array }: LossInputs, name: string): Tensor => array(name, ['M'])

/** The mean loss of a token. A loss is a weighted sum, a micro-batch's share of the step. */
const perToken = (loss: Tensor, weights: Tensor): Tensor => loss.div(weights.sum().max(1e-30))

/** The value loss and its metrics, of a score head with one output. */
const valueTerm = (inputs: LossInputs, clip: number) => {
  const weights = column(inputs, 'weights')
  const { loss, clipfrac } = valueLoss(
    {
      values: inputs.scores.reshape(['M']),
      oldValues: column(inputs, 'oldValues'),
      returns: column(inputs, 'returns'),
      weights,
    },
    { clip },
  )
  return { loss, metrics: { 'loss/value_avg': perToken(loss, weights), 'val/clipfrac_avg': clipfrac } }
}

/** Mean and variance of pi / pi_old over the tokens that count. */
const ratioStatistics = (inputs: LossInputs): { mean: Tensor; variance: Tensor } => {
  const counted = column(inputs, 'weights').gt(0).cast('f32')
  const ratio = inputs.logps.sub(column(inputs, 'oldLogps')).mul(counted).exp()
  const mean = (x: Tensor) => x.mul(counted).sum().div(counted.sum().max(1))
  const average = mean(ratio)
  return { mean: average, variance: mean(ratio.sub(average).square()) }
}

/** The clipped policy loss; with `vfCoef` also this much of the loss of the policy's own value head. */
export const ppoObjective = ({ clip, vfCoef }: { clip: Clip; vfCoef?: number }): LossFunction => ({
  name: `ppo ${JSON.stringify([clip, vfCoef])}`,
  stats: ['logps', 'entropy', ...(vfCoef === undefined ? [] : (['scores'] as const))],
  trace: (inputs) => {
    const weights = column(inputs, 'weights')
    const { loss, metrics } = policyLoss(
      {
        logps: inputs.logps,
        oldLogps: column(inputs, 'oldLogps'),
        advantages: column(inputs, 'advantages'),
        weights,
        entropy: inputs.entropy,
        sequence: inputs.array('sequence', ['M'], 'i64'),
        lengths: inputs.array('lengths', ['S']),
      },
      {
        loss: 'clip',
        ratio: 'token',
        epsilonLow: clip.policy,
        epsilonHigh: clip.policy,
        beta: 0,
        klEstimator: 'k1',
        entropyCoef: 0,
      },
    )
    const value = vfCoef === undefined ? undefined : valueTerm(inputs, clip.value)
    const ratio = ratioStatistics(inputs)
    return {
      loss: value ? loss.add(value.loss.mul(vfCoef!)) : loss,
      metrics: {
        // By the name that all methods have, and by PPO's
        entropy: metrics.entropy,
        'policy/approxkl_avg': metrics.approx_kl,
        'policy/clipfrac_avg': metrics['clip_ratio/region_mean'],
        'policy/entropy_avg': metrics.entropy,
        'loss/policy_avg': perToken(loss, weights),
        'val/ratio': ratio.mean,
        'val/ratio_var': ratio.variance,
        ...value?.metrics,
      },
    }
  },
})

/** The value loss alone, of a value model. */
export const valueObjective = (clip: Clip): LossFunction => ({
  name: `value ${clip.value}`,
  stats: ['scores'],
  trace: (inputs) => valueTerm(inputs, clip.value),
})
