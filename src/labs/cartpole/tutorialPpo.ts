/**
 * The PPO of the tutorial that this lab reproduces. It never learns, because of two faults, each of which can be switched
 * on and off here. After each episode it makes four epochs over it, in one environment, without a value network.
 *
 * 1. `resampled`: it samples new actions when it recomputes the log-probs. The ratio then compares the probabilities of two
 *    different actions, and the action that was played no longer matters.
 * 2. `crossed`: its log-probs have the shape [T, 1] and its advantages [T], so PyTorch broadcasts their product to [T, T] and
 *    multiplies every ratio with every advantage. Normalised advantages sum to 0, so within the clip range the gradient is 0.
 *
 * With both faults all that is left is a pull of ratios outside of 0.8 to 1.2 back into that range, whatever the reward, which
 * leads to a policy that tosses a coin.
 */
import { adamStep, makeAdam } from './adam.ts'
import { makeEnvs } from './env.ts'
import { addGradient, forward, hiddenSize, initNetwork, type Network } from './network.ts'
import { addLogProbGradient, clippedSurrogateGradient, logProb, sampleAction, uniforms } from './policy.ts'
import { type Episodes, episodeAdvantages, makeEpisodes, playEpisodes } from './reinforce.ts'
import type { Training } from './training.ts'

const tutorialSettings = { learningRate: 1e-2, clip: 0.2, epochs: 4 }

export type Faults = { resampled: boolean; crossed: boolean }

const hidden = new Float64Array(hiddenSize)
const logits = new Float64Array(2)
const dLogits = new Float64Array(2)

/**
 * The gradient by log r of mean_j min(r A_j, clip(r) A_j). Outside of the clip range only the advantages of one sign
 * contribute.
 */
const crossedSurrogateGradient = (ratio: number, advantages: readonly number[], clip: number): number => {
  let sum = 0
  for (const advantage of advantages) sum += clippedSurrogateGradient(ratio, advantage, clip)
  return sum / advantages.length
}

/**
 * Adds the gradient of the loss over one episode of T steps, the negative clipped objective.
 * @param logps [T] log-probs of the actions when they were played   @param advantages [T]
 * @param draw gives the random numbers of the new actions, where `resampled`
 */
export const addEpochGradient = (
  policy: Network,
  { states, actions }: Episodes,
  { logps, advantages }: { logps: Float64Array; advantages: readonly number[] },
  { resampled, crossed }: Faults,
  draw: () => number,
  gradient: Float64Array,
) => {
  const { clip } = tutorialSettings
  for (let t = 0; t < advantages.length; t++) {
    forward(policy, states, t, hidden, logits)
    const action = resampled ? sampleAction(logits, draw) : actions[t]
    const ratio = Math.exp(logProb(logits, action) - logps[t])
    const dLogRatio = crossed
      ? crossedSurrogateGradient(ratio, advantages, clip)
      : clippedSurrogateGradient(ratio, advantages[t], clip)
    dLogits.fill(0)
    addLogProbGradient(logits, action, -dLogRatio / advantages.length, dLogits)
    addGradient(policy, states, t, hidden, dLogits, gradient)
  }
}

export function* tutorialPpo({
  seed,
  episodes: total,
  ...faults
}: { seed: number; episodes: number } & Faults): Training {
  const { epochs, learningRate } = tutorialSettings
  const policy = initNetwork(2, seed, 1)
  const adam = makeAdam(policy.weights.length)
  const gradient = new Float64Array(policy.weights.length)
  const envs = makeEnvs(1, seed)
  const episodes = makeEpisodes(1)
  const draw = uniforms({ seed, stream: 2 })
  const redraw = uniforms({ seed, stream: 5 })
  for (let played = 0; played < total; played++) {
    playEpisodes(policy, envs, draw, episodes)
    const [length] = episodes.lengths
    const logps = Float64Array.from({ length }, (_, t) => {
      forward(policy, episodes.states, t, hidden, logits)
      return logProb(logits, episodes.actions[t])
    })
    const advantages = episodeAdvantages(length)
    for (let epoch = 0; epoch < epochs; epoch++) {
      addEpochGradient(policy, episodes, { logps, advantages }, faults, redraw, gradient)
      adamStep(adam, policy.weights, gradient, learningRate)
    }
    yield { policy, lengths: [length], steps: length }
  }
}
