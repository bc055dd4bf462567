import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { methodKeys, methods } from '../methods.ts'
import { withLearningRate } from './defaultLearningRate.ts'
import { learningRates, type MethodRates } from './learningRates.ts'

const rates = learningRates as Readonly<Record<string, MethodRates>>

describe('the table of learning rates', () => {
  it('has every method and no other', () => {
    expect(Object.keys(rates).sort()).toEqual(methodKeys.map((key) => methods[key].name).sort())
  })

  it.each(Object.entries(rates))(
    '%s: each default is usual, and an adapter takes more than all weights',
    (_, { full, lora }) => {
      for (const { default: rate, usual } of [full, lora]) {
        expect(rate).toBeGreaterThanOrEqual(usual[0])
        expect(rate).toBeLessThanOrEqual(usual[1])
      }
      expect(lora.default / full.default).toBeGreaterThanOrEqual(5)
    },
  )
})

describe('a learning rate that is not given', () => {
  let dir: string
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'attune-rates-'))
    await writeFile(join(dir, 'config.json'), '{}')
  })
  afterAll(() => rm(dir, { recursive: true }))

  const rateOf = async (key: keyof typeof methods, settings: object): Promise<unknown> => {
    const given: Record<string, unknown> = { model: dir, ...settings }
    return (await withLearningRate(methods[key].name, await methods[key].schema(), given)).learningRate
  }

  it('is refused for sgd, but for the range test that looks for one', async () => {
    await expect(rateOf('sft', { optimizer: 'sgd' })).rejects.toThrow('--optimizer sgd')
    expect(await rateOf('sft', { optimizer: 'sgd', findLr: true })).toBeGreaterThan(0)
  })

  it.each(methodKeys)('of %s is its default, for all weights and for LoRA', async (key) => {
    const hasIterations = ['spin', 'asft', 'selfreward'].includes(key)
    const expected = (rate: number) => (hasIterations ? [rate] : rate)
    const { full, lora } = rates[methods[key].name]
    expect(await rateOf(key, {})).toEqual(expected(full.default))
    expect(await rateOf(key, { loraR: 4 })).toEqual(expected(lora.default))
    expect(await rateOf(key, { adapter: 'anywhere' })).toEqual(expected(lora.default))
  })

  it('is that of LoRA where the model is an adapter', async () => {
    const adapter = await mkdtemp(join(dir, 'adapter-'))
    await writeFile(join(adapter, 'adapter_config.json'), JSON.stringify({ base_model_name_or_path: dir }))
    expect(await rateOf('dpo', { model: adapter })).toBe(rates.dpo.lora.default)
  })

  it('stays out of the way of one that is given', async () => {
    expect(await rateOf('dpo', { learningRate: 0.5, loraR: 4 })).toBe(0.5)
    expect(await rateOf('sft', { learningRate: 0.5, optimizer: 'sgd' })).toBe(0.5)
  })

  it('is refused with sgd, which no default suits', async () => {
    await expect(rateOf('sft', { optimizer: 'sgd' })).rejects.toThrow(
      /^--learning-rate: must be given with --optimizer sgd/,
    )
  })
})
