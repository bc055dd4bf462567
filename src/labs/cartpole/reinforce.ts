/**
 * REINFORCE (Williams 1992) as the notebook has it: after each episode one step of Adam on -sum_t A_t log pi(a_t | s_t),
 * where A are the episode's discounted returns less their mean, over their standard deviation. Peculiar: with several
 * poles an update takes one episode of each; with one it is the notebook's loop exactly.
 */
import { discountedReturns, normalizedReturns } from '../../objectives/returns.ts'
import { adamStep, makeAdam } from './adam.ts'
import { addGradient, forward, hiddenSize, initNetwork, type Network } from './network.ts'
import { makePoles, mostSteps, type Poles, resetPole, running, stateSize, stepPole } from './physics.ts'
import { addLogProbabilitySlope, drawAction, uniforms } from './policy.ts'
import type { Training } from './training.ts'

const reinforceSettings = { learningRate: 1e-2, gamma: 0.99 }

/** Episodes as they were played: pole i's step t is row i * 500 + t. */
export type Rollout = { states: Float64Array; actions: Uint8Array; lengths: Int32Array }

export const makeRollout = (count: number): Rollout => ({
  states: new Float64Array(count * mostSteps * stateSize),
  actions: new Uint8Array(count * mostSteps),
  lengths: new Int32Array(count),
})

const hidden = new Float64Array(hiddenSize)
const logits = new Float64Array(2)
const slope = new Float64Array(2)

/** One episode of every pole; poles that are done wait for the last, then all begin anew. */
export const playEpisodes = (policy: Network, poles: Poles, draw: () => number, rollout: Rollout) => {
  const { states, actions, lengths } = rollout
  const active = Array.from({ length: poles.count }, (_, i) => i)
  for (let t = 0; active.length; t++)
    for (let k = active.length - 1; k >= 0; k--) {
      const i = active[k]
      const row = i * mostSteps + t
      for (let d = 0; d < stateSize; d++) states[row * stateSize + d] = poles.states[i * stateSize + d]
      forward(policy, poles.states, i, hidden, logits)
      actions[row] = drawAction(logits, draw)
      if (stepPole(poles, i, actions[row]) === running) continue
      lengths[i] = t + 1
      active.splice(k, 1)
    }
  for (let i = 0; i < poles.count; i++) resetPole(poles, i)
}

/** Adds the gradient of -sum_t advantages_t log pi(a_t | s_t) over pole i's episode. */
export const addPolicyGradient = (
  policy: Network,
  { states, actions }: Rollout,
  i: number,
  advantages: ArrayLike<number>,
  gradient: Float64Array,
) => {
  for (let t = 0; t < advantages.length; t++) {
    const row = i * mostSteps + t
    forward(policy, states, row, hidden, logits)
    slope.fill(0)
    addLogProbabilitySlope(logits, actions[row], -advantages[t], slope)
    addGradient(policy, states, row, hidden, slope, gradient)
  }
}

/** [length]: discounted returns of a reward of 1 a step, normalised over the episode. */
export const episodeAdvantages = (length: number): number[] =>
  normalizedReturns(discountedReturns(new Array<number>(length).fill(1), reinforceSettings.gamma))

/** Trains until this many episodes were played; hands each update's episodes over. */
export function* reinforce({ seed, envs, episodes }: { seed: number; envs: number; episodes: number }): Training {
  const policy = initNetwork(2, seed, 1)
  const adam = makeAdam(policy.weights.length)
  const gradient = new Float64Array(policy.weights.length)
  const poles = makePoles(envs, seed)
  const rollout = makeRollout(envs)
  const draw = uniforms({ seed, stream: 2 })
  for (let played = 0; played < episodes; played += envs) {
    playEpisodes(policy, poles, draw, rollout)
    rollout.lengths.forEach((length, i) => {
      addPolicyGradient(policy, rollout, i, episodeAdvantages(length), gradient)
    })
    adamStep(adam, policy.weights, gradient, reinforceSettings.learningRate)
    const lengths = [...rollout.lengths]
    yield { policy, lengths, steps: lengths.reduce((a, b) => a + b) }
  }
}
