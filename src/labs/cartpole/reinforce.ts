/**
 * REINFORCE (Williams 1992) as in the tutorial that this lab reproduces: after each episode one step of Adam on
 * -sum_t A_t log pi(a_t | s_t), where A are the episode's discounted returns, normalised to mean 0 and deviation 1. With
 * several environments an update uses one episode of each; with one it is exactly the tutorial's loop.
 */
import { discountedReturns, normalizedReturns } from '../../objectives/returns.ts'
import { adamStep, makeAdam } from './adam.ts'
import { type Envs, makeEnvs, maxEpisodeSteps, resetEnv, running, stateSize, stepEnv } from './env.ts'
import { addGradient, forward, hiddenSize, initNetwork, type Network } from './network.ts'
import { addLogProbGradient, sampleAction, uniforms } from './policy.ts'
import type { Training } from './training.ts'

const reinforceSettings = { learningRate: 1e-2, gamma: 0.99 }

/** One episode of each environment; row i * 500 + t is step t of environment i. */
export type Episodes = { states: Float64Array; actions: Uint8Array; lengths: Int32Array }

export const makeEpisodes = (count: number): Episodes => ({
  states: new Float64Array(count * maxEpisodeSteps * stateSize),
  actions: new Uint8Array(count * maxEpisodeSteps),
  lengths: new Int32Array(count),
})

const hidden = new Float64Array(hiddenSize)
const logits = new Float64Array(2)
const dLogits = new Float64Array(2)

/** Plays one episode in every environment, then resets all of them. */
export const playEpisodes = (policy: Network, envs: Envs, draw: () => number, episodes: Episodes) => {
  const { states, actions, lengths } = episodes
  const active = Array.from({ length: envs.count }, (_, i) => i)
  for (let t = 0; active.length; t++)
    for (let k = active.length - 1; k >= 0; k--) {
      const i = active[k]
      const row = i * maxEpisodeSteps + t
      for (let d = 0; d < stateSize; d++) states[row * stateSize + d] = envs.states[i * stateSize + d]
      forward(policy, envs.states, i, hidden, logits)
      actions[row] = sampleAction(logits, draw)
      if (stepEnv(envs, i, actions[row]) === running) continue
      lengths[i] = t + 1
      active.splice(k, 1)
    }
  for (let i = 0; i < envs.count; i++) resetEnv(envs, i)
}

/** Adds the gradient of -sum_t advantages_t log pi(a_t | s_t) over the episode of environment i. */
export const addPolicyGradient = (
  policy: Network,
  { states, actions }: Episodes,
  i: number,
  advantages: ArrayLike<number>,
  gradient: Float64Array,
) => {
  for (let t = 0; t < advantages.length; t++) {
    const row = i * maxEpisodeSteps + t
    forward(policy, states, row, hidden, logits)
    dLogits.fill(0)
    addLogProbGradient(logits, actions[row], -advantages[t], dLogits)
    addGradient(policy, states, row, hidden, dLogits, gradient)
  }
}

/** [length]: the discounted returns of a reward of 1 a step, normalised over the episode. */
export const episodeAdvantages = (length: number): number[] =>
  normalizedReturns(discountedReturns(new Array<number>(length).fill(1), reinforceSettings.gamma))

/** Trains until this many episodes were played, in `envs` environments together. */
export function* reinforce({
  seed,
  envs: count,
  episodes: total,
}: {
  seed: number
  envs: number
  episodes: number
}): Training {
  const policy = initNetwork(2, seed, 1)
  const adam = makeAdam(policy.weights.length)
  const gradient = new Float64Array(policy.weights.length)
  const envs = makeEnvs(count, seed)
  const episodes = makeEpisodes(count)
  const draw = uniforms({ seed, stream: 2 })
  for (let played = 0; played < total; played += count) {
    playEpisodes(policy, envs, draw, episodes)
    episodes.lengths.forEach((length, i) => {
      addPolicyGradient(policy, episodes, i, episodeAdvantages(length), gradient)
    })
    adamStep(adam, policy.weights, gradient, reinforceSettings.learningRate)
    const lengths = [...episodes.lengths]
    yield { policy, lengths, steps: lengths.reduce((a, b) => a + b) }
  }
}
