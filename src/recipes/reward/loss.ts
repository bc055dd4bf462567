/**
 * The objective of a reward model, traced from the scores at each response's last token. Peculiar: a prompt is one element
 * of the mean however many pairs its responses make (Ouyang et al. 2022), and all its responses stand in one packed tree.
 */

import { plackettLuce } from '../../objectives/plackettLuce.ts'
import { expectedReward, rankedWins } from '../../objectives/probabilisticReward.ts'
import { bestOfN, rankedAccuracy, rankedPairs } from '../../objectives/rewardLosses.ts'
import type { RewardKind } from '../../rewards/notes.ts'
import { mulDims } from '../../tensor/dim.ts'
import { type Tensor, zeros } from '../../tensor/tensor.ts'
import type { LossFunction, LossInputs } from '../../train/loss.ts'

type RewardObjective = {
  kind: RewardKind
  center: number
  labelSmoothing: number
  /** The batch has `prob` [B]. */
  prob: boolean
  /** The batch has `margins` [B, K], whose differences are by how much a response is to win. */
  margins: boolean
  /** The batch has `bias` [], which is added to every reward. */
  bias: boolean
}

/** Farther out than any reward. */
const far = 1e30

type Responses = {
  /** [B, K] rewards, best response first; of a distribution the expected score. */
  rewards: Tensor
  /** [B, K] 1 best, 0 no response, -1 unranked. */
  ranks: Tensor
  /** [B, K, N] of a distribution. */
  logits?: Tensor
  sigma?: Tensor
}

const repliesOf = (s: RewardObjective, { scores, array }: LossInputs): Responses => {
  const ranks = array('ranks', ['B', 'K'])
  const flat = scores.scatterAdd(array('sequence', ['M'], 'i64'), mulDims('B', 'K'))
  if (s.kind === 'probabilistic') {
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
  return { ranks, rewards: s.bias ? rewards.add(array('bias', [])) : rewards }
}

/** [B] nats. */
const lossesOf = (s: RewardObjective, { rewards, ranks, logits }: Responses, { array }: LossInputs): Tensor => {
  const { center, labelSmoothing } = s
  const prob = s.prob ? array('prob', ['B']) : undefined
  if (logits) return rankedWins(logits, ranks, { prob, labelSmoothing }).neg()
  if (s.kind === 'best-of-n')
    return bestOfN(rewards, zeros(['B'], 'i64'), ranks.eq(0).not()).add(centred(rewards, ranks, center))
  if (s.kind === 'plackett-luce') return plackettLuce(rewards, ranks).add(centred(rewards, ranks, center))
  const margins = s.margins ? array('margins', ranks.shape) : undefined
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
    min_reward: flat(far).neg().amax(0).neg(),
    mean_reward: mean(rewards),
    max_reward: flat(-far).amax(0),
    ...rankedAccuracy(rewards, ranks),
    ...(sigma && { sigma: mean(sigma) }),
  }
}

export const rewardObjective = (s: RewardObjective): LossFunction => ({
  name: `reward ${JSON.stringify(s)}`,
  stats: ['scores'],
  trace: (inputs) => {
    const responses = repliesOf(s, inputs)
    const loss = lossesOf(s, responses, inputs).sum().div(inputs.array('windowRows', []))
    return { loss, metrics: metricsOf(responses) }
  },
})
