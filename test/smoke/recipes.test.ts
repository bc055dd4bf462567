/** SFT, DPO and KTO for a few steps, and settings that must not change their results. */
import { truncateSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadPretrained } from '../../src/models/load.node.ts'
import { dpo } from '../../src/recipes/dpo.ts'
import { kto } from '../../src/recipes/kto.ts'
import { sft } from '../../src/recipes/sft.ts'
import type { CustomLoss } from '../../src/recipes/trainer/objectives.ts'
import type { Recipe, TrainEvent } from '../../src/recipes/trainer/recipe.ts'
import { fixture } from '../support/golden.ts'
import { hashOf, ids, runUntil, settingsOf, testFolder, train, weightsApart } from '../support/training.ts'

const { at, rows } = testFolder()

const texts = Array.from({ length: 8 }, (_, i) => ({ input_ids: ids(i, 5 + ((3 * i) % 11)) }))
const pairs = texts.map((_, i) => ({ prompt: ids(i, 4), chosen: ids(50 + i, 2 + (i % 4)), rejected: ids(90 + i, 5) }))
const thumbs = pairs.map(({ prompt, chosen }, i) => ({ prompt, completion: chosen, label: i % 3 !== 1 }))

const methods: [string, Recipe, object[]][] = [
  ['sft', sft, texts],
  ['dpo', dpo, pairs],
  ['kto', kto, thumbs],
]

describe.each(methods)('%s', (name, recipe, all) => {
  it.each([{ loraR: undefined }, { loraR: 4, loraTarget: ['q_proj', 'v_proj', 'lm_head'] }])(
    'lowers its loss, equally with --memory fast and low: %o',
    async (lora) => {
      const [fast, low] = ['fast', 'low'].map((memory) => at(`${name}-${lora.loraR}-${memory}`))
      const settings = { ...lora, data: await rows(name, all), batchSize: 8, learningRate: 5e-3, maxSteps: 5 }
      const a = await train(recipe, { ...settings, memory: 'fast', output: fast })
      const b = await train(recipe, { ...settings, memory: 'low', output: low })
      expect(a.losses.at(-1)).toBeLessThan(a.losses[0])
      for (const [i, loss] of b.losses.entries()) expect(Math.abs(loss - a.losses[i])).toBeLessThan(1e-6)
      expect(await weightsApart(fast, low)).toBeLessThan(1e-5)
      expect(a.end).toMatchObject({ steps: 5, stopped: 'done' })
    },
  )
})

it('writes a model that can be loaded, or an adapter for its base model', async () => {
  const data = await rows('sft', texts)
  await train(sft, { data, output: at('model'), maxSteps: 1 })
  const { params } = await loadPretrained(at('model/model'))
  expect(params.size).toBeGreaterThan(10)
  expect((await readdir(at('model'))).sort()).toEqual([
    'checkpoints',
    'events.jsonl',
    'model',
    'report.html',
    'run.json',
    'samples.json',
  ])
  await train(sft, { data, output: at('adapter'), maxSteps: 1, loraR: 2 })
  expect((await readdir(at('adapter/adapter'))).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
  // A run can be used as a model, with its adapter: training continues from its weights
  const next = await train(sft, { data, model: at('adapter'), output: at('next'), maxSteps: 1 })
  expect(next.events[0]).toMatchObject({ trainable: expect.any(Number) })
  expect(await readdir(at('next'))).toContain('adapter')
})

it('trains on text with the tokenizer in the model folder, and copies it to the result', async () => {
  const text = ['Once upon a time.', 'The cat sat.', 'A dog ran home.', 'She was happy.'].map((line) => ({
    text: line,
  }))
  const model = fixture('models/stories260K')
  const { losses } = await train(sft, { data: await rows('text', text), model, output: at('text') })
  expect(losses.at(-1)).toBeLessThan(losses[0])
  expect(await readdir(at('text/model'))).toEqual(expect.arrayContaining(['tokenizer.json', 'tokenizer_config.json']))
})

it('starts DPO with LoRA at a loss of ln 2, since the reference model is the policy without its adapter', async () => {
  const data = await rows('dpo', pairs)
  const settings = { data, loraR: 4, maxSteps: 5, learningRate: 1e-2 }
  const { losses, steps } = await train(dpo, { ...settings, output: at('live') })
  expect(Math.abs(losses[0] - Math.LN2)).toBeLessThan(1e-6)
  expect(Math.abs(steps[0]['rewards/margins'] as number)).toBeLessThan(1e-5)
  expect(losses.at(-1)).toBeLessThan(0.69)
  // With a saved new adapter the reference model is a frozen copy; both equal the base model
  await train(dpo, { ...settings, learningRate: 1e-30, maxSteps: 1, output: at('fresh') })
  const frozen = { ...settings, loraR: undefined, adapter: at('fresh/adapter'), output: at('frozen') }
  const again = await train(dpo, frozen)
  for (const [i, loss] of again.losses.entries()) expect(Math.abs(loss - losses[i])).toBeLessThan(1e-5)
})

it('LoRA dropout depends on the seed alone, not on the memory plan', async () => {
  const data = await rows('sft', texts)
  const run = async (name: string, changes: object) => {
    const settings = { data, loraR: 4, loraDropout: 0.5, maxSteps: 3, learningRate: 1e-2, shuffle: false, seed: 1 }
    const { losses } = await train(sft, { ...settings, ...changes, output: at(name) })
    return { losses, hash: await hashOf(at(name)) }
  }
  const [one, same, low] = [await run('d1', {}), await run('d2', {}), await run('d3', { memory: 'low' })]
  expect(same).toEqual(one)
  for (const [i, loss] of low.losses.entries()) expect(Math.abs(loss - one.losses[i])).toBeLessThan(1e-6)
  expect((await run('d4', { seed: 2 })).losses).not.toEqual(one.losses)
  expect((await run('d5', { loraDropout: 0 })).losses).not.toEqual(one.losses)
})

const logistic: CustomLoss = ({ logps, refLogps, lengths }) => {
  const ratio = logps.sub(refLogps!)
  const column = (k: number) => ratio.slice(1, k, k + 1).reshape(['B'])
  const loss = column(0).sub(column(1)).mul(0.1).logSigmoid().neg().mean()
  return { loss, metrics: { 'mean length': lengths.mean() } }
}

it('takes a custom loss from a program, with gradient accumulation too', async () => {
  const data = await rows('dpo', pairs)
  const named = await train(dpo, { data, output: at('named') })
  const custom = await train(dpo, { data, output: at('custom') }, { loss: logistic })
  for (const [i, loss] of custom.losses.entries()) expect(Math.abs(loss - named.losses[i])).toBeLessThan(1e-6)
  expect(custom.steps[0]['mean length']).toBeGreaterThan(2)
  const accumulated = { data, batchSize: 2, gradAccum: 2, output: at('custom-accumulated') }
  const inBatches = await train(dpo, accumulated, { loss: logistic })
  for (const [i, loss] of inBatches.losses.entries()) expect(Math.abs(loss - named.losses[i])).toBeLessThan(1e-5)
})

it.each([
  ['sft', sft, texts, {}],
  ['dpo', dpo, pairs, {}],
  ['dpo', dpo, pairs, { loss: 'sigmoid:0.5,sft:0.5' }],
  ['dpo', dpo, pairs, { loss: 'orpo', orpoPrompt: true }],
] as [string, Recipe, object[], object][])(
  'gradient accumulation gives the results of one large batch: %s %#',
  async (name, recipe, all, settings) => {
    const data = await rows(name, all)
    const id = `${name}-${JSON.stringify(settings).length}`
    const whole = await train(recipe, { ...settings, data, batchSize: 8, output: at(`${id}-8`) })
    for (const batchSize of [4, 2]) {
      const output = at(`${id}-${batchSize}`)
      const accumulated = await train(recipe, { ...settings, data, batchSize, gradAccum: 8 / batchSize, output })
      for (const [i, loss] of accumulated.losses.entries()) expect(Math.abs(loss - whole.losses[i])).toBeLessThan(1e-5)
      expect(await weightsApart(at(`${id}-8`), output)).toBeLessThan(1e-5)
      for (const metric of ['nll_loss', 'rewards/margins', 'entropy'].filter((m) => m in whole.steps[0])) {
        const [a, b] = [whole.steps[0][metric] as number, accumulated.steps[0][metric] as number]
        expect(Math.abs(a - b)).toBeLessThan(0.2 * Math.abs(a) + 1e-3)
      }
    }
  },
)

it('splits a large batch into micro-batches without changing a bit of the result', async () => {
  // With hidden size 64 a pass takes 7,200 tokens
  const long = Array.from({ length: 32 }, (_, i) => ({
    input_ids: Array.from({ length: 256 }, (_, t) => 3 + ((i * 7 + t * 13) % 500)),
  }))
  const data = await rows('long', long)
  const settings = { data, model: fixture('models/stories260K'), maxSteps: 1, loraR: 2 }
  const whole = await train(sft, { ...settings, batchSize: 32, output: at('long-32') })
  const pieces = await train(sft, { ...settings, batchSize: 16, gradAccum: 2, output: at('long-16') })
  expect(whole.losses).toEqual(pieces.losses)
  expect(await weightsApart(at('long-32'), at('long-16'))).toBe(0)
  expect(whole.steps[0].entropy).toBe(pieces.steps[0].entropy)
})

describe('evaluation during training', () => {
  it('has the same loss for every batch size', async () => {
    const data = await rows('sft', texts)
    const evalData = [await rows('eval', texts.slice(0, 5))]
    const run = (name: string, batchSize: number) =>
      train(sft, { data, evalData, batchSize, maxSteps: 1, learningRate: 1e-30, output: at(name) })
    const [a, b] = [await run('e2', 2), await run('e5', 5)]
    expect(a.evals).toHaveLength(2)
    for (const [i, loss] of a.evals.entries()) expect(Math.abs(loss! - b.evals[i]!)).toBeLessThan(1e-5)
  })

  describe('on rows that prefer the opposite', () => {
    const common = async () => {
      const opposite = pairs.map(({ prompt, chosen, rejected }) => ({ prompt, chosen: rejected, rejected: chosen }))
      const evalData = [await rows('opposite', opposite)]
      const settings = { data: await rows('dpo', pairs), evalData, evalEvery: 1, schedule: 'constant', keep: 1 }
      return { ...settings, shuffle: false, learningRate: 3e-3 }
    }

    it('the result has the weights of the best step, and its end says so', async () => {
      const { end, evals } = await train(dpo, { ...(await common()), maxSteps: 4, output: at('kept') })
      expect(evals[0]).toBeLessThan(evals[3]!)
      expect(end).toMatchObject({ stopped: 'done', steps: 4, result_step: 1, best_step: 1, best_metric: 'eval_loss' })
      expect([end.best_value, end.last_value]).toEqual([evals[0], evals[3]])
      await train(dpo, { ...(await common()), maxSteps: 1, output: at('best') })
      expect(await hashOf(at('kept'))).toBe(await hashOf(at('best')))
      expect((await readdir(join(at('kept'), 'checkpoints'))).sort()).toEqual(['step-1', 'step-4'])
      expect(await readFile(join(at('kept'), 'report.html'), 'utf8')).toContain('has the weights of step 1, the best')
    })

    it('--patience ends the run there', async () => {
      const { end } = await train(dpo, { ...(await common()), patience: 2, maxSteps: 9, output: at('patience') })
      expect(end).toMatchObject({ stopped: 'patience', steps: 3, result_step: 1, best_step: 1 })
      expect(await hashOf(at('patience'))).toBe(await hashOf(at('best')))
    })

    it('a run that is killed before it has a result takes the best step too, when it is resumed', async () => {
      const settings = { ...(await common()), maxSteps: 4, output: at('killed') }
      await runUntil(dpo, settingsOf(dpo, settings), (event) => event.event === 'checkpoint' && event.step === 4)
      expect(await readdir(at('killed'))).not.toContain('model')
      const { end } = await train(dpo, { ...settings, resume: true })
      expect(end).toMatchObject({ steps: 4, result_step: 1, best_step: 1, last_value: expect.any(Number) })
      expect(await hashOf(at('killed'))).toBe(await hashOf(at('best')))
    })

    it('--best-metric none takes the last step', async () => {
      const last = { ...(await common()), bestMetric: 'none', maxSteps: 4, output: at('last') }
      expect((await train(dpo, last)).end.result_step).toBeUndefined()
      expect(await hashOf(at('last'))).not.toBe(await hashOf(at('best')))
    })

    it('a best checkpoint that was damaged meanwhile is named, and the result is the last step', async () => {
      const damage = (event: TrainEvent) => {
        if (event.event === 'checkpoint' && event.step === 4)
          truncateSync(join(at('damaged'), 'checkpoints', 'step-1', 'arena0.params'), 8)
      }
      const settings = { ...(await common()), maxSteps: 4, output: at('damaged') }
      const { end, events } = await train(dpo, settings, {}, damage)
      expect(events).toContainEqual(expect.objectContaining({ event: 'warning', code: 'no-best' }))
      expect(end.result_step).toBe(4)
      expect(await hashOf(at('damaged'))).toBe(await hashOf(at('last')))
    })
  })

  it('--eval-split takes its rows from the training rows', async () => {
    const data = await rows('sft', texts)
    const { events, evals } = await train(sft, { data, evalSplit: 0.25, maxSteps: 2, output: at('split') })
    expect(events[0]).toMatchObject({ rows: 6, eval_rows: 2 })
    expect(evals).toHaveLength(2)
  })
})
