/** A run that was stopped and resumed ends with the same bytes as an uninterrupted one. */
import { rm } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { dpo } from '../../src/recipes/dpo.ts'
import { kto } from '../../src/recipes/kto.ts'
import { sft } from '../../src/recipes/sft.ts'
import type { Recipe } from '../../src/recipes/trainer/recipe.ts'
import { hashOf, ids, logOf, stopAfter, testFolder, train } from '../support/training.ts'

const { at, rows } = testFolder()

// One row is too short to be used; it still counts in the order of rows
const texts = Array.from({ length: 9 }, (_, i) => ({ input_ids: ids(i, i === 4 ? 2 : 4 + ((5 * i) % 9)) }))
const pairs = texts.map((_, i) => ({ prompt: ids(i, 4), chosen: ids(50 + i, 2 + (i % 4)), rejected: ids(90 + i, 5) }))
const thumbs = pairs.map(({ prompt, chosen }, i) => ({ prompt, completion: chosen, label: i % 2 === 0 }))
const lora = { loraR: 2, learningRate: 1e-2 }

const runs: [string, Recipe, object[], object][] = [
  ['sft', sft, texts, { evalSplit: 0.2, evalEvery: 2, patience: 9, bestMetric: 'eval_loss' }],
  ['sft-lora-dropout', sft, texts, { ...lora, loraDropout: 0.3, memory: 'low' }],
  ['dpo', dpo, pairs, { gradAccum: 2, batchSize: 2 }],
  ['dpo-lora', dpo, pairs, lora],
  ['kto', kto, thumbs, { optimizer: 'rmsprop' }],
]

/** Metrics of the steps and evaluations in a log, without times. */
const metricsOf = async (output: string) =>
  (await logOf(output))
    .filter(({ event }) => event === 'step' || event === 'eval')
    .map(({ seconds: _, tokens_per_second: __, time: ___, ...metrics }) => metrics)

describe.each(runs)('%s', (name, recipe, all, changes) => {
  it('resumes to the same weights and metrics as an uninterrupted run', async () => {
    const settings = { weightDecay: 0.1, maxSteps: 6, ...changes, data: await rows(name, all) }
    const whole = await train(recipe, { ...settings, output: at(`${name}-whole`) })
    expect(whole.steps).toHaveLength(6)
    const [output, stop] = [at(`${name}-resumed`), stopAfter(3)]
    const first = await train(recipe, { ...settings, output }, stop, stop.each)
    expect(first.end).toMatchObject({ stopped: 'interrupted', steps: 3 })
    const rest = await train(recipe, { ...settings, output, resume: true })
    expect(rest.events[0]).toMatchObject({ event: 'start', step: 3 })
    expect(rest.end).toMatchObject({ stopped: 'done', steps: 6 })
    expect(await hashOf(output)).toBe(await hashOf(at(`${name}-whole`)))
    expect(await metricsOf(output)).toEqual(await metricsOf(at(`${name}-whole`)))
  })
})

it('resumes to the same weights with another number of threads and another memory plan', async () => {
  const settings = { data: await rows('dpo', pairs), maxSteps: 6 }
  await train(dpo, { ...settings, output: at('threads-1') })
  const [output, stop] = [at('threads-2'), stopAfter(2)]
  await train(dpo, { ...settings, output }, stop, stop.each)
  await train(dpo, { ...settings, output, resume: true, threads: 2, memory: 'low' })
  expect(await hashOf(output)).toBe(await hashOf(at('threads-1')))
})

it('refuses to resume with other settings', async () => {
  const settings = { data: await rows('sft', texts), output: at('other') }
  await train(sft, { ...settings, maxSteps: 1 })
  const other = train(sft, { ...settings, maxSteps: 2, learningRate: 0.5, resume: true })
  await expect(other).rejects.toMatchObject({ exitCode: 2, message: expect.stringContaining('--learning-rate') })
})

it('computes reference log-probs before training only, however often the run is stopped', async () => {
  const settings = { data: await rows('dpo', pairs), maxSteps: 6, learningRate: 1e-2 }
  await train(dpo, { ...settings, output: at('reference') })
  const [output, stop] = [at('stopped'), stopAfter(2)]
  await train(dpo, { ...settings, output }, stop, stop.each)
  // As on another machine: the cache is empty, and the run is stopped again at once
  await rm(process.env.ATTUNE_CACHE!, { recursive: true })
  const again = new AbortController()
  const second = await train(dpo, { ...settings, output, resume: true }, again, ({ event }) => {
    if (event === 'start') again.abort()
  })
  expect(second.end).toMatchObject({ stopped: 'interrupted', steps: 2 })
  await train(dpo, { ...settings, output, resume: true })
  expect(await hashOf(output)).toBe(await hashOf(at('reference')))
})

it('resuming a finished run changes nothing', async () => {
  const settings = { data: await rows('sft', texts), output: at('ended'), maxSteps: 2 }
  await train(sft, settings)
  const before = await hashOf(at('ended'))
  const { steps, end } = await train(sft, { ...settings, resume: true })
  expect(steps).toEqual([])
  expect(end).toMatchObject({ stopped: 'done', steps: 2 })
  expect(await hashOf(at('ended'))).toBe(before)
})
