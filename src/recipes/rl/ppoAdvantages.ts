/**
 * PPO's credit: rewards of tokens (KL on each, the score on the last real one), advantages by GAE, whitened over the tokens
 * that count. Peculiar: a sample whose reward failed is in no mean and no deviation.
 */

import { whiten } from '../../objectives/advantages.ts'
import { adaptedKl, type KlEstimator, tokenRewards } from '../../objectives/kl.ts'
import { gae } from '../../objectives/returns.ts'
import type { Model } from '../../passes/model.ts'
import { mean } from '../../statistics/summary.ts'
import type { Credited, Experience, State } from './experience.ts'
import { sampleStats } from './sampleStats.ts'

export type CreditSettings = {
  klCoef: number
  klEstimator: KlEstimator
  klTarget?: number
  klHorizon: number
  gamma: number
  lam: number
  whitenRewards: boolean
}

/** @param critic whose values count; left out: those of the policy's own head */
export const tokenCredit = async (
  settings: CreditSettings,
  { rollout, scored, counts, oldLogps, refLogps, values: own }: Experience,
  state: State,
  critic: Model | undefined,
): Promise<Credited> => {
  const values = critic ? (await sampleStats(critic, rollout, ['scores'], {})).scores : own!
  const beta = (state.klCoef as number | undefined) ?? settings.klCoef
  const each = scored.rewards.map((score, i) =>
    tokenRewards(
      { logps: oldLogps![i], refLogps: refLogps![i], score: counts[i] ? score : 0 },
      { beta, estimator: settings.klEstimator },
    ),
  )
  const { advantages, returns } = estimated(
    settings,
    each.map(({ rewards }) => rewards),
    values,
    counts,
  )
  const counted = each.filter((_, i) => counts[i])
  const kl = mean(counted.map((reply) => reply.kl))
  const { klTarget: target, klHorizon: horizon } = settings
  const adapted = target === undefined ? beta : adaptedKl(beta, kl, counted.length, { target, horizon })
  const nonScore = mean(counted.map((reply) => reply.nonScore))
  const score = mean(scored.rewards.filter((_, i) => counts[i]))
  return {
    columns: { advantages, returns, oldLogps: oldLogps!, oldValues: values },
    state: { ...state, klCoef: adapted },
    measures: {
      'objective/kl': kl,
      'objective/entropy': -mean(oldLogps!.filter((_, i) => counts[i]).map(total)),
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
  { gamma, lam: lambda, whitenRewards }: CreditSettings,
  rewards: readonly number[][],
  values: readonly number[][],
  counts: readonly boolean[],
) => {
  const mask = rewards.map((row, i) => row.map(() => Number(counts[i])))
  const scaled = whitenRewards ? whiten(rewards, { mask, keepMean: true }) : rewards
  const each = scaled.map((row, i) => gae(row, values[i], { gamma, lambda }))
  const advantages = whiten(
    each.map((row) => row.advantages),
    { mask },
  )
  return { advantages, returns: each.map((row) => row.returns) }
}
