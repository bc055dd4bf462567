/**
 * Discounted returns and generalised advantage estimation along one episode: a run of a game, or the tokens of a
 * completion.
 */
import { deviation, mean } from '../statistics/summary.ts'

/** G_t = sum_{s >= t} gamma^(s - t) r_s. */
export const discountedReturns = (rewards: readonly number[], gamma: number): number[] => {
  const returns: number[] = new Array(rewards.length)
  let after = 0
  for (let t = rewards.length - 1; t >= 0; t--) returns[t] = after = rewards[t] + gamma * after
  return returns
}

/** (G - mean) / (std + 1e-9), std with n - 1. */
export const normalizedReturns = (returns: readonly number[]): number[] => {
  const centre = mean(returns)
  const spread = deviation(returns) + 1e-9
  return returns.map((g) => (g - centre) / spread)
}

export type GaeOptions = {
  gamma: number
  lambda: number
  /** True where the episode ended after step t: what follows belongs to another. */
  done?: readonly boolean[]
  /** V after the last step; 0 where the episode ended there. */
  lastValue?: number
}

/**
 * Generalised advantage estimation (arXiv 1506.02438, eq. 16): delta_t = r_t + gamma V_{t+1} - V_t,
 * A_t = delta_t + gamma lambda A_{t+1}; returns = A + V, what the value function is to learn.
 * @param rewards [T]   @param values [T]
 */
export const gae = (
  rewards: readonly number[],
  values: readonly number[],
  { gamma, lambda, done, lastValue = 0 }: GaeOptions,
): { advantages: number[]; returns: number[] } => {
  const advantages: number[] = new Array(rewards.length)
  let [nextValue, nextAdvantage] = [lastValue, 0]
  for (let t = rewards.length - 1; t >= 0; t--) {
    const on = done?.[t] ? 0 : 1
    const delta = rewards[t] + gamma * nextValue * on - values[t]
    nextAdvantage = advantages[t] = delta + gamma * lambda * nextAdvantage * on
    nextValue = values[t]
  }
  return { advantages, returns: advantages.map((a, t) => a + values[t]) }
}
