/** LoRA's dropout: it drops independently, repeats with its seed, and changes with it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileProgram } from '../onnx/model.ts'
import type { Backend, Executable } from '../runtime/backend.ts'
import { openBackend } from '../runtime/open.node.ts'
import { input } from '../tensor/tensor.ts'
import { loraUpdate } from './linear.ts'

const [N, C, rate] = [400, 300, 0.1]
let backend: Backend
let program: Executable

beforeAll(async () => {
  backend = await openBackend({ inProcess: true })
  const term = { A: input('unit', [C, C]), B: input('unit', [C, C]), scaling: 2, dropout: rate }
  const y = loraUpdate({ ...term, seed: input('seed', [1], 'i64') }, input('x', ['N', C]))
  program = backend.load(compileProgram('dropout', { y }))
})
afterAll(() => backend.close())

/** [N * C], 1 where ones stay. */
const stays = async (seed: number) => {
  const unit = backend.put(
    Float32Array.from({ length: C * C }, (_, i) => Number(i % (C + 1) === 0)),
    [C, C],
  )
  const x = backend.put(new Float32Array(N * C).fill(1), [N, C])
  const values = await backend.read(
    backend.run(program, { unit, x, seed: backend.put(BigInt64Array.of(BigInt(seed)), [1]) }).y,
  )
  expect([...new Set(values)].sort()).toEqual([0, Math.fround(2 / (1 - rate))])
  return values.map((value) => Number(value > 0))
}

const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length

/** Pearson's, of two equally long rows of coins. */
const correlation = (a: Float32Array, b: Float32Array) => {
  const [p, q] = [mean(a), mean(b)]
  return (mean(a.map((x, i) => x * b[i])) - p * q) / Math.sqrt(p * (1 - p) * q * (1 - q))
}

/** Shares of each group of `size`, as deviations from the rate in standard errors, squared and averaged: near 1. */
const spread = (shares: readonly number[], size: number) =>
  mean(shares.map((share) => (share - (1 - rate)) ** 2 / ((rate * (1 - rate)) / size)))

describe('dropout in front of an adapter', () => {
  it('keeps the asked share, in rows and columns as coins would', async () => {
    const kept = await stays(7)
    expect(Math.abs(mean(kept) - (1 - rate))).toBeLessThan(4 * Math.sqrt((rate * (1 - rate)) / kept.length))
    const rows = Array.from({ length: N }, (_, n) => mean(kept.subarray(n * C, (n + 1) * C)))
    const columns = Array.from({ length: C }, (_, c) => mean(kept.filter((_, i) => i % C === c)))
    for (const value of [spread(rows, C), spread(columns, N)]) expect(Math.abs(value - 1)).toBeLessThan(0.35)
  })

  it('ties no row, column or seed to its neighbour', async () => {
    const [kept, next, far] = [await stays(7), await stays(8), await stays(7919)]
    const bound = 4.5 / Math.sqrt(kept.length)
    for (const shift of [1, 2, C, 2 * C, C + 1])
      expect(Math.abs(correlation(kept.subarray(shift), kept.subarray(0, -shift)))).toBeLessThan(bound)
    for (const other of [next, far]) expect(Math.abs(correlation(kept, other))).toBeLessThan(bound)
  })

  it('comes again with its seed', async () => {
    expect(await stays(12)).toEqual(await stays(12))
  })
})
