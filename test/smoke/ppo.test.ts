/** PPO end to end: value head, value model and pretraining mix raise a reward, and killed runs resume exactly. */
import { writeFile } from 'node:fs/promises'
import { describe, expect, it, vi } from 'vitest'
import { keptBytes } from '../../src/passes/stack.ts'
import { ppo } from '../../src/recipes/ppo.ts'
import { openPolicy, planFor } from '../../src/recipes/trainer/policy.ts'
import { sftSchema } from '../../src/recipes/trainer/schema.ts'
import { fixture } from '../support/golden.ts'
import { hashOf, ids, logWithoutTimes, runUntil, testFolder, tiny, train } from '../support/training.ts'

const { at, rows } = testFolder()

const prompts = Array.from({ length: 8 }, (_, i) => ({ prompt: ids(i, 3 + (i % 3)) }))
const texts = Array.from({ length: 5 }, (_, i) => ({ input_ids: ids(40 + i, 8) }))

/** The reward: the share of tokens from a quarter of the vocabulary. */
const rewarding = async () => {
  const path = at('low.mjs')
  await writeFile(
    path,
    'export default (rows) => rows.map(({ ids }) => ids.filter((id) => id < 32).length / ids.length)',
  )
  return path
}

const common = async () => ({
  data: await rows('prompts', prompts),
  reward: [await rewarding()],
  batchSize: 8,
  numGenerations: 6,
  maxNewTokens: 8,
  learningRate: 3e-3,
  schedule: 'constant',
  maxSteps: 24,
  klCoef: 0.01,
  saveEvery: 100,
})

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length

describe('the reward of PPO', () => {
  const rewardOf = (steps: readonly Record<string, unknown>[]) => {
    // The first step of each rollout
    const fresh = steps.filter((step, i) => i === 0 || step.rollout !== steps[i - 1].rollout)
    return { fresh, rewards: fresh.map((step) => step.reward as number) }
  }

  it.each([
    ['a value head on the policy', {}],
    ['a value head and a LoRA adapter', { loraR: 8, loraTarget: ['all-linear'], learningRate: 1e-2 }],
    ['a value model', { valueModel: tiny }],
    ['a reward model as the value model', { valueModel: fixture('models/llama-reward') }],
  ])('rises with %s', async (name, settings) => {
    const output = at(name.replaceAll(' ', '-'))
    const { steps, end } = await train(ppo, { ...(await common()), ...settings, output })
    const { fresh, rewards } = rewardOf(steps)
    expect(fresh).toHaveLength(6)
    expect(mean(rewards.slice(-2))).toBeGreaterThan(rewards[0] + 0.1)
    for (const step of fresh) expect(Math.abs((step['val/ratio'] as number) - 1)).toBeLessThan(1e-4)
    for (const step of steps.slice(1, 4)) expect(step['policy/approxkl_avg']).toBeGreaterThan(0)
    expect(fresh[0]['objective/kl']).toBe(0)
    const last = fresh.at(-1)!
    const { 'objective/scores': score, 'objective/non_score_reward': penalty } = last as Record<string, number>
    expect(last['objective/rlhf_reward']).toBeCloseTo(score + penalty, 6)
    expect(penalty).toBeCloseTo(-0.01 * (last['objective/kl'] as number), 6)
    // The value loss falls within a rollout
    expect(steps[3]['loss/value_avg']).toBeLessThan(steps[0]['loss/value_avg'] as number)
    expect(end).toMatchObject({ stopped: 'done', steps: 24 })
  })

  it('rises while pretraining texts are not forgotten (PPO-ptx)', async () => {
    const ptxData = [await rows('texts', texts)]
    const settings = { ...(await common()), ptxData, ptxBatchSize: 5 }
    const withTexts = await train(ppo, { ...settings, ptxCoef: 0.5, output: at('ptx') })
    const without = await train(ppo, { ...settings, ptxCoef: 0, output: at('no-ptx') })
    const { rewards } = rewardOf(withTexts.steps)
    expect(mean(rewards.slice(-2))).toBeGreaterThan(rewards[0] + 0.1)
    const [nll, forgotten] = [withTexts, without].map(({ steps }) => steps.at(-1)!['loss/ptx_avg'] as number)
    expect(nll).toBeLessThan(withTexts.steps[0]['loss/ptx_avg'] as number)
    expect(nll).toBeLessThan(forgotten)
    // The loss of the step includes it with its coefficient, and 0.1 of the value loss
    for (const step of withTexts.steps as unknown as Record<string, number>[])
      expect(step.loss).toBeCloseTo(
        step['loss/policy_avg'] + 0.1 * step['loss/value_avg'] + 0.5 * step['loss/ptx_avg'],
        4,
      )
  })
})

describe('the adaptive KL coefficient', () => {
  it('follows the distance of the KL from its target', async () => {
    const settings = { ...(await common()), klTarget: 0.5, klHorizon: 96, klCoef: 0.05, maxSteps: 20 }
    const { steps } = await train(ppo, { ...settings, output: at('adaptive') })
    const fresh = steps.filter((_, i) => i % 4 === 0) as unknown as Record<string, number>[]
    const coefs = fresh.map((step) => step.kl_coef)
    // The first rollout comes from the reference model, so its KL is 0 and the coefficient falls by the largest factor
    expect(coefs[1]).toBeCloseTo(0.05 * 0.9, 6)
    for (const [i, coef] of coefs.slice(1).entries()) {
      const error = Math.min(0.2, Math.max(-0.2, fresh[i]['objective/kl'] / 0.5 - 1))
      expect(coef).toBeCloseTo(coefs[i] * (1 + (error * 48) / 96), 6)
    }
    expect(Math.max(...coefs)).toBeGreaterThan(coefs[1])
  })
})

const parsed = sftSchema.parse({ model: '-', output: '-', data: ['-'], threads: 1 })

it('the memory plan leaves room for the activations of policy or value model, whichever has more', async () => {
  const policy = await openPolicy(parsed, { dir: tiny })
  const valueModel = await openPolicy(parsed, { dir: fixture('models/stories260K') })
  const sizes = { N: 64, B: 4, T: 16 }
  const [less, more] = [policy, valueModel].map(({ model, gradients }) => keptBytes(model, 'fast', gradients, sizes))
  expect(more).toBeGreaterThan(less)
  const memory = vi.spyOn(process, 'availableMemory').mockReturnValue((less + more) / 2 / 0.4)
  try {
    expect(planFor(policy, 'auto', sizes)).toBe('fast')
    expect(planFor(policy, 'auto', sizes, valueModel)).toBe('low')
  } finally {
    memory.mockRestore()
    await policy.close()
    await valueModel.close()
  }
})

it('the memory plan leaves room for pretraining texts longer than prompt and completion', async () => {
  const { model, gradients, close } = await openPolicy(parsed, { dir: tiny })
  const keptOf = (T: number) => keptBytes(model, 'fast', gradients, { N: T, B: 1, T })
  // Prompt and completion have at most 5 + 8 tokens
  const memory = vi.spyOn(process, 'availableMemory').mockReturnValue(keptOf(30) / 0.4)
  const planWith = async (length: number) => {
    const ptxData = [await rows(`of-${length}`, [{ input_ids: ids(9, 8) }, { input_ids: ids(10, length) }])]
    const own = { batchSize: 1, numGenerations: 1, maxSteps: 1, ptxData, output: at(`plan-${length}`) }
    const { events } = await train(ppo, { ...(await common()), ...own })
    return events.find((event) => event.event === 'start')
  }
  try {
    expect(await planWith(13)).toMatchObject({ plan: 'fast' })
    expect(await planWith(60)).toMatchObject({ plan: 'low' })
  } finally {
    memory.mockRestore()
    await close()
  }
})

// ATTUNE_RESUME=all also stops the other form, which uses the same code
const forms: [string, object][] = [
  ['value-model', { valueModel: tiny, klTarget: 1, klHorizon: 100 }],
  ['value-head-beside-an-adapter', { loraR: 2 }],
]
it.each(process.env.ATTUNE_RESUME === 'all' ? forms : forms.slice(0, 1))(
  'a PPO run killed in any phase resumes to the weights and log of an uninterrupted run: %s',
  async (name, own) => {
    const settings = {
      data: await rows('prompts', prompts),
      reward: [await rewarding()],
      evalData: [await rows('eval', prompts.slice(0, 2))],
      batchSize: 2,
      numGenerations: 2,
      maxNewTokens: 5,
      numIterations: 2,
      stepsPerGeneration: 2,
      whitenRewards: true,
      ptxData: [await rows('texts', texts)],
      ptxCoef: 0.1,
      ptxBatchSize: 2,
      maxSteps: 8,
      saveEvery: 1,
      keep: 2,
      ...own,
    }
    const dying = (output: string, moment: number, resume = false) =>
      runUntil(
        ppo,
        { ...defaults, ...settings, data: [settings.data], output, resume },
        (_, { length }) => length > moment,
      )
    const whole = await dying(at(`${name}-whole`), Number.POSITIVE_INFINITY)
    const [hash, log] = [await hashOf(at(`${name}-whole`)), await logWithoutTimes(at(`${name}-whole`))]
    const later = whole.findIndex((event) => event.event === 'step' && event.step === 4)
    const after = (kind: string, from: number) =>
      whole.findIndex((event, i) => i > from && ('phase' in event ? event.phase : event.event) === kind)
    const moments = ['generate', 'reward', 'step'].map((kind) => after(kind, later))
    expect(moments).not.toContain(-1)
    for (const moment of moments) {
      const output = at(`${name}-${moment}`)
      await dying(output, moment)
      await dying(output, Number.POSITIVE_INFINITY, true)
      expect(await hashOf(output)).toBe(hash)
      expect(await logWithoutTimes(output)).toEqual(log)
    }
  },
)

const defaults = { model: tiny, threads: 1, learningRate: 1e-3, epochs: 100 }

describe('PPO refuses', () => {
  it('a value model with another tokenizer', async () => {
    const settings = { ...(await common()), valueModel: tiny, model: fixture('models/stories260K') }
    const run = train(ppo, { ...settings, data: await rows('prompt', [{ prompt: 'Once' }]), output: at('other') })
    await expect(run).rejects.toMatchObject({ exitCode: 2, where: { flag: '--value-model' } })
  })

  it('pretraining rows without tokens to train on', async () => {
    const ptxData = [await rows('empty', [{ input_ids: [5] }])]
    const run = train(ppo, { ...(await common()), ptxData, output: at('empty') })
    await expect(run).rejects.toMatchObject({ code: 'empty-data', exitCode: 2 })
  })
})
