/**
 * The objectives of reward models, traced from the scores at the last token of each response. A prompt is one element of the
 * mean however many pairs its responses make (Ouyang et al. 2022).
 */

import { plackettLuce } from '../../objectives/plackettLuce.ts'
import { expectedReward, rankedWins } from '../../objectives/probabilisticReward.ts'
import { bestOfN, rankedAccuracy, rankedPairs } from '../../objectives/rewardLosses.ts'
import type { RewardKind } from '../../rewards/notes.ts'
import { mulDims } from '../../tensor/dim.ts'
import { type Tensor, zeros } from '../../tensor/tensor.ts'
import type { LossFunction, LossInputs } from '../../train/loss.ts'

type RewardOptions = {
  kind: RewardKind
  /** Weight of the penalty that keeps the mean reward of a prompt near 0. */
  center: number
  labelSmoothing: number
  /** The batch has `prob` [B]. */
  prob: boolean
  /** The batch has `margins` [B, K], whose differences are by how much one response is to beat another. */
  margins: boolean
  /** The batch has `bias` [], which is added to every reward. */
  bias: boolean
}

/** Beyond any reward. */
const beyond = 1e30

type Responses = {
  /** [B, K] rewards, best response first; of a probabilistic head the expected score. */
  rewards: Tensor
  /** [B, K] 1 best, 0 no response, -1 unranked. */
  ranks: Tensor
  /** Of a probabilistic head: [B, K, N] logits over the scores, [B, K] standard deviation of the score. */
  logits?: Tensor
  sigma?: Tensor
}

const responsesOf = (options: RewardOptions, { scores, array }: LossInputs): Responses => {
  const ranks = array('ranks', ['B', 'K'])
  const flat = scores.scatterAdd(array('sequence', ['M'], 'i64'), mulDims('B', 'K'))
  if (options.kind === 'probabilistic') {
    const { reward, sigma } = expectedReward(flat)
    const N = scores.shape[1]
    return {
      ranks,
      rewards: reward.reshape(['B', 'K']),
      sigma: sigma.reshape(['B', 'K']),
      logits: flat.reshape(['B', 'K', N]),
    }
  }
  const rewards = flat.reshape(['B', 'K'])
  return { ranks, rewards: options.bias ? rewards.add(array('bias', [])) : rewards }
}

/** The loss of each prompt, [B] nats. */
const lossesOf = (options: RewardOptions, { rewards, ranks, logits }: Responses, { array }: LossInputs): Tensor => {
  const { center, labelSmoothing } = options
  const prob = options.prob ? array('prob', ['B']) : undefined
  if (logits) return rankedWins(logits, ranks, { prob, labelSmoothing }).neg()
  if (options.kind === 'best-of-n')
    return bestOfN(rewards, zeros(['B'], 'i64'), ranks.eq(0).not()).add(centred(rewards, ranks, center))
  if (options.kind === 'plackett-luce') return plackettLuce(rewards, ranks).add(centred(rewards, ranks, center))
  const margins = options.margins ? array('margins', ranks.shape) : undefined
  return rankedPairs(rewards, ranks, { center, labelSmoothing, margins, prob })
}

/** center (2 mean reward)^2, which for two responses is TRL's center (r_w + r_l)^2. */
const centred = (rewards: Tensor, ranks: Tensor, center: number): Tensor => {
  const present = ranks.eq(0).not()
  const mean = present.where(rewards, 0).sum(-1).div(present.cast('f32').sum(-1))
  return mean.square().mul(4 * center)
}

const metricsOf = ({ rewards, ranks, sigma }: Responses): Record<string, Tensor> => {
  const present = ranks.eq(0).not()
  const mean = (x: Tensor) => present.where(x, 0).sum().div(present.cast('f32').sum())
  const flat = (fill: number) => present.where(rewards, fill).reshape([mulDims(ranks.shape[0], ranks.shape[1])])
  return {
    min_reward: flat(beyond).neg().amax(0).neg(),
    mean_reward: mean(rewards),
    max_reward: flat(-beyond).amax(0),
    ...rankedAccuracy(rewards, ranks),
    ...(sigma && { sigma: mean(sigma) }),
  }
}

export const rewardObjective = (options: RewardOptions): LossFunction => ({
  name: `reward ${JSON.stringify(options)}`,
  stats: ['scores'],
  trace: (inputs) => {
    const responses = responsesOf(options, inputs)
    const loss = lossesOf(options, responses, inputs).sum().div(inputs.array('windowRows', []))
    return { loss, metrics: metricsOf(responses) }
  },
})
