/**
 * PPO's advantages: rewards of tokens (the KL penalty on each, the score on the last), generalised advantage estimation
 * (arXiv 1506.02438), and whitening over the tokens that count. A sample whose reward failed enters no mean or deviation.
 */

import { whiten } from '../../objectives/advantages.ts'
import { adaptedKl, type KlEstimator, tokenRewards } from '../../objectives/kl.ts'
import { gae } from '../../objectives/returns.ts'
import type { Model } from '../../passes/model.ts'
import { mean, sum } from '../../statistics/summary.ts'
import { sampleStats } from './logps.ts'
import type { ComputedAdvantages, Experience, MethodState } from './method.ts'

export type PpoSettings = {
  klCoef: number
  klEstimator: KlEstimator
  klTarget?: number
  klHorizon: number
  gamma: number
  lam: number
  whitenRewards: boolean
}

/** @param valueModel gives the values; left out: the value head of the policy does */
export const ppoAdvantages = async (
  { klCoef, klEstimator, klTarget, klHorizon, gamma, lam, whitenRewards }: PpoSettings,
  { rollout, rewards: scores, mask, oldLogps, refLogps, values: ownValues }: Experience,
  state: MethodState,
  valueModel: Model | undefined,
): Promise<ComputedAdvantages> => {
  const counted = <T>(values: readonly T[]): T[] => values.filter((_, i) => mask[i])
  // rewards of tokens
  const beta = (state.klCoef as number | undefined) ?? klCoef
  const shaped = scores.map((score, i) =>
    tokenRewards(
      { logps: oldLogps![i], refLogps: refLogps![i], score: mask[i] ? score : 0 },
      { beta, estimator: klEstimator },
    ),
  )
  const tokenMask = shaped.map(({ rewards }, i) => rewards.map(() => Number(mask[i])))
  const plainRewards = shaped.map(({ rewards }) => rewards)
  const rewards = whitenRewards ? whiten(plainRewards, { mask: tokenMask, keepMean: true }) : plainRewards
  // values, advantages
  const values = valueModel ? (await sampleStats(valueModel, rollout, ['scores'], {})).scores : ownValues!
  const estimated = rewards.map((row, i) => gae(row, values[i], { gamma, lambda: lam }))
  const advantages = whiten(
    estimated.map((sample) => sample.advantages),
    { mask: tokenMask },
  )
  const returns = estimated.map((sample) => sample.returns)
  // the KL coefficient of the next rollout
  const kl = mean(counted(shaped).map((sample) => sample.kl))
  const nextKlCoef =
    klTarget === undefined
      ? beta
      : adaptedKl(beta, kl, counted(shaped).length, { target: klTarget, horizon: klHorizon })
  const nonScore = mean(counted(shaped).map((sample) => sample.nonScore))
  const score = mean(counted(scores))
  return {
    columns: { advantages, returns, oldLogps: oldLogps!, oldValues: values },
    state: { klCoef: nextKlCoef },
    metrics: {
      'objective/kl': kl,
      'objective/entropy': -mean(counted(oldLogps!).map(sum)),
      'objective/non_score_reward': nonScore,
      'objective/rlhf_reward': score + nonScore,
      'objective/scores': score,
      ...(klTarget !== undefined && { kl_coef: beta }),
    },
  }
}
