/** The hand-written gradients of the updates, compared with the engine's own (through the interpreter). */
import { describe, expect, it } from 'vitest'
import { type PolicyOptions, policyLoss } from '../../objectives/policyGradient.ts'
import { evaluate } from '../../runtime/interpreter.ts'
import { grad } from '../../tensor/grad.ts'
import { input } from '../../tensor/tensor.ts'
import { fillUniform } from '../../util/rng.ts'
import { stateSize } from './env.ts'
import { hiddenSize, initNetwork, type Network } from './network.ts'
import { uniforms } from './policy.ts'
import { addRow, makeRolloutBuffer, ppoSettings } from './ppo.ts'
import { addPolicyGradient, episodeAdvantages, makeEpisodes } from './reinforce.ts'
import { addEpochGradient } from './tutorialPpo.ts'

const T = 12
const numbers = (length: number, stream: number, reach = 1) =>
  Float64Array.from(fillUniform(new Float32Array(length), { seed: 7, stream }, -reach, reach))
const actions = Uint8Array.from(numbers(T, 1), (x) => (x > 0 ? 1 : 0))
const states = numbers(T * stateSize, 2)
const advantages = [...numbers(T, 3, 2)]

/** The same network for the engine, and how its weights are fed. */
const traced = (net: Network) => {
  const { outputs, weights } = net
  const sizes = { w1: [hiddenSize, stateSize], b1: [hiddenSize], w2: [outputs, hiddenSize], b2: [outputs] }
  const weightInputs = Object.entries(sizes).map(([name, shape]) => [name, input(name, shape)] as const)
  const [w1, b1, w2, b2] = weightInputs.map(([, tensor]) => tensor)
  const x = input('x', [T, stateSize])
  let at = 0
  const feeds = Object.fromEntries(
    Object.entries(sizes).map(([name, shape]) => {
      const length = shape.reduce((a, b) => a * b)
      return [name, { shape, data: weights.subarray(at, (at += length)) }]
    }),
  )

  const out = x
    .matmul(w1.transpose([1, 0]))
    .add(b1)
    .relu()
    .matmul(w2.transpose([1, 0]))
    .add(b2)
  return { out, wrt: [w1, b1, w2, b2], feeds: { ...feeds, x: { shape: [T, stateSize], data: states } } }
}

const vectorFeed = (data: ArrayLike<number>) => ({ shape: [data.length], data })

const closeTo = (actual: ArrayLike<number>, expected: readonly number[]) => {
  expect(actual.length).toBe(expected.length)
  for (const [i, x] of expected.entries())
    if (!(Math.abs(actual[i] - x) <= 1e-10 * Math.max(1, Math.abs(x)))) expect.fail(`[${i}] is ${actual[i]}, not ${x}`)
}

/** The gradient of attune's policy loss on the traced network. */
const engineGradient = (net: Network, oldLogps: ArrayLike<number>, weight: number, options: Partial<PolicyOptions>) => {
  const { out, wrt, feeds } = traced(net)
  const logps = out.logSoftmax()
  const chosen = input('onehot', [T, 2])
  const { loss } = policyLoss(
    {
      logps: logps.mul(chosen).sum(1),
      oldLogps: input('old', [T]),
      advantages: input('advantages', [T]),
      weights: input('weights', [T]),
      entropy: logps.mul(logps.exp()).sum(1).neg(),
      sequence: input('sequence', [T], 'i64'),
      lengths: input('lengths', [1]),
    },
    {
      loss: 'reinforce',
      ratio: 'token',
      epsilonLow: 0.2,
      epsilonHigh: 0.2,
      beta: 0,
      klEstimator: 'k1',
      entropyCoef: 0,
      ...options,
    },
  )
  const fed = {
    ...feeds,
    old: vectorFeed(oldLogps),
    advantages: vectorFeed(advantages),
    onehot: { shape: [T, 2], data: [...actions].flatMap((a) => [1 - a, a]) },
    weights: vectorFeed(new Array(T).fill(weight)),
    sequence: vectorFeed(new Array(T).fill(0)),
    lengths: vectorFeed([T]),
  }
  return evaluate(grad(loss, wrt), fed).flatMap(({ data }) => [...data])
}

const episodesOf = () => {
  const episodes = makeEpisodes(1)
  episodes.states.set(states)
  episodes.actions.set(actions)
  return episodes
}

it('REINFORCE has the same gradient as in the engine', () => {
  const net = initNetwork(2, 3, 1)
  const gradient = new Float64Array(net.weights.length)
  addPolicyGradient(net, episodesOf(), 0, advantages, gradient)
  closeTo(gradient, engineGradient(net, new Array(T).fill(0), 1, { loss: 'reinforce' }))
})

describe('PPO', () => {
  const net = initNetwork(2, 3, 1)
  // Ratios on both sides of the clip range
  const oldLogps = numbers(T, 4, 0.6).map((x) => x - 0.7)

  it('has the same gradient of the clipped objective and the entropy as the engine', () => {
    const agent = { policy: net, critic: initNetwork(1, 3, 3) }
    const gradients = {
      policy: new Float64Array(net.weights.length),
      critic: new Float64Array(agent.critic.weights.length),
    }
    const batch = { ...makeRolloutBuffer(T), states, actions, logps: oldLogps }
    for (let row = 0; row < T; row++)
      addRow(agent, batch, row, { advantage: advantages[row], target: advantages[row], weight: 1 / T }, gradients)
    closeTo(gradients.policy, engineGradient(net, oldLogps, 1 / T, { loss: 'clip', entropyCoef: ppoSettings.entropy }))

    const value = traced(agent.critic)
    const loss = value.out
      .sub(input('target', [T, 1]))
      .square()
      .mean()
      .mul(0.5)
    const fed = { ...value.feeds, target: { shape: [T, 1], data: advantages } }
    closeTo(
      gradients.critic,
      evaluate(grad(loss, value.wrt), fed).flatMap(({ data }) => [...data]),
    )
  })

  const epoch = (faults: { resampled: boolean; crossed: boolean }, scale: readonly number[], logps = oldLogps) => {
    const gradient = new Float64Array(net.weights.length)
    const draw = uniforms({ seed: 1, stream: 5 })
    addEpochGradient(net, episodesOf(), { logps, advantages: scale }, faults, draw, gradient)
    return gradient
  }

  it('of the tutorial, with both faults mended, is the same clipped objective', () => {
    closeTo(
      epoch({ resampled: false, crossed: false }, advantages),
      engineGradient(net, oldLogps, 1 / T, { loss: 'clip' }),
    )
  })

  it('with ratios crossed with every advantage has no gradient where no ratio is clipped', () => {
    const current = oldLogps.map((_, t) => {
      const { out, feeds } = traced(net)
      const [{ data }] = evaluate([out.logSoftmax()], feeds)
      return data[2 * t + actions[t]]
    })
    const norm = (gradient: Float64Array) => Math.hypot(...gradient)
    const scaled = episodeAdvantages(T)
    expect(norm(epoch({ resampled: false, crossed: true }, scaled, current))).toBeLessThan(1e-14)
    expect(norm(epoch({ resampled: false, crossed: false }, scaled, current))).toBeGreaterThan(1e-2)
  })

  it('with ratios crossed with every advantage has the same gradient whichever step had which advantage', () => {
    const both = { resampled: true, crossed: true }
    closeTo(epoch(both, advantages.toReversed()), [...epoch(both, advantages)])
    expect([...epoch(both, advantages)].some((x) => Math.abs(x) > 1e-3)).toBe(true)
  })
})
