import { describe, expect, it } from 'vitest'
import { policyGradientObjective } from '../rl/policyLoss.ts'
import { ppoObjective } from '../rl/ppoObjective.ts'
import { isShareable, lossByName } from './lossByName.ts'
import { distillObjective, ktoObjective, rankedObjective, sftObjective } from './objectives.ts'

const options = { beta: 0.1, labelSmoothing: 0, simpoGamma: 0.5, cpoAlpha: 1, wpo: true, ties: 'marginal' as const }
const ranked = {
  losses: [{ name: 'sigmoid' as const, weight: 0.8 }],
  options: options as never,
  reference: true,
  lists: false,
  prob: false,
  prompts: false,
}
const policy = {
  loss: 'clip' as never,
  ratio: 'token' as const,
  epsilonLow: 0.2,
  epsilonHigh: 0.28,
  beta: 0.04,
  klEstimator: 'k3' as const,
  entropyCoef: 0.01,
  hasOldLogps: true,
}

describe('a loss by its name', () => {
  it.each([
    ['sft', sftObjective('nll')],
    ['pairs', rankedObjective(ranked)],
    ['lists with weights', rankedObjective({ ...ranked, lists: true, ldAlpha: 0.5 })],
    ['kto', ktoObjective({ beta: 0.1, desirableWeight: 1, undesirableWeight: 1.33, lossType: 'kto' })],
    ['policy gradients', policyGradientObjective(policy as never)],
    ['ppo with a value head', ppoObjective({ clip: { policy: 0.2, value: 0.2 }, vfCoef: 0.1 })],
    ['ppo without', ppoObjective({ clip: { policy: 0.2, value: 0.2 } })],
  ])('%s is the loss that has it', (_, loss) => {
    const { trace: _trace, ...facts } = lossByName(loss.name)
    const { trace: _own, ...own } = loss
    expect(facts).toEqual(own)
    expect(isShareable(loss)).toBe(true)
  })

  it.each([
    ['a loss of a program', rankedObjective({ ...ranked, custom: () => ({}) as never })],
    ['a loss with a teacher', distillObjective({ beta: 1, temperature: 1 })],
  ])('%s is not shared', (_, loss) => {
    expect(isShareable(loss)).toBe(false)
  })

  it('refuses names that no recipe gives', () => {
    for (const name of ['constructor', 'sft', 'preference {"losses":[]}', 'nothing {}'])
      expect(() => lossByName(name)).toThrow()
  })
})
