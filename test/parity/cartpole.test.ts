/** CartPole-v1 compared with Gymnasium 1.4: each step starts from the stored state before it. */
import { expect, it } from 'vitest'
import {
  makeEnvs,
  maxEpisodeSteps,
  running,
  stateSize,
  stepEnv,
  terminated,
  truncated,
} from '../../src/labs/cartpole/env.ts'
import { golden } from '../support/maths.ts'

type Case = { start: number[]; actions: number[]; states: number[][]; terminated: boolean; truncated: boolean }
const cases = golden<Case>('cartpole')

it('the golden has terminated and truncated episodes of Gymnasium', () => {
  expect(cases).toHaveLength(20)
  expect(cases.filter((each) => each.truncated)).toHaveLength(2)
  expect(cases.reduce((sum, { actions }) => sum + actions.length, 0)).toBeGreaterThan(1500)
})

it.each(cases.map((each, i) => [i, each] as const))(
  'CartPole equals Gymnasium in each step of episode %i',
  (_, episode) => {
    const { start, actions, states } = episode
    const envs = makeEnvs(actions.length, 0)
    for (const [t, action] of actions.entries()) {
      envs.states.set(t === 0 ? start : states[t - 1], t * stateSize)
      envs.ages[t] = t
      const last = t === actions.length - 1
      expect(stepEnv(envs, t, action)).toBe(last ? (episode.terminated ? terminated : truncated) : running)
      for (let d = 0; d < stateSize; d++)
        expect(Math.abs(envs.states[t * stateSize + d] - states[t][d])).toBeLessThanOrEqual(1e-12)
    }
  },
)

it('CartPole equals Gymnasium to 1e-9 after 100 steps', () => {
  const { start, actions, states } = cases.find(({ actions }) => actions.length === maxEpisodeSteps)!
  const envs = makeEnvs(1, 0)
  envs.states.set(start)
  for (const action of actions.slice(0, 100)) stepEnv(envs, 0, action)
  for (let d = 0; d < stateSize; d++) expect(envs.states[d]).toBeCloseTo(states[99][d], 9)
})
