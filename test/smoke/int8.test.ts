/**
 * Runs with `--compute int8` and `int8-fast`: every method trains, and what holds in fp32 holds here: the same text whatever the
 * batch, a sampler and a trainer that agree, the same weights on one thread and two and after a resume.
 */
import { cpSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lazyTensor } from '../../src/checkpoint/stored.ts'
import { completions } from '../../src/generate/completions.ts'
import { generate } from '../../src/generate/generate.ts'
import { parseConfig } from '../../src/models/config.ts'
import { initWeights } from '../../src/models/init.ts'
import { architectureOf } from '../../src/models/registry.ts'
import { modelFiles } from '../../src/models/save.ts'
import type { Compute } from '../../src/passes/int8.ts'
import { openModel } from '../../src/passes/open.node.ts'
import { storedAs, writeModelFolder } from '../../src/publish/modelFolder.ts'
import { asft } from '../../src/recipes/asft.ts'
import { dpo } from '../../src/recipes/dpo.ts'
import { grpo } from '../../src/recipes/grpo.ts'
import { kto } from '../../src/recipes/kto.ts'
import { onlineDpo } from '../../src/recipes/onlineDpo.ts'
import { ppo } from '../../src/recipes/ppo.ts'
import { reinforce } from '../../src/recipes/reinforce.ts'
import { reward } from '../../src/recipes/reward.ts'
import { rloo } from '../../src/recipes/rloo.ts'
import { sft } from '../../src/recipes/sft.ts'
import { spin } from '../../src/recipes/spin.ts'
import type { Recipe } from '../../src/recipes/trainer/recipe.ts'
import { sealedFile } from '../../src/util/sealed.node.ts'
import { fixture, fixtureJson } from '../support/golden.ts'
import { hashOf, ids, eventsOf as of, runUntil, stopAfter, testFolder, tiny, train } from '../support/training.ts'

const { at, rows } = testFolder()
const stories = fixture('models/stories260K')
const forms: Exclude<Compute, 'fp32'>[] = ['int8', 'int8-fast']

const texts = Array.from({ length: 8 }, (_, i) => ({ input_ids: ids(i, 5 + ((3 * i) % 11)) }))
const pairs = texts.map((_, i) => ({ prompt: ids(i, 4), chosen: ids(50 + i, 2 + (i % 4)), rejected: ids(90 + i, 5) }))
const thumbs = pairs.map(({ prompt, chosen }, i) => ({ prompt, completion: chosen, label: i % 3 !== 1 }))
const prompts = Array.from({ length: 8 }, (_, i) => ({ prompt: ids(i, 3 + (i % 3)) }))

/** A reward function: the share of tokens from a quarter of the vocabulary. */
const low = async () => {
  const path = at('low.mjs')
  await writeFile(
    path,
    'export default (rows) => rows.map(({ ids }) => ids.filter((id) => id < 32).length / ids.length)',
  )
  return path
}

describe.each(forms)('%s: what a model writes', (compute) => {
  it('is the same whatever the batch, greedily and sampled, packed or not', async () => {
    const { model, close } = await openModel({ model: stories, compute, inProcess: true, threads: 1 })
    const prompts = Array.from({ length: 8 }, (_, i) => [1, ...ids(i, 1 + (i % 5))])
    const decode = async (batchSize: number, temperature: number, packed: boolean) => {
      const options = { maxNewTokens: 20, temperature, seed: 7, eosIds: new Set([2]), packed, batchSize }
      const made = new Map<number, readonly number[]>()
      for await (const { row, ids } of completions(generate(model, undefined, prompts, options))) made.set(row, ids)
      return prompts.map((_, row) => made.get(row))
    }
    for (const temperature of [0, 1]) {
      const alone = await decode(1, temperature, true)
      expect(alone.every((text) => text!.length > 0)).toBe(true)
      expect(await decode(3, temperature, true)).toEqual(alone)
      expect(await decode(8, temperature, true)).toEqual(alone)
      expect(await decode(8, temperature, false)).toEqual(alone)
    }
    await close()
  })

  it.each([{ loraR: 4 }, {}])('has the probabilities that training gives it: %o', async (lora) => {
    const data = [await rows('prompts', prompts)]
    const settings = { ...lora, compute, data, model: stories, numGenerations: 4, maxNewTokens: 12, klCoef: 0.1 }
    const { steps } = await train(grpo, {
      ...settings,
      ...{
        reward: [await low()],
        batchSize: 8,
        stepsPerGeneration: 1,
        numIterations: 2,
        learningRate: 3e-3,
        maxSteps: 6,
      },
      output: at(`agree-${compute}-${Object.keys(lora)}`),
    })
    const errors = steps.flatMap((step) => (step['sampling/ratio_error'] as number) ?? [])
    // Measured .0010 and .16 (in fp32 below .0001): the largest of a few hundred tokens. Where it is above .0001 the update's own
    // pass gives the old log-probs. In the first rollout policy and reference are one model; later the reference is what the policy was
    expect(steps[0].kl).toBe(0)
    expect(steps[5].kl).toBeGreaterThan(0)
    expect(errors.length).toBeGreaterThan(1)
    expect(Math.max(...errors)).toBeLessThan(compute === 'int8' ? 5e-3 : 0.4)
  })
})

/** Makes a random Llama of these sizes. @param mlp what the weights behind the gate are multiplied by @returns its folder */
const llamaOf = async (name: string, sizes: object, mlp = 1) => {
  const raw = await fixtureJson('models/llama-tied/config.json')
  const config = parseConfig({ ...raw, ...sizes }, 'config.json')
  const architecture = architectureOf(config, 'config.json')
  const params = new Map(
    [...initWeights(architecture, config, 1)].map(([key, tensor]) => {
      const factor = /(gate|up)_proj/.test(key) ? mlp : 1
      return [key, lazyTensor(key, tensor.shape, async () => (await tensor.floats()).map((x) => factor * x))]
    }),
  )
  const files = modelFiles({ architecture, config, params }, storedAs.float32)
  await writeModelFolder(at(name), files, { stem: 'model' })
  return at(name)
}

/** Wide enough that two threads share its products. */
const wide = { hidden_size: 640, intermediate_size: 320, num_attention_heads: 10, num_key_value_heads: 5, head_dim: 64 }

const trained: [string, Recipe, object[], object][] = [
  ['dpo with LoRA', dpo, pairs, { loraR: 2, learningRate: 1e-2, loraDropout: 0.1 }],
  ['sft of all weights', sft, texts, {}],
]
describe.each(trained)('%s', (name, recipe, all, own) => {
  const settingsOf = async (compute: string) => ({
    ...{ ...own, compute, data: await rows(name, all), maxSteps: 4, saveEvery: 1 },
  })

  it.each(forms)('ends with the same weights on one thread and two, in %s', async (compute) => {
    const model = await llamaOf(`wide ${name} ${compute}`, { ...wide, vocab_size: 256, num_hidden_layers: 1 })
    const settings = { ...(await settingsOf(compute)), model, maxSteps: 2, saveEvery: 9 }
    const [one, two] = [at(`${name}-${compute}-1`), at(`${name}-${compute}-2`)]
    await train(recipe, { ...settings, threads: 1, output: one })
    await train(recipe, { ...settings, threads: 2, output: two })
    expect(await hashOf(two)).toBe(await hashOf(one))
  })

  it.each(forms)('resumes exactly, in %s and in no other form', async (compute) => {
    const settings = await settingsOf(compute)
    const [whole, output, stop] = [at(`${name}-${compute}-whole`), at(`${name}-${compute}-resumed`), stopAfter(2)]
    const { losses } = await train(recipe, { ...settings, output: whole })
    expect(losses.at(-1)).toBeLessThan(losses[0])
    await train(recipe, { ...settings, output }, stop, stop.each)
    expect(JSON.parse(await readFile(join(output, 'run.json'), 'utf8')).config).toMatchObject({ compute })
    const other = train(recipe, { ...settings, compute: 'fp32', output, resume: true })
    await expect(other).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining('--compute') })
    const rest = await train(recipe, { ...settings, output, resume: true })
    expect(rest.events[0]).toMatchObject({ event: 'start', step: 2 })
    expect(await hashOf(output)).toBe(await hashOf(whole))
  })
})

it('a run of a version without --compute is resumed in fp32', async () => {
  const settings = { data: await rows('earlier', texts), maxSteps: 3, saveEvery: 1 }
  const [output, stop] = [at('earlier'), stopAfter(1)]
  await train(sft, { ...settings, output }, stop, stop.each)
  const file = join(output, 'run.json')
  const info = JSON.parse(await readFile(file, 'utf8'))
  expect(info.config.compute).toBe('fp32')
  const { compute: _, ...config } = info.config
  await writeFile(file, sealedFile(file, { ...info, config }, 2))
  cpSync(output, at('earlier-int8'), { recursive: true })
  const other = train(sft, { ...settings, compute: 'int8', output: at('earlier-int8'), resume: true })
  await expect(other).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining('--compute') })
  await train(sft, { ...settings, output, resume: true })
  await train(sft, { ...settings, output: at('earlier-whole') })
  expect(await hashOf(output)).toBe(await hashOf(at('earlier-whole')))
})

const lora = { loraR: 4 }
const rl = { numGenerations: 4, maxNewTokens: 6, batchSize: 8 }
const play = { iterations: 1, evalSplit: 0.25, maxNewTokens: 6, learningRate: [1e-3] }
const gpt2 = { model: fixture('models/gpt2') }
const methods: [string, Recipe, object[], object][] = [
  ['sft, LoRA', sft, texts, lora],
  ['sft of GPT-2, all weights', sft, texts, gpt2],
  ['sft of GPT-2, QLoRA in nf4', sft, texts, { ...gpt2, ...lora, quantize: 'nf4' }],
  ['sft, QLoRA in int4', sft, texts, { ...lora, quantize: 'int4' }],
  ['sft, QLoRA in int8', sft, texts, { ...lora, quantize: 'int8' }],
  ['dpo, all weights', dpo, pairs, {}],
  ['kto, all weights', kto, thumbs, {}],
  ['kto, LoRA', kto, thumbs, lora],
  ['reward', reward, pairs, {}],
  ['reward, probabilistic, LoRA', reward, pairs, { ...lora, kind: 'probabilistic' }],
  ['grpo, LoRA', grpo, prompts, { ...rl, ...lora }],
  ['grpo, all weights', grpo, prompts, { ...rl, klCoef: 0.1 }],
  ['reinforce, all weights', reinforce, prompts, rl],
  ['rloo, LoRA, QLoRA in nf4', rloo, prompts, { ...rl, ...lora, quantize: 'nf4' }],
  ['ppo, a value head, all weights', ppo, prompts, rl],
  ['ppo, a value head, LoRA', ppo, prompts, { ...rl, ...lora }],
  ['ppo, a value model', ppo, prompts, { ...rl, valueModel: fixture('models/llama-reward') }],
  ['online-dpo, LoRA', onlineDpo, prompts, { ...rl, ...lora }],
  ['spin, all weights', spin, texts.map((_, i) => ({ prompt: ids(i, 4), completion: ids(50 + i, 5) })), play],
  ['asft, LoRA', asft, pairs, { ...play, ...lora, helper: ['column:rejected'] }],
]
const samples: readonly Recipe[] = [grpo, reinforce, rloo, ppo, onlineDpo]

it.each(methods)('%s trains in 8-bit whole numbers', async (name, recipe, all, own) => {
  const settings = {
    model: tiny,
    maxSteps: 2,
    compute: 'int8',
    threads: 1,
    batchSize: 4,
    data: [await rows('own', all)],
  }
  const reward = samples.includes(recipe) ? { reward: [await low()] } : {}
  const events = await runUntil(recipe, { ...settings, ...reward, ...own, output: at(name) })
  const steps = of(events, 'step')
  expect(steps).toHaveLength(2)
  for (const { loss, grad_norm } of steps) {
    expect(Number.isFinite(loss)).toBe(true)
    expect(grad_norm).toBeGreaterThan(0)
  }
  expect(of(events, 'end')).toMatchObject([{ stopped: 'done' }])
})

describe('activations that overflow', () => {
  it.each([{ loraR: 4 }, {}])('stop the step with what is not finite: %o', async (lora) => {
    const model = await llamaOf(`huge ${Object.keys(lora)}`, {}, 1e25)
    const settings = { ...lora, model, compute: 'int8', data: await rows('sft', texts), maxSteps: 2 }
    const run = train(sft, { ...settings, output: at(`huge-run-${Object.keys(lora)}`) })
    await expect(run).rejects.toMatchObject({ code: 'not-finite', message: expect.stringContaining('the loss is NaN') })
  })
})
