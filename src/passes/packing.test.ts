/**
 * Packed trees against separate rows, and rows in parts against whole ones: K responses that share their prompt, and several trees in one row, give the
 * log-probabilities and gradients of each prompt with each response in a row of its own.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { largestDifference } from '../../test/support/golden.ts'
import { goldenModel } from '../../test/support/model.ts'
import { type PackedBatch, pack, type Tree } from '../data/batch.ts'
import { openBackend } from '../runtime/open.node.ts'
import { rng } from '../util/rng.ts'
import { targetStates, targetStatesBackward, tokenPass, trainedHeadBackward } from './head.ts'
import { place } from './layout.ts'
import type { Model } from './model.ts'
import { backward, forward, type Plan } from './stack.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const ids = (stream: number, length: number) => {
  const { uniform } = rng(3, stream)
  return Array.from({ length }, (_, i) => 3 + Math.floor(uniform(i) * 120))
}

/** Prompts longer than a window of five, one response to nine; short trees that share a row with others. */
const trees: Tree[] = [
  { trunk: ids(0, 11), branches: [ids(1, 6), ids(2, 3), ids(3, 9)] },
  { trunk: ids(4, 4), branches: [ids(5, 5)] },
  { trunk: ids(6, 7), trunkTargets: [0, 1, 1, 1, 1, 1, 1], branches: [] },
  { trunk: ids(7, 2), branches: Array.from({ length: 9 }, (_, k) => ids(8 + k, 1 + (k % 3))) },
  { trunk: ids(20, 3), branches: [ids(21, 2), ids(22, 2)] },
]
const K = 9

/** Each branch with a copy of its prompt; and the log-probability of every target by (sequence, place in it). */
const alone: Tree[] = trees.flatMap(({ trunk, trunkTargets, branches }) => [
  ...branches.map((branch) => ({ trunk, branches: [branch] })),
  ...(trunkTargets ? [{ trunk, trunkTargets, branches: [] }] : []),
])

/** How much a target counts: by what it predicts, so alike in both. */
const scaleOf = (label: number) => Math.sin(label)

const run = async (model: Model, batch: PackedBatch, plan: Plan, parts = 1) => {
  const placed = place(model, batch, parts)
  const gradients = new Map([...model.params].map(([name, { shape }]) => [name, backend.zeros(shape)]))
  const { hidden, trail } = forward(model, placed, plan, gradients)
  const h = targetStates(model, hidden, placed)
  const { logps } = tokenPass(model, h, placed, ['logps'])
  const labels = Array.from(batch.targets.label)
  const scales = backend.put(Float32Array.from(labels, scaleOf), [labels.length])
  const dh = trainedHeadBackward(model, h, placed, scales, gradients)
  backward(model, trail, targetStatesBackward(model, hidden, placed, dh, gradients), gradients)
  return { logps: await backend.read(logps), gradients }
}

/** Log-probabilities by sequence, in the order of `alone`. */
const inOrder = (logps: Float32Array, { targets }: PackedBatch, order: readonly number[]) =>
  order.flatMap((s) => Array.from(logps).filter((_, m) => targets.sequence[m] === s))

describe.each([
  'llama-tied',
  'mistral-sliding',
  'smollm3',
  'gemma2',
  'gpt2',
  'olmo3',
  'ministral3',
  'lfm2-biased',
  'qwen3.5',
  'gemma4',
  'gpt-oss',
])('%s', async (name) => {
  const model = await goldenModel(backend, name)
  const [packed, separate] = [pack(trees, K), pack(alone, 1)]
  const packedOrder = trees.flatMap(({ branches, trunkTargets }, g) => [
    ...branches.map((_, k) => g * K + k),
    ...(trunkTargets ? [trees.length * K + g] : []),
  ])
  const aloneOrder = alone.map(({ branches }, g) => (branches.length ? g : alone.length + g))

  it('shares rows', () => {
    expect(packed.B).toBeLessThan(trees.length)
    expect(packed.ids.length).toBeLessThan(0.7 * separate.ids.length)
  })

  it.each<Plan>(['fast', 'low'])('log-probabilities and gradients on the %s plan', async (plan) => {
    const [a, b] = [await run(model, packed, plan), await run(model, separate, plan)]
    const difference = largestDifference(inOrder(a.logps, packed, packedOrder), inOrder(b.logps, separate, aloneOrder))
    expect(difference).toBeLessThan(1e-5)
    for (const [key, handle] of a.gradients) {
      const [x, y] = [await backend.read(handle), await backend.read(b.gradients.get(key)!)]
      const largest = Math.max(...y.map(Math.abs))
      expect(largestDifference(x, y), key).toBeLessThan(1e-5 * Math.max(largest, 0.1))
    }
  })

  it.each([2, 4, 5])('rows in %i parts, of which tokens see those up to their own', async (parts) => {
    const [a, b] = [await run(model, packed, 'fast', parts), await run(model, packed, 'fast')]
    expect(packed.T % 5).toBeGreaterThan(0)
    expect(largestDifference(a.logps, b.logps)).toBeLessThan(1e-5)
    for (const [key, handle] of a.gradients) {
      const [x, y] = [await backend.read(handle), await backend.read(b.gradients.get(key)!)]
      const largest = Math.max(...y.map(Math.abs))
      expect(largestDifference(x, y), key).toBeLessThan(1e-5 * Math.max(largest, 0.1))
    }
  })
})
