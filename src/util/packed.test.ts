import { expect, it } from 'vitest'
import { pack, unpack } from './packed.ts'

it('gives plain data and typed arrays back, which own their memory', () => {
  const value = {
    floats: Float32Array.of(1.5, -0, Number.NaN, Number.POSITIVE_INFINITY),
    whole: BigInt64Array.of(5n, -(2n ** 62n)),
    ids: [1, 2, 3],
    none: undefined,
    numbers: [0.1, Number.NaN, 2 ** 53],
    nested: [{ text: 'ä\u0000' }],
  }
  const back = unpack(pack(value)) as typeof value
  expect(back).toEqual(value)
  expect(Object.is(back.floats[1], -0)).toBe(true)
  expect(back.floats.buffer.byteLength).toBe(16)
})

it('gives equal bytes for equal values', () => {
  const value = () => ({ a: Float32Array.of(0.25), b: [{ c: 1, d: 'x' }] })
  expect(pack(value())).toEqual(pack(value()))
})

it('refuses bytes that are cut off', () => {
  expect(() => unpack(pack([1, 2, 3]).subarray(0, 2))).toThrow()
})
