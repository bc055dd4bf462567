/**
 * The notebook's PPO, which never learns, with its two faults one by one: after each episode four epochs over it, one
 * pole, no value network. Peculiar: the faults are kept on purpose.
 *
 * 1. `resampled`: it recomputes log-probs of actions that are drawn anew. The ratio then compares the chance of one action
 *    with the chance of another, and nothing says any more which action was played.
 * 2. `crossed`: its log-probs are [T, 1] and its advantages [T], so PyTorch multiplies every ratio with every advantage
 *    of the episode, [T, T]. Normalised advantages sum to 0, so within the clip range the gradient is exactly 0.
 *
 * Left of both is a force that draws any ratio outside of 0.8 to 1.2 back into it, whatever the reward: towards a coin.
 */
import { adamStep, makeAdam } from './adam.ts'
import { addGradient, forward, hiddenSize, initNetwork, type Network } from './network.ts'
import { makePoles } from './physics.ts'
import { addLogProbabilitySlope, clippedSlope, drawAction, logProbability, uniforms } from './policy.ts'
import { episodeAdvantages, makeRollout, playEpisodes, type Rollout } from './reinforce.ts'
import type { Training } from './training.ts'

const notebookSettings = { learningRate: 1e-2, clip: 0.2, epochs: 4 }

export type Faults = { resampled: boolean; crossed: boolean }

const hidden = new Float64Array(hiddenSize)
const logits = new Float64Array(2)
const slope = new Float64Array(2)

/** d/d log r of sum_j min(r A_j, clip(r) A_j): outside of the range only the advantages of one sign are left. */
const crossedSlope = (ratio: number, advantages: readonly number[], clip: number): number => {
  let sum = 0
  for (const advantage of advantages) sum += clippedSlope(ratio, advantage, clip)
  return sum / advantages.length
}

/** Adds the gradient of one epoch over the episode. @param logps [T] of the actions that were played */
export const addEpoch = (
  policy: Network,
  { states, actions }: Rollout,
  { logps, advantages }: { logps: Float64Array; advantages: readonly number[] },
  { resampled, crossed }: Faults,
  draw: () => number,
  gradient: Float64Array,
) => {
  const { clip } = notebookSettings
  for (let t = 0; t < advantages.length; t++) {
    forward(policy, states, t, hidden, logits)
    const action = resampled ? drawAction(logits, draw) : actions[t]
    const ratio = Math.exp(logProbability(logits, action) - logps[t])
    const pull = crossed ? crossedSlope(ratio, advantages, clip) : clippedSlope(ratio, advantages[t], clip)
    slope.fill(0)
    addLogProbabilitySlope(logits, action, -pull / advantages.length, slope)
    addGradient(policy, states, t, hidden, slope, gradient)
  }
}

export function* notebookPpo({ seed, episodes, ...faults }: { seed: number; episodes: number } & Faults): Training {
  const { epochs, learningRate } = notebookSettings
  const policy = initNetwork(2, seed, 1)
  const adam = makeAdam(policy.weights.length)
  const gradient = new Float64Array(policy.weights.length)
  const poles = makePoles(1, seed)
  const rollout = makeRollout(1)
  const draw = uniforms({ seed, stream: 2 })
  const redraw = uniforms({ seed, stream: 5 })
  for (let played = 0; played < episodes; played++) {
    playEpisodes(policy, poles, draw, rollout)
    const [length] = rollout.lengths
    const logps = Float64Array.from({ length }, (_, t) => {
      forward(policy, rollout.states, t, hidden, logits)
      return logProbability(logits, rollout.actions[t])
    })
    const advantages = episodeAdvantages(length)
    for (let epoch = 0; epoch < epochs; epoch++) {
      addEpoch(policy, rollout, { logps, advantages }, faults, redraw, gradient)
      adamStep(adam, policy.weights, gradient, learningRate)
    }
    yield { policy, lengths: [length], steps: length }
  }
}
