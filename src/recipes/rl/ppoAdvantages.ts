/**
 * PPO's credit: rewards of tokens (KL on each, the score on the last real one), advantages by GAE, whitened over the tokens
 * that count. Peculiar: a sample whose reward failed is in no mean and no deviation.
 */

import { whiten } from '../../objectives/advantages.ts'
import { adaptedKl, type KlEstimator, tokenRewards } from '../../objectives/kl.ts'
import { gae } from '../../objectives/returns.ts'
import type { Model } from '../../passes/model.ts'
import { mean } from '../../statistics/summary.ts'
import type { AdvantageColumns, Experience, MethodState } from './experience.ts'
import { sampleStats } from './sampleStats.ts'

export type PpoSettings = {
  klCoef: number
  klEstimator: KlEstimator
  klTarget?: number
  klHorizon: number
  gamma: number
  lam: number
  whitenRewards: boolean
}

/** @param critic whose values count; left out: those of the policy's own head */
export const ppoAdvantages = async (
  settings: PpoSettings,
  { rollout, scored, mask, oldLogps, refLogps, values: own }: Experience,
  state: MethodState,
  critic: Model | undefined,
): Promise<AdvantageColumns> => {
  const values = critic ? (await sampleStats(critic, rollout, ['scores'], {})).scores : own!
  const beta = (state.klCoef as number | undefined) ?? settings.klCoef
  const each = scored.rewards.map((score, i) =>
    tokenRewards(
      { logps: oldLogps![i], refLogps: refLogps![i], score: mask[i] ? score : 0 },
      { beta, estimator: settings.klEstimator },
    ),
  )
  const { advantages, returns } = estimated(
    settings,
    each.map(({ rewards }) => rewards),
    values,
    mask,
  )
  const counted = each.filter((_, i) => mask[i])
  const kl = mean(counted.map((response) => response.kl))
  const { klTarget: target, klHorizon: horizon } = settings
  const adapted = target === undefined ? beta : adaptedKl(beta, kl, counted.length, { target, horizon })
  const nonScore = mean(counted.map((response) => response.nonScore))
  const score = mean(scored.rewards.filter((_, i) => mask[i]))
  return {
    columns: { advantages, returns, oldLogps: oldLogps!, oldValues: values },
    state: { ...state, klCoef: adapted },
    measures: {
      'objective/kl': kl,
      'objective/entropy': -mean(oldLogps!.filter((_, i) => mask[i]).map(total)),
      'objective/non_score_reward': nonScore,
      'objective/rlhf_reward': score + nonScore,
      'objective/scores': score,
      ...(target !== undefined && { kl_coef: beta }),
    },
  }
}

const total = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)

/** Per sample and token; 0 where a sample does not count. */
const estimated = (
  { gamma, lam: lambda, whitenRewards }: PpoSettings,
  rewards: readonly number[][],
  values: readonly number[][],
  mask: readonly boolean[],
) => {
  const tokenMask = rewards.map((row, i) => row.map(() => Number(mask[i])))
  const scaled = whitenRewards ? whiten(rewards, { mask: tokenMask, keepMean: true }) : rewards
  const each = scaled.map((row, i) => gae(row, values[i], { gamma, lambda }))
  const advantages = whiten(
    each.map((row) => row.advantages),
    { mask: tokenMask },
  )
  return { advantages, returns: each.map((row) => row.returns) }
}
