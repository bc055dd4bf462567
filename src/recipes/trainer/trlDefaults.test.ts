/** The defaults of `--like trl`. */
import { describe, expect, it } from 'vitest'
import type { z } from 'zod'
import { methodKeys, methods } from '../methods.ts'
import { likeChanges, likeDefaults, likeText, withLikeDefaults } from './trlDefaults.ts'
import { refuseUnused } from './unusedSettings.ts'

const ofTrl = methodKeys.filter((key) => !['spin', 'asft', 'selfreward', 'reinforce'].includes(key))
const needed = { model: 'm', data: ['d'], output: 'o', reward: ['regex:a'], teacher: 't', like: 'trl' }
const settingsOf = async (key: (typeof methodKeys)[number], given: object = {}) => {
  const schema = (await methods[key].schema()) as z.ZodObject
  return { schema, settings: schema.parse(withLikeDefaults(methods[key].name, { ...needed, ...given })) }
}

describe('--like trl', () => {
  it.each(ofTrl)(
    'of %s lays valid settings of its schema under what is given, and refuses none of them',
    async (key) => {
      const { schema, settings } = await settingsOf(key, { loraR: 4 })
      const laid = likeDefaults(methods[key].name, { ...needed, loraR: 4 })
      expect(Object.keys(laid).filter((name) => !(name in schema.shape))).toEqual([])
      expect(settings).toMatchObject({ ...laid, like: 'trl', loraR: 4, loraAlpha: 32, loraTarget: ['peft'] })
      expect(() => refuseUnused(schema, settings, likeDefaults(methods[key].name, settings))).not.toThrow()
    },
  )

  it.each(['spin', 'asft', 'selfreward', 'reinforce'] as const)(
    'is no setting of %s, which TRL does not have',
    async (key) => {
      expect((await methods[key].schema()).shape).not.toHaveProperty('like')
    },
  )

  it('changes nothing without being asked for', () => {
    expect(withLikeDefaults('grpo', { model: 'm', beta: undefined })).toEqual({ model: 'm' })
  })

  it('has the values of the Config classes of TRL', async () => {
    const of = async (key: (typeof methodKeys)[number], given?: object) => (await settingsOf(key, given)).settings
    expect(await of('sft')).toMatchObject({ learningRate: 2e-5, batchSize: 8, epochs: 3, maxLength: 1024 })
    expect(await of('sft', { loraR: 4 })).toMatchObject({ loraDropout: 0.05 })
    expect(await of('dpo', { loraR: 4 })).toMatchObject({ learningRate: 1e-6, beta: 0.1, loraDropout: 0 })
    expect(await of('kto')).toMatchObject({ learningRate: 1e-6, shuffle: false })
    expect(await of('reward')).toMatchObject({ learningRate: 1e-4, centerRewards: 0 })
    expect(await of('rloo')).toMatchObject({ learningRate: 1e-6, batchSize: 4, maxNewTokens: 512, klCoef: 0.05 })
    expect(await of('grpo')).toMatchObject({ batchSize: 1, numGenerations: 8, useBiasCorrectionKl: true, klCoef: 0 })
    expect(await of('ppo')).toMatchObject({ learningRate: 3e-6, maxNewTokens: 53, temperature: 0.7, numIterations: 4 })
    expect(await of('distill')).toMatchObject({ learningRate: 2e-5, lmbda: 0.5, beta: 0.5, temperature: 0.9 })
    expect(await of('onlineDpo')).toMatchObject({ learningRate: 5e-7, maxNewTokens: 64, maxLength: 512 })
  })

  it('follows the settings that TRL makes depend on others', async () => {
    const dpo = async (loss: string) => (await settingsOf('dpo', { loss })).settings
    expect(await dpo('simpo')).toMatchObject({ cpoAlpha: 1, orpoPrompt: false })
    expect(await dpo('orpo')).toMatchObject({ orpoPrompt: true })
    expect((await settingsOf('grpo', { numGenerations: 4 })).settings).toMatchObject({ batchSize: 2 })
    expect((await settingsOf('grpo', { numGenerations: 3, batchSize: 5 })).settings).toMatchObject({ batchSize: 5 })
    await expect(settingsOf('grpo', { numGenerations: 3 })).rejects.toThrow(/^--like: TRL's batch of 8 .* groups of 3/)
  })

  it('leaves the shape of an adapter that is continued alone', () => {
    expect(likeDefaults('sft', { like: 'trl', adapter: 'a' })).not.toHaveProperty('loraAlpha')
    expect(likeDefaults('sft', { like: 'trl', adapter: 'a' })).toHaveProperty('loraDropout', 0.05)
    expect(likeDefaults('sft', { like: 'trl' })).not.toHaveProperty('loraDropout')
  })

  it('is told in words where it differs from the defaults of attune', async () => {
    const { schema, settings } = await settingsOf('grpo', { maxNewTokens: 9 })
    expect(likeText(likeChanges('grpo', schema, settings))).toBe(
      'batch-size 1, learning-rate 1e-6, use-bias-correction-kl true',
    )
    expect(schema.shape.like.description).toMatch(/TRL 1\.16\.0 .*max-new-tokens 512.*lora-target peft$/)
  })
})
