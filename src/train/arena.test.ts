/** Arenas, the optimizer's update over slices of them, and saving and restoring them. */
import { afterAll, describe, expect, it } from 'vitest'
import { largestDifference } from '../../test/support/golden.ts'
import { optimizer } from '../optim/optimizers.ts'
import { sliceSize } from '../runtime/backend.ts'
import { openBackend } from '../runtime/open.node.ts'
import { bytesOf } from '../util/bytes.ts'
import { fillUniform } from '../util/rng.ts'
import { makeArenas, viewsOf } from './arena.ts'
import { restoreState, stateBytes, stateFiles } from './state.ts'
import { makeUpdater } from './update.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

// One that crosses slices, between small ones; the norm does not decay
const entries = [
  { name: 'a', shape: [2, 3], decays: true },
  { name: 'norm', shape: [5], decays: false },
  { name: 'b', shape: [sliceSize + 7], decays: true },
]
const random = (stream: number, length: number) =>
  fillUniform(new Float32Array(length), { seed: 5, stream }, -0.5, 0.5) as Float32Array<ArrayBuffer>
const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

/** Arenas with these values in their parameters and gradients. */
const filled = (method = optimizer('adamw', { weightDecay: 0.1 })) => {
  const arenas = makeArenas(backend, entries, method.state)
  const [params, grads] = [viewsOf(backend, arenas, 'params'), viewsOf(backend, arenas, 'grads')]
  for (const [i, { name, shape }] of entries.entries()) {
    backend.write(params.get(name)!, random(i, size(shape)))
    backend.write(grads.get(name)!, random(10 + i, size(shape)))
  }
  return { arenas, params, grads, updater: makeUpdater(backend, arenas, method) }
}

it('puts what decays and what does not side by side', async () => {
  const { arenas, params } = filled()
  expect(arenas.map(({ decays, size: n, entries: of }) => [decays, n, of.map(({ offset }) => offset)])).toEqual([
    [true, 6 + sliceSize + 7, [0, 6]],
    [false, 5, [0]],
  ])
  expect([...params.keys()]).toEqual(['a', 'b', 'norm'])
  expect(params.get('a')!.shape).toEqual([2, 3])
  expect((await backend.read(arenas[0].params)).subarray(6, 12)).toEqual(random(2, 6))
})

describe('the update', () => {
  it('is AdamW on every slice, without decay where there is none', async () => {
    const { updater, params } = filled()
    const [learningRate, gradScale] = [0.01, 0.5]
    updater.update({ step: 1, learningRate, gradScale })
    for (const [i, { name, shape, decays }] of entries.entries()) {
      const [before, grad] = [random(i, size(shape)), random(10 + i, size(shape))]
      const after = await backend.read(params.get(name)!)
      const expected = before.map((x, j) => {
        const g = gradScale * grad[j]
        // The first step's moments are g and g^2 once their bias is taken out
        return x * (decays ? 1 - learningRate * 0.1 : 1) - (learningRate * g) / (Math.abs(g) + 1e-8)
      })
      const apart = after.map((x, j) => Math.abs(x - expected[j]))
      expect(apart.reduce((a, b) => Math.max(a, b), 0)).toBeLessThan(1e-6)
    }
  })

  it('has the norm of all gradients, and clears them', async () => {
    const { updater, arenas } = filled()
    const squares = entries.map(({ shape }, i) => random(10 + i, size(shape)).reduce((sum, x) => sum + x * x, 0))
    const norm = Math.sqrt(squares.reduce((a, b) => a + b))
    expect(Math.abs((await updater.norm()) / norm - 1)).toBeLessThan(1e-5)
    backend.write(arenas[1].grads, Float32Array.of(Number.NaN), 3)
    expect(await updater.norm()).toBeNaN()
    updater.zeroGradients()
    expect(await updater.norm()).toBe(0)
  })
})

describe('a checkpoint', () => {
  const collect = async (chunks: AsyncIterable<Uint8Array>) => {
    const parts: Uint8Array[] = []
    for await (const chunk of chunks) parts.push(chunk.slice())
    return new Uint8Array(Buffer.concat(parts))
  }

  it('holds parameters and moments, and puts them back', async () => {
    const one = filled()
    one.updater.update({ step: 1, learningRate: 0.01, gradScale: 1 })
    const files = new Map<string, Uint8Array>()
    for (const [name, chunks] of Object.entries(stateFiles(backend, one.arenas))) files.set(name, await collect(chunks))
    expect([...files.values()].reduce((n, { length }) => n + length, 0)).toBe(stateBytes(one.arenas))
    const other = filled()
    await restoreState(backend, other.arenas, async (name) => bytesOf(name, files.get(name)!))
    for (const { updater } of [one, other]) updater.update({ step: 2, learningRate: 0.01, gradScale: 1 })
    for (const [i, arena] of one.arenas.entries())
      for (const key of ['params', 'm', 'v']) {
        const of = (a: typeof arena) => backend.read(key === 'params' ? a.params : a.state[key])
        expect(largestDifference(await of(other.arenas[i]), await of(arena))).toBe(0)
      }
  })

  it('of another model is refused', async () => {
    const { arenas } = filled()
    const file = async (name: string) => bytesOf(name, new Uint8Array(8))
    await expect(restoreState(backend, arenas, file)).rejects.toMatchObject({ code: 'bad-checkpoint', exitCode: 2 })
  })
})
