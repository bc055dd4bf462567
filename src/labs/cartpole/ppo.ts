/**
 * PPO with the clipped objective (Schulman et al. 2017, equation 7), a value network and GAE (Schulman et al. 2016). The
 * actions that were played are stored, and the new policy's log-probs are those of the same actions. An episode that was
 * truncated at 500 steps did not fail, so its last reward gets gamma V(last state) on top.
 */
import { gae, normalizedReturns } from '../../objectives/returns.ts'
import { permutation, rng } from '../../util/rng.ts'
import { adamStep, clipNorm, makeAdam } from './adam.ts'
import { type Envs, makeEnvs, resetEnv, running, stateSize, stepEnv, truncated } from './env.ts'
import { addGradient, forward, hiddenSize, initNetwork, type Network } from './network.ts'
import {
  addEntropyGradient,
  addLogProbGradient,
  clippedSurrogateGradient,
  logProb,
  sampleAction,
  uniforms,
} from './policy.ts'
import type { Training } from './training.ts'

export const ppoSettings = {
  /** Steps of each environment between two updates. */
  horizon: 128,
  epochs: 8,
  minibatch: 256,
  learningRate: 3e-3,
  gamma: 0.99,
  lambda: 0.95,
  clip: 0.2,
  entropy: 0.005,
  maxGradNorm: 0.5,
}

/** T steps of E environments; row t * E + i is step t of environment i. */
export type RolloutBuffer = {
  states: Float64Array
  actions: Uint8Array
  logps: Float64Array
  values: Float64Array
  rewards: Float64Array
  dones: Uint8Array
}

export const makeRolloutBuffer = (rows: number): RolloutBuffer => ({
  states: new Float64Array(rows * stateSize),
  actions: new Uint8Array(rows),
  logps: new Float64Array(rows),
  values: new Float64Array(rows),
  rewards: new Float64Array(rows),
  dones: new Uint8Array(rows),
})

// Scratch space of one forward and backward pass
const hidden = new Float64Array(hiddenSize)
const logits = new Float64Array(2)
const value = new Float64Array(1)
const dLogits = new Float64Array(2)
const dValue = new Float64Array(1)

type Agent = { policy: Network; critic: Network }

const predictValue = (critic: Network, states: Float64Array, row: number): number => {
  forward(critic, states, row, hidden, value)
  return value[0]
}

/** Fills the buffer with T steps of every environment. @returns the lengths of the episodes that ended */
const collectRollout = ({ policy, critic }: Agent, envs: Envs, draw: () => number, buffer: RolloutBuffer): number[] => {
  const { states, actions, logps, values, rewards, dones } = buffer
  const lengths: number[] = []
  for (let row = 0; row < actions.length; row++) {
    const i = row % envs.count
    for (let d = 0; d < stateSize; d++) states[row * stateSize + d] = envs.states[i * stateSize + d]
    values[row] = predictValue(critic, states, row)
    forward(policy, states, row, hidden, logits)
    actions[row] = sampleAction(logits, draw)
    logps[row] = logProb(logits, actions[row])
    const outcome = stepEnv(envs, i, actions[row])
    dones[row] = outcome === running ? 0 : 1
    rewards[row] = outcome === truncated ? 1 + ppoSettings.gamma * predictValue(critic, envs.states, i) : 1
    if (outcome === running) continue
    lengths.push(envs.ages[i])
    resetEnv(envs, i)
  }
  return lengths
}

/** @returns the advantages of GAE and the returns they imply, by row */
const advantagesOf = ({ values, rewards, dones }: RolloutBuffer, critic: Network, envs: Envs) => {
  const advantages: number[] = []
  const returns: number[] = []
  for (let i = 0; i < envs.count; i++) {
    /** The values of environment i alone, in time. */
    const ofEnv = <T>(all: Iterable<T>) => Array.from(all).filter((_, row) => row % envs.count === i)
    const done = ofEnv(dones).map((x) => x === 1)
    const lastValue = predictValue(critic, envs.states, i)
    const estimate = gae(ofEnv(rewards), ofEnv(values), { ...ppoSettings, done, lastValue })
    estimate.advantages.forEach((advantage, t) => {
      advantages[t * envs.count + i] = advantage
      returns[t * envs.count + i] = estimate.returns[t]
    })
  }
  return { advantages, returns }
}

/**
 * Adds the gradients of one row's part of the loss: the clipped objective less the entropy bonus for the policy, half the
 * squared error for the value network.
 * @param weight 1 / rows of the minibatch
 */
export const addRow = (
  { policy, critic }: Agent,
  { states, actions, logps }: RolloutBuffer,
  row: number,
  { advantage, target, weight }: { advantage: number; target: number; weight: number },
  gradients: { policy: Float64Array; critic: Float64Array },
) => {
  forward(policy, states, row, hidden, logits)
  const ratio = Math.exp(logProb(logits, actions[row]) - logps[row])
  dLogits.fill(0)
  addLogProbGradient(
    logits,
    actions[row],
    -weight * clippedSurrogateGradient(ratio, advantage, ppoSettings.clip),
    dLogits,
  )
  addEntropyGradient(logits, -weight * ppoSettings.entropy, dLogits)
  addGradient(policy, states, row, hidden, dLogits, gradients.policy)
  dValue[0] = weight * (predictValue(critic, states, row) - target)
  addGradient(critic, states, row, hidden, dValue, gradients.critic)
}

const optimizerOf = ({ weights }: Network) => ({
  weights,
  adam: makeAdam(weights.length),
  gradient: new Float64Array(weights.length),
})

/** Trains for this many steps of the environment, those of all `envs` environments together. */
export function* ppo({ seed, envs: count, steps }: { seed: number; envs: number; steps: number }): Training {
  const { horizon, epochs, minibatch, learningRate, maxGradNorm } = ppoSettings
  const agent = { policy: initNetwork(2, seed, 1), critic: initNetwork(1, seed, 3) }
  const policyOptimizer = optimizerOf(agent.policy)
  const criticOptimizer = optimizerOf(agent.critic)
  const gradients = { policy: policyOptimizer.gradient, critic: criticOptimizer.gradient }
  const envs = makeEnvs(count, seed)
  const draw = uniforms({ seed, stream: 2 })
  const rows = count * horizon
  const buffer = makeRolloutBuffer(rows)
  const updates = Math.ceil(steps / rows)
  for (let update = 0; update < updates; update++) {
    const lengths = collectRollout(agent, envs, draw, buffer)
    const { advantages, returns } = advantagesOf(buffer, agent.critic, envs)
    const normalized = normalizedReturns(advantages)
    const annealedRate = learningRate * (1 - update / updates)
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = permutation(rows, rng(seed, 4, update * epochs + epoch))
      for (let from = 0; from < rows; from += minibatch) {
        const batch = order.subarray(from, from + minibatch)
        const weight = 1 / batch.length
        for (const row of batch)
          addRow(agent, buffer, row, { advantage: normalized[row], target: returns[row], weight }, gradients)
        for (const { weights, adam, gradient } of [policyOptimizer, criticOptimizer]) {
          clipNorm(gradient, maxGradNorm)
          adamStep(adam, weights, gradient, annealedRate)
        }
      }
    }
    yield { policy: agent.policy, lengths, steps: rows }
  }
}
