/** CartPole-v1 against Gymnasium 1.4: each stored state is stepped from the one before. */
import { expect, it } from 'vitest'
import { cut, fallen, makePoles, mostSteps, running, stateSize, stepPole } from '../../src/labs/cartpole/physics.ts'
import { golden } from '../support/maths.ts'

type Case = { start: number[]; actions: number[]; states: number[][]; terminated: boolean; truncated: boolean }
const cases = golden<Case>('cartpole')

it('has episodes that fell and episodes that were cut', () => {
  expect(cases).toHaveLength(20)
  expect(cases.filter(({ truncated }) => truncated)).toHaveLength(2)
  expect(cases.reduce((sum, { actions }) => sum + actions.length, 0)).toBeGreaterThan(1500)
})

it.each(cases.map((each, i) => [i, each] as const))('episode %i, many poles at once', (_, episode) => {
  const { start, actions, states, terminated } = episode
  const poles = makePoles(actions.length, 0)
  for (const [t, action] of actions.entries()) {
    poles.states.set(t === 0 ? start : states[t - 1], t * stateSize)
    poles.ages[t] = t
    const last = t === actions.length - 1
    expect(stepPole(poles, t, action)).toBe(last ? (terminated ? fallen : cut) : running)
    for (let d = 0; d < stateSize; d++)
      expect(Math.abs(poles.states[t * stateSize + d] - states[t][d])).toBeLessThanOrEqual(1e-12)
  }
})

it('rolls 100 steps forward to 1e-9', () => {
  const { start, actions, states } = cases.find(({ actions }) => actions.length === mostSteps)!
  const poles = makePoles(1, 0)
  poles.states.set(start)
  for (const action of actions.slice(0, 100)) stepPole(poles, 0, action)
  for (let d = 0; d < stateSize; d++) expect(poles.states[d]).toBeCloseTo(states[99][d], 9)
})
