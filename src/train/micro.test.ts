/**
 * A micro-batch gives the same result however it is split: into packed batches, parts of the step, chunks of the head.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { largestDifference } from '../../test/support/golden.ts'
import { goldenModel } from '../../test/support/model.ts'
import { pack, packs } from '../data/batch.ts'
import type { TextExample } from '../data/examples.ts'
import { chunkRows } from '../passes/head.ts'
import type { Handle } from '../runtime/backend.ts'
import { openBackend } from '../runtime/open.node.ts'
import { rng } from '../util/rng.ts'
import type { LossFunction } from './loss.ts'
import { type MicroBatch, trainMicro } from './micro.ts'
import { evaluate, joinMetrics } from './step.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())
const model = await goldenModel(backend, 'llama-tied')

const text = (stream: number, length: number): TextExample => {
  const { uniform } = rng(9, stream)
  const ids = Array.from({ length }, (_, i) => 3 + Math.floor(uniform(i) * 125))
  return { ids, targets: ids.map(() => 1), truncated: false }
}

/** The sum over targets of -logp, over `items`; and a metric. */
const likelihood: LossFunction = {
  name: 'likelihood',
  stats: ['logps', 'correct'],
  trace: ({ logps, correct, array }) => ({
    loss: logps.sum().div(array('items', [])).neg(),
    metrics: { 'share correct': correct.mean() },
  }),
}
const trees = (texts: readonly TextExample[]) =>
  texts.map(({ ids, targets }) => ({ trunk: ids, trunkTargets: targets, branches: [] }))
const count = (texts: readonly TextExample[]) => texts.reduce((n, { ids }) => n + ids.length - 1, 0)
const micro = (texts: readonly TextExample[], items: number, how: typeof packs = packs): MicroBatch => ({
  packs: how(trees(texts), 0),
  arrays: { items: { values: Float32Array.of(items), shape: [] } },
  weight: count(texts),
})

const run = async (batches: readonly MicroBatch[], names: (name: string) => boolean = () => true) => {
  const gradients = new Map<string, Handle>()
  for (const [name, { shape }] of model.params) if (names(name)) gradients.set(name, backend.zeros(shape))
  let loss = 0
  for (const batch of batches) {
    const result = trainMicro(model, batch, likelihood, 'fast', gradients, 0)
    loss += (await backend.read(result.vector))[0]
    expect(result.names).toEqual(['share correct'])
  }
  return { loss, gradients }
}

const expectAlike = async (a: Awaited<ReturnType<typeof run>>, b: Awaited<ReturnType<typeof run>>) => {
  expect(Math.abs(a.loss - b.loss)).toBeLessThan(2e-6 * Math.abs(b.loss))
  for (const [name, handle] of a.gradients) {
    const [x, y] = [await backend.read(handle), await backend.read(b.gradients.get(name)!)]
    const largest = y.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    expect(largestDifference(x, y), name).toBeLessThan(2e-5 * largest)
  }
}

describe('loss and gradients', () => {
  const texts = [3, 60, 17, 25, 9, 44].map((length, i) => text(i, length))
  const long = [...texts, ...Array.from({ length: 6 }, (_, i) => text(20 + i, 64))]
  const items = count(texts)

  it('do not depend on packs', async () => {
    // Trees of 190 and more tokens go apart from short ones
    const branches = (n: number) => Array.from({ length: n }, (_, k) => text(60 + k, 30).ids)
    const forest = [{ trunk: text(1, 40).ids, branches: branches(5) }, ...trees(texts)]
    const batch = (how: typeof packs): MicroBatch => ({ ...micro([], items), packs: how(forest, 5) })
    expect(batch(packs).packs.length).toBeGreaterThan(1)
    await expectAlike(await run([batch(packs)]), await run([batch((all, K) => [pack(all, K)])]))
  })

  it('do not depend on how a step is cut', async () => {
    const parts = [texts.slice(0, 1), texts.slice(1, 4), texts.slice(4)].map((part) => micro(part, items))
    await expectAlike(await run(parts), await run([micro(texts, items)]))
  })

  it('do not depend on whether the head is trained', async () => {
    const inBlocks = (name: string) => name.includes('.layers.')
    const frozen = await run([micro(long, 9)], inBlocks)
    expect(frozen.gradients.size).toBeLessThan(model.params.size)
    await expectAlike(frozen, await run([micro(long, 9)]))
  })

  it('do not depend on chunks of the head', async () => {
    const many = Array.from({ length: 131 }, (_, i) => text(i, 64))
    expect(count(many)).toBeGreaterThan(chunkRows(128))
    const halves = [many.slice(0, 70), many.slice(70)].map((half) => micro(half, 1e4))
    await expectAlike(await run([micro(many, 1e4)]), await run(halves))
  })
})

describe('chunks of the head', () => {
  it('hold 64 MiB of logits at most, where that is a few rows', () => {
    expect(chunkRows(49_152)).toBe(320)
    expect(chunkRows(128)).toBe(8192)
    expect(chunkRows(10_000_000)).toBe(32)
  })
})

describe('metrics', () => {
  it('add losses and average the rest over the micro-batches that have it', () => {
    const joined = joinMetrics([
      { loss: 1, a: 2, b: Number.NaN },
      { loss: 2, a: 4, b: 3 },
    ])
    expect(joined).toEqual({ loss: 3, a: 3, b: 3 })
    expect(joinMetrics([{ loss: 1, b: Number.NaN }]).b).toBeNaN()
  })

  it('of an evaluation weigh each batch by what it counts', async () => {
    const texts = [40, 5, 12].map((length, i) => text(i, length))
    async function* each(groups: readonly TextExample[][]) {
      for (const group of groups) yield micro(group, count(group))
    }
    const trainer = { model, loss: likelihood, head: {} }
    const whole = await evaluate(trainer, each([texts]))
    const parts = await evaluate(trainer, each([texts.slice(0, 1), texts.slice(1)]))
    expect(Object.keys(parts)).toEqual(['eval_loss', 'eval_share correct'])
    expect(Math.abs(parts.eval_loss - whole.eval_loss)).toBeLessThan(1e-6 * whole.eval_loss)
  })
})
