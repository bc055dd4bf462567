import { describe, expect, it } from 'vitest'
import { fillNormal, fillUniform, permutation, philox, rng } from './rng.ts'

describe('philox', () => {
  // Known answers of Random123's kat_vectors.
  it('gives the published vectors', () => {
    expect([...philox(0, 0, [0, 0, 0, 0])]).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8])
    expect([...philox(-1, -1, [-1, -1, -1, -1])]).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd])
  })

  it('depends on seed, stream and counter alone', () => {
    expect(rng(7, 1).uniform(3)).toBe(rng(7, 1).uniform(3))
    expect(rng(7, 1).uniform(3)).not.toBe(rng(7, 2).uniform(3))
  })

  it('is uniform and normal to four standard errors', () => {
    const n = 20_000
    const random = rng(1)
    const mean = (f: (i: number) => number) => Array.from({ length: n }, (_, i) => f(i)).reduce((a, b) => a + b) / n
    expect(Math.abs(mean(random.uniform) - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / n))
    expect(Math.abs(mean(random.normal))).toBeLessThan(4 / Math.sqrt(n))
    expect(Math.abs(mean((i) => random.normal(i) ** 2) - 1)).toBeLessThan(4 * Math.sqrt(2 / n))
  })

  it('permutes', () => {
    expect([...permutation(50, rng(3))].sort((a, b) => a - b)).toEqual([...Array(50).keys()])
  })
})

describe('fills', () => {
  it('are the words of philox in order', () => {
    const out = fillUniform(new Float32Array(4099), { seed: 2 ** 32 * 5 + 9, stream: 3, substream: 4 }, 0, 1)
    const words = (i: number) => philox(9, 5, [i, 0, 3, 4])
    for (const i of [0, 1, 2, 3, 4095, 4096, 4098]) expect(out[i]).toBe(Math.fround(words(i >> 2)[i % 4] / 2 ** 32))
  })

  it('draw the normal quantile of each word', () => {
    const from = { seed: 1, stream: 2 }
    const uniform = fillUniform(new Float32Array(1000), from, 0, 1)
    const normal = fillNormal(new Float32Array(1000), from, 1)
    // by bisection of the distribution function
    const cdf = (z: number) => {
      let sum = 0
      const step = z / 2000
      for (let i = 0; i < 2000; i++) sum += Math.exp(-(((i + 0.5) * step) ** 2) / 2)
      return 0.5 + (sum * step) / Math.sqrt(2 * Math.PI)
    }
    for (let i = 0; i < 1000; i += 7) expect(cdf(normal[i])).toBeCloseTo(uniform[i], 6)
  })

  it('have the moments of a normal', () => {
    const n = 1 << 20
    const x = fillNormal(new Float32Array(n), { seed: 7 }, 2)
    const mean = (f: (v: number) => number) => x.reduce((sum, v) => sum + f(v), 0) / n
    expect(Math.abs(mean((v) => v))).toBeLessThan(8 / Math.sqrt(n))
    expect(Math.abs(mean((v) => v * v) - 4)).toBeLessThan(16 * Math.sqrt(2 / n))
    expect(Math.abs(mean((v) => v ** 4) / 16 - 3)).toBeLessThan(4 * Math.sqrt(96 / n))
    expect(Math.max(...x.subarray(0, 100_000))).toBeGreaterThan(7)
  })
})
