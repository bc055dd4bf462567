/** PPO's losses, traced from the columns `advantages`, `returns`, `oldLogps` and `oldValues`, a number for each token. */
import { type PolicyOptions, policyLoss, valueLoss } from '../../objectives/policyGradient.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { LossFunction, LossInputs } from '../../train/loss.ts'

export type Clip = { policy: number; value: number }

const tokens = ({ array }: LossInputs, name: string): Tensor => array(name, ['M'])

/** A mean over tokens, of a sum that weights make a share of the step. */
const perToken = (loss: Tensor, weights: Tensor): Tensor => loss.div(weights.sum().max(1e-30))

/** The value loss, and its measures, of a score head with one output. */
const values = (inputs: LossInputs, clip: number) => {
  const weights = tokens(inputs, 'weights')
  const { loss, clipfrac } = valueLoss(
    {
      values: inputs.scores.reshape(['M']),
      oldValues: tokens(inputs, 'oldValues'),
      returns: tokens(inputs, 'returns'),
      weights,
    },
    { clip },
  )
  return { loss, metrics: { 'loss/value_avg': perToken(loss, weights), 'val/clipfrac_avg': clipfrac } }
}

/** Mean and variance over the tokens that count of pi / pi_old. */
const ratios = (inputs: LossInputs): { mean: Tensor; variance: Tensor } => {
  const counted = tokens(inputs, 'weights').gt(0).cast('f32')
  const ratio = inputs.logps.sub(tokens(inputs, 'oldLogps')).mul(counted).exp()
  const mean = (x: Tensor) => x.mul(counted).sum().div(counted.sum().max(1))
  const average = mean(ratio)
  return { mean: average, variance: mean(ratio.sub(average).square()) }
}

/** The clipped policy loss; with `vfCoef` also this much of the loss of the policy's own value head. */
export const ppoObjective = ({ clip, vfCoef }: { clip: Clip; vfCoef?: number }): LossFunction => ({
  name: `ppo ${JSON.stringify([clip, vfCoef])}`,
  stats: ['logps', 'entropy', ...(vfCoef === undefined ? [] : (['scores'] as const))],
  trace: (inputs) => {
    const options: PolicyOptions = {
      ...{ loss: 'clip', ratio: 'token', epsilonLow: clip.policy, epsilonHigh: clip.policy },
      ...{ beta: 0, klEstimator: 'k1', entropyCoef: 0 },
    }
    const weights = tokens(inputs, 'weights')
    const { loss, metrics } = policyLoss(
      {
        ...{ logps: inputs.logps, entropy: inputs.entropy, weights },
        ...{ oldLogps: tokens(inputs, 'oldLogps'), advantages: tokens(inputs, 'advantages') },
        sequence: inputs.array('sequence', ['M'], 'i64'),
        lengths: inputs.array('lengths', ['S']),
      },
      options,
    )
    const value = vfCoef === undefined ? undefined : values(inputs, clip.value)
    const ratio = ratios(inputs)
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

/** Of a value model by itself. */
export const valueObjective = (clip: Clip): LossFunction => ({
  name: `value ${clip.value}`,
  stats: ['scores'],
  trace: (inputs) => values(inputs, clip.value),
})
