/** `--find-lr` of the methods that learn from rows: it suggests a rate at which the loss falls, and leaves nothing behind. */
import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { dpo } from '../../src/recipes/dpo.ts'
import { grpo } from '../../src/recipes/grpo.ts'
import { kto } from '../../src/recipes/kto.ts'
import { reward } from '../../src/recipes/reward.ts'
import { sft } from '../../src/recipes/sft.ts'
import { spin } from '../../src/recipes/spin.ts'
import type { Recipe } from '../../src/recipes/trainer/recipe.ts'
import { ids, testFolder, train } from '../support/training.ts'

const { at, rows } = testFolder()

const pairs = Array.from({ length: 8 }, (_, i) => ({ prompt: ids(i, 4), chosen: ids(50, 6), rejected: ids(90 + i, 5) }))
const thumbs = pairs.map(({ prompt, chosen, rejected }, i) => ({
  prompt,
  completion: i % 2 ? chosen : rejected,
  label: i % 2 === 1,
}))
const texts = pairs.map(({ prompt, chosen }) => ({ prompt, completion: chosen }))

const methods: [string, Recipe, object[], object][] = [
  ['sft', sft, texts, {}],
  ['dpo', dpo, pairs, {}],
  ['kto', kto, thumbs, { loraR: 4 }],
  ['reward', reward, pairs, { loraR: 4 }],
]

describe.each(methods)('%s', (name, recipe, all, lora) => {
  it('suggests a learning rate and leaves no folder', async () => {
    const settings = { ...lora, data: await rows(name, all), findLr: true, output: at(`runs/${name}`) }
    const { events } = await train(recipe, settings)
    const found = events.at(-1)!
    expect(found).toMatchObject({ event: 'found-lr', learning_rate: expect.any(Number) })
    const { learning_rate, fall, start } = found as unknown as Record<string, number>
    expect(learning_rate).toBeGreaterThan(1e-6)
    expect(learning_rate).toBeLessThan(0.1)
    expect(fall).toBeGreaterThan(0.05 * start)
    expect(existsSync(at('runs'))).toBe(false)
  })
})

it.each<[string, Recipe, RegExp]>([
  ['grpo', grpo, /compare their rewards/],
  ['spin', spin, /compare their held-out margins/],
])('%s is refused with what to do instead', async (name, recipe, advice) => {
  const more = name === 'grpo' ? { reward: ['letters=regex:e'] } : { learningRate: [1e-3] }
  const refused = train(recipe, { ...more, data: await rows(name, pairs), findLr: true, output: at('refused') })
  await expect(refused).rejects.toMatchObject({ exitCode: 2, message: expect.stringMatching(advice) })
  expect(existsSync(at('refused'))).toBe(false)
})
