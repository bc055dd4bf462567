import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromFloats, toFloats } from './convert.ts'
import type { Dtype } from './stored.ts'

const widen = (dtype: Dtype, bytes: Uint8Array) => toFloats(dtype, bytes, 'f', 't')
const every16 = new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer)

/** The value of a half by its definition (IEEE 754, 3.4). */
const half = (h: number): number => {
  const [sign, exponent, mantissa] = [h & 0x8000 ? -1 : 1, (h >> 10) & 31, h & 1023]
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return exponent ? sign * (1 + mantissa / 1024) * 2 ** (exponent - 15) : sign * mantissa * 2 ** -24
}

describe('widening', () => {
  it('gives every half its value, signs of zero included', () => {
    const values = widen('F16', every16)
    expect([...values].every((value, i) => Object.is(value, half(i)))).toBe(true)
  })

  it('gives every bfloat16 the fp32 that it begins', () => {
    const bits = new Uint32Array(widen('BF16', every16).buffer)
    expect([...bits].every((value, i) => value === i * 65536)).toBe(true)
  })

  it('takes unaligned bytes, doubles and integers', () => {
    const unaligned = (bytes: Uint8Array) => Uint8Array.of(7, ...bytes).subarray(1)
    const as = (dtype: Dtype, values: ArrayBufferView<ArrayBuffer>) => [
      ...widen(dtype, unaligned(new Uint8Array(values.buffer))),
    ]
    expect(as('F32', Float32Array.of(1.5, -2))).toEqual([1.5, -2])
    expect(as('F64', Float64Array.of(0.1, 1e300))).toEqual([Math.fround(0.1), Number.POSITIVE_INFINITY])
    expect(as('I64', BigInt64Array.of(-3n, 2n ** 53n + 1n))).toEqual([-3, 2 ** 53])
    expect(as('I8', Int8Array.of(-1, 5))).toEqual([-1, 5])
    expect(as('BOOL', Uint8Array.of(0, 1))).toEqual([0, 1])
  })

  it('does not copy aligned fp32', () => {
    const values = Float32Array.of(1, 2, 3)
    expect(widen('F32', new Uint8Array(values.buffer)).buffer).toBe(values.buffer)
  })

  it('refuses 8-bit floats by name', () => {
    expect(() => widen('F8_E4M3', new Uint8Array(1))).toThrow('tensor "t" is F8_E4M3')
  })
})

describe('narrowing', () => {
  it.each(['F16', 'BF16'] as const)('keeps every %s that is a number', (dtype) => {
    const values = widen(dtype, every16)
    const back = new Uint16Array(fromFloats(dtype, values).buffer)
    const wrong = [...back].filter((bits, i) => bits !== i && !Number.isNaN(values[i]))
    expect(wrong).toEqual([])
    expect(widen(dtype, fromFloats(dtype, Float32Array.of(Number.NaN)))[0]).toBeNaN()
  })

  it.each(['F16', 'BF16'] as const)('rounds to the nearest %s, ties to even', (dtype) => {
    const bitsOf = (value: number) => new Uint16Array(fromFloats(dtype, Float32Array.of(value)).buffer)[0]
    const value = (bits: number) => widen(dtype, new Uint8Array(Uint16Array.of(bits).buffer))[0]
    const largest = dtype === 'F16' ? 65504 : Math.fround(3.3895e38)
    fc.assert(
      fc.property(
        fc.oneof(fc.float({ min: 0, max: largest, noNaN: true }), fc.float({ min: 0, max: 2 ** -12 })),
        (x) => {
          if (Number.isNaN(x)) return
          const bits = bitsOf(x)
          const error = Math.abs(value(bits) - x)
          for (const other of [bits - 1, bits + 1]) {
            const there = other < 0 ? Number.POSITIVE_INFINITY : Math.abs(value(other) - x)
            expect(error < there || (error === there && bits % 2 === 0)).toBe(true)
          }
        },
      ),
      { numRuns: 2000 },
    )
    for (let bits = 0; bits < 0x7b00; bits++) {
      const middle = (value(bits) + value(bits + 1)) / 2
      if (Math.fround(middle) === middle) expect(bitsOf(middle)).toBe(bits + (bits % 2))
    }
  })

  it('goes to infinity where a half ends', () => {
    const back = widen('F16', fromFloats('F16', Float32Array.of(65519.99, 65520, -1e30)))
    expect([...back]).toEqual([65504, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
  })
})
