/** Every architecture compared with transformers: logits, log-probs and the gradient of each parameter. */
import { afterAll, describe, expect, it } from 'vitest'
import {
  headIsTrained,
  logitsPass,
  targetStates,
  targetStatesBackward,
  tokenPass,
  trainedHeadBackward,
} from '../../src/passes/head.ts'
import { place } from '../../src/passes/layout.ts'
import { backward, forward, type Plan } from '../../src/passes/stack.ts'
import { openBackend } from '../../src/runtime/open.node.ts'
import { fixtureJson, fixtureTensors, largestDifference } from '../support/golden.ts'
import { goldenModel, goldenModels, packRows } from '../support/model.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const goldenRows = async (golden: Awaited<ReturnType<typeof fixtureTensors>>, prefix: string) => {
  const [B, T] = golden.shape(`${prefix}input_ids`)
  const mask = await golden.ints(`${prefix}attention_mask`)
  return { B, T, mask, batch: packRows(await golden.ints(`${prefix}input_ids`), mask, B) }
}

describe.each(goldenModels)('%s equals transformers', async (name) => {
  const golden = await fixtureTensors(`models/${name}/golden.safetensors`)
  const model = await goldenModel(backend, name)

  it.each(['', 'left_'])('in logits and log-probs (%spadded batch)', async (prefix) => {
    const { B, T, batch } = await goldenRows(golden, prefix)
    const placed = place(model, { ...batch, targets: { index: Array.from(batch.ids, (_, n) => n), label: batch.ids } })
    const { hidden } = forward(model, placed, 'none')
    const logits = await backend.read(logitsPass(model, targetStates(model, hidden, placed)))
    const expected = await golden.floats(`${prefix}logits`)
    const V = model.config.vocab_size
    for (let n = 0; n < batch.ids.length; n++) {
      const row = expected.subarray(batch.places[n] * V, (batch.places[n] + 1) * V)
      expect(largestDifference(logits.subarray(n * V, (n + 1) * V), row)).toBeLessThan(1e-4)
    }
    const targets = place(model, batch)
    const states = targetStates(model, forward(model, targets, 'none').hidden, targets)
    const logps = await backend.read(tokenPass(model, states, targets, ['logps']).logps)
    const goldenLogps = await golden.floats(`${prefix}logps`)
    const at = Array.from(batch.targets.index, (n) => batch.places[n])
    const wanted = at.map((p) => goldenLogps[Math.floor(p / T) * (T - 1) + (p % T)])
    expect(largestDifference(logps, wanted)).toBeLessThan(1e-4)
    expect(B).toBeGreaterThan(1)
  })

  // GPT-2 has no RoPE, so its config is the same in both versions; version 4 did not know the others
  it.skipIf(['gpt2', 'ministral3', 'qwen3.5', 'gemma4', 'gemma4-dense', 'gemma4-moe'].includes(name))(
    'with the config.json of transformers 4 too',
    async () => {
      const old = await goldenModel(backend, name, 'config.v4.json')
      expect(old.config.rope).toEqual(model.config.rope)
      expect({ ...old.config, raw: 0, rope: 0 }).toEqual({ ...model.config, raw: 0, rope: 0 })
    },
  )

  it.each<Plan>(['fast', 'low'])('in the gradient of every parameter, with --memory %s', async (plan) => {
    const { T, batch } = await goldenRows(golden, '')
    const labels = await golden.ints('labels')
    const counted = Array.from(batch.targets.index, (n) => labels[batch.places[n] + 1] !== -100)
    const count = counted.filter(Boolean).length
    const placed = place(model, batch)
    const trained = [...model.params].filter(([key]) => !model.architecture.isFixed?.(key))
    const gradients = new Map(trained.map(([key, { shape }]) => [key, backend.zeros(shape)]))
    const { hidden, trail } = forward(model, placed, plan, gradients)
    const h = targetStates(model, hidden, placed)
    const scales = backend.put(
      Float32Array.from(counted, (c) => (c ? -1 / count : 0)),
      [counted.length],
    )
    expect(headIsTrained(model, gradients)).toBe(true)
    const dh = trainedHeadBackward(model, h, placed, scales, gradients)
    backward(model, trail, targetStatesBackward(model, hidden, placed, dh, gradients), gradients)
    const { zero_gradients: zero } = await fixtureJson(`models/${name}/golden.json`)
    for (const [key, handle] of gradients) {
      const expected = await golden.floats(`grad.${key}`)
      const largest = Math.max(...expected.map(Math.abs))
      const difference = largestDifference(await backend.read(handle), expected)
      expect(difference, key).toBeLessThan(zero.includes(key) ? 1e-6 : 1e-4 * largest)
    }
    expect(T).toBeGreaterThan(0)
  })
})
