import { describe, expect, it } from 'vitest'
import { permutation, philox, rng } from './rng.ts'

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
