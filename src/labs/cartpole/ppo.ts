/**
 * PPO with a clipped objective (Schulman et al. 2017, equation 7) done right: the actions that were played are stored, and
 * their log-probabilities recomputed; advantages are GAE's (Schulman et al. 2016), from a value network of its own.
 * Peculiar: an episode that was cut at 500 steps did not fail, so its last reward is given gamma V(last state).
 */
import { gae, normalizedReturns } from '../../objectives/returns.ts'
import { permutation, rng } from '../../util/rng.ts'
import { adamStep, clipNorm, makeAdam } from './adam.ts'
import { addGradient, forward, hiddenSize, initNetwork, type Network } from './network.ts'
import { cut, makePoles, type Poles, resetPole, running, stateSize, stepPole } from './physics.ts'
import {
  addEntropySlope,
  addLogProbabilitySlope,
  clippedSlope,
  drawAction,
  logProbability,
  uniforms,
} from './policy.ts'
import type { Training } from './training.ts'

export const ppoSettings = {
  /** Steps of each pole between two updates. */
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

/** Steps of E poles over T steps; row t * E + i is pole i's step t. */
export type Batch = {
  states: Float64Array
  actions: Uint8Array
  logps: Float64Array
  values: Float64Array
  rewards: Float64Array
  dones: Uint8Array
}

export const makeBatch = (rows: number): Batch => ({
  states: new Float64Array(rows * stateSize),
  actions: new Uint8Array(rows),
  ...{ logps: new Float64Array(rows), values: new Float64Array(rows), rewards: new Float64Array(rows) },
  dones: new Uint8Array(rows),
})

const hidden = new Float64Array(hiddenSize)
const logits = new Float64Array(2)
const value = new Float64Array(1)
const slope = new Float64Array(2)

type Agent = { policy: Network; critic: Network }

const worth = (critic: Network, states: Float64Array, row: number): number => {
  forward(critic, states, row, hidden, value)
  return value[0]
}

/** Plays T steps with every pole into the batch. @returns the lengths of the episodes that ended */
const collect = ({ policy, critic }: Agent, poles: Poles, draw: () => number, batch: Batch): number[] => {
  const { states, actions, logps, values, rewards, dones } = batch
  const lengths: number[] = []
  for (let row = 0; row < actions.length; row++) {
    const i = row % poles.count
    for (let d = 0; d < stateSize; d++) states[row * stateSize + d] = poles.states[i * stateSize + d]
    values[row] = worth(critic, states, row)
    forward(policy, states, row, hidden, logits)
    actions[row] = drawAction(logits, draw)
    logps[row] = logProbability(logits, actions[row])
    const outcome = stepPole(poles, i, actions[row])
    dones[row] = outcome === running ? 0 : 1
    rewards[row] = outcome === cut ? 1 + ppoSettings.gamma * worth(critic, poles.states, i) : 1
    if (outcome === running) continue
    lengths.push(poles.ages[i])
    resetPole(poles, i)
  }
  return lengths
}

/** @returns GAE's advantages and the returns they imply, by row */
const advantagesOf = ({ values, rewards, dones }: Batch, critic: Network, poles: Poles) => {
  const [advantages, returns]: number[][] = [[], []]
  for (let i = 0; i < poles.count; i++) {
    // Of pole i alone, in time
    const own = <T>(all: Iterable<T>) => Array.from(all).filter((_, row) => row % poles.count === i)
    const done = own(dones).map((x) => x === 1)
    const lastValue = worth(critic, poles.states, i)
    const found = gae(own(rewards), own(values), { ...ppoSettings, done, lastValue })
    found.advantages.forEach((a, t) => {
      advantages[t * poles.count + i] = a
      returns[t * poles.count + i] = found.returns[t]
    })
  }
  return { advantages, returns }
}

/** Adds the gradients of one row's part of the loss: clipped policy, less entropy; half the squared error of the value. */
export const addRow = (
  { policy, critic }: Agent,
  { states, actions, logps }: Batch,
  row: number,
  { advantage, target, share }: { advantage: number; target: number; share: number },
  gradients: { policy: Float64Array; critic: Float64Array },
) => {
  forward(policy, states, row, hidden, logits)
  const ratio = Math.exp(logProbability(logits, actions[row]) - logps[row])
  slope.fill(0)
  addLogProbabilitySlope(logits, actions[row], -share * clippedSlope(ratio, advantage, ppoSettings.clip), slope)
  addEntropySlope(logits, -share * ppoSettings.entropy, slope)
  addGradient(policy, states, row, hidden, slope, gradients.policy)
  slope[0] = share * (worth(critic, states, row) - target)
  addGradient(critic, states, row, hidden, slope, gradients.critic)
}

/** Trains for this many steps of the environment, all poles together. */
export function* ppo({ seed, envs, steps }: { seed: number; envs: number; steps: number }): Training {
  const { horizon, epochs, minibatch, learningRate, maxGradNorm } = ppoSettings
  const agent = { policy: initNetwork(2, seed, 1), critic: initNetwork(1, seed, 3) }
  const sides = (['policy', 'critic'] as const).map((side) => {
    const { weights } = agent[side]
    return { side, weights, adam: makeAdam(weights.length), gradient: new Float64Array(weights.length) }
  })
  const gradients = { policy: sides[0].gradient, critic: sides[1].gradient }
  const poles = makePoles(envs, seed)
  const draw = uniforms({ seed, stream: 2 })
  const rows = envs * horizon
  const batch = makeBatch(rows)
  const updates = Math.ceil(steps / rows)
  for (let update = 0; update < updates; update++) {
    const lengths = collect(agent, poles, draw, batch)
    const { advantages, returns } = advantagesOf(batch, agent.critic, poles)
    const scaled = normalizedReturns(advantages)
    const rate = learningRate * (1 - update / updates)
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = permutation(rows, rng(seed, 4, update * epochs + epoch))
      for (let from = 0; from < rows; from += minibatch) {
        const part = order.subarray(from, from + minibatch)
        const share = 1 / part.length
        for (const row of part)
          addRow(agent, batch, row, { advantage: scaled[row], target: returns[row], share }, gradients)
        for (const { weights, adam, gradient } of sides) {
          clipNorm(gradient, maxGradNorm)
          adamStep(adam, weights, gradient, rate)
        }
      }
    }
    yield { policy: agent.policy, lengths, steps: rows }
  }
}
