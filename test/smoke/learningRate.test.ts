/** A learning rate that is not given: which one a run takes, and that its run.json holds it. */
import { expect, it } from 'vitest'
import { dpo } from '../../src/recipes/dpo.ts'
import { spin } from '../../src/recipes/spin.ts'
import { learningRates } from '../../src/recipes/trainer/learningRates.ts'
import { readInfo } from '../../src/runs/run.node.ts'
import { ids, stopAfter, testFolder, train } from '../support/training.ts'

const { at, rows } = testFolder()
const pairs = Array.from({ length: 6 }, (_, i) => ({
  prompt: ids(i, 4),
  chosen: ids(50 + i, 3),
  rejected: ids(90 + i, 5),
}))
const rateOf = async (output: string) => (await readInfo(output)).config.learningRate

it('is that of all weights, and of LoRA for a new adapter and for one that goes on', async () => {
  const settings = { data: await rows('pairs', pairs), learningRate: undefined, maxSteps: 2 }
  const { full, lora } = learningRates.dpo
  const first = await train(dpo, { ...settings, output: at('full') })
  expect(await rateOf(at('full'))).toBe(full.default)
  expect(first.steps[0].learning_rate).toBe(full.default)
  const adapted = await train(dpo, { ...settings, loraR: 2, output: at('lora') })
  expect(await rateOf(at('lora'))).toBe(lora.default)
  await train(dpo, { ...settings, adapter: adapted.end.output, output: at('further') })
  expect(await rateOf(at('further'))).toBe(lora.default)
  // --model names a run with an adapter
  await train(dpo, { ...settings, model: at('lora'), output: at('of-a-run') })
  expect(await rateOf(at('of-a-run'))).toBe(lora.default)
})

it('is that of the run that is resumed, whatever the default is now', async () => {
  const settings = { data: await rows('pairs', pairs), maxSteps: 3, output: at('resumed') }
  const stop = stopAfter(1)
  await train(dpo, { ...settings, learningRate: 1e-6 }, stop, stop.each)
  const rest = await train(dpo, { ...settings, learningRate: undefined, resume: true })
  expect(rest.end).toMatchObject({ stopped: 'done', steps: 3 })
  expect(rest.steps[0].learning_rate).toBeCloseTo(1e-6 * (2 / 3), 12)
  expect(await rateOf(at('resumed'))).toBe(1e-6)
})

it('is a list with one rate in self-play', async () => {
  const data = await rows(
    'texts',
    pairs.map(({ prompt, chosen }) => ({ prompt, completion: chosen })),
  )
  const settings = { data, learningRate: undefined, maxSteps: 1, iterations: 1, maxNewTokens: 4, exactMatch: false }
  await train(spin, { ...settings, output: at('played') })
  expect(await rateOf(at('played'))).toEqual([learningRates.spin.full.default])
})
