import { describe, expect, it } from 'vitest'
import { rng } from '../util/rng.ts'
import { probabilities } from './candidates.ts'
import { candidatesFromTop, drawBlock, drawWithin, logitsNeeded, sum } from './partialLogits.ts'
import { candidatesOf, type SamplingOptions, sampleToken } from './sampling.ts'

const history = { seen: [], promptLength: 0, eosIds: new Set<number>() }
const V = 1000
const width = 40

/** Logits of one seed: more or less peaked, with equal ones among them. */
const row = (seed: number) => {
  const random = rng(seed)
  return Float32Array.from({ length: V }, (_, i) => Math.round(random.normal(i) * 8 * (1 + (seed % 4))) / 8)
}
const known = (logits: Float32Array, { temperature: T }: SamplingOptions) => {
  const ids = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b)
  const top = Float32Array.from(ids.slice(0, width), (id) => logits[id])
  const weights = logits.map((l) => Math.exp((l - top[0]) / T))
  return { ids: Float32Array.from(ids.slice(0, width)), top, mass: sum(weights), weights }
}

describe('sampling from a part of the logits', () => {
  it.each<[Partial<SamplingOptions>]>([
    [{ topK: 7 }],
    [{ topK: 30, topP: 0.8, minP: 0.02 }],
    [{ topP: 0.7 }],
    [{ topP: 0.95, temperature: 0.3, minP: 0.1 }],
    [{ minP: 0.05 }],
    [{ topP: 0.5, epsilonCutoff: 0.01 }],
  ])('leaves the candidates of the whole row, or cannot decide: %j', (given) => {
    const options = { temperature: 0.7, ...given }
    expect(logitsNeeded(options, width)).toBe('top')
    let decided = 0
    for (let seed = 0; seed < 60; seed++) {
      const logits = row(seed)
      const { ids, top, mass } = known(logits, options)
      const found = candidatesFromTop(ids, top, mass, options)
      if (!found) continue
      decided++
      const whole = candidatesOf(logits, options, history)
      expect(found.ids).toEqual(whole.ids)
      const expected = probabilities(whole.logits)
      for (const [i, p] of probabilities(found.logits).entries()) expect(p).toBeCloseTo(expected[i], 12)
    }
    expect(decided).toBeGreaterThan(10)
  })

  it('draws the token that the whole row draws, by the sums of blocks', () => {
    const options = { temperature: 1.3 }
    expect(logitsNeeded(options, width)).toBe('blocks')
    const logits = row(3)
    const { top, weights } = known(logits, options)
    const blocks = Float32Array.from({ length: 4 }, (_, b) => sum(weights.subarray(b * 256, (b + 1) * 256)))
    const left = candidatesOf(logits, options, history)
    for (let position = 0; position < 300; position++) {
      const { block, rest } = drawBlock(blocks, rng(9, 0, 2).uniform(position))
      const at = drawWithin(logits.subarray(block * 256, (block + 1) * 256), rest, top[0], options.temperature)
      expect(block * 256 + at).toBe(sampleToken(left, options, { seed: 9, row: 0, sample: 2, position }))
    }
  })

  it('ends in a token with some probability, however sums were rounded', () => {
    expect(drawBlock(Float32Array.of(0.5, 0.5, 0), 1 - 1e-17)).toEqual({ block: 1, rest: 0.5 })
    expect(drawWithin(Float32Array.of(0, 0, -2000), 5, 0, 1)).toBe(1)
  })

  it('is refused where penalties apply, or a limit needs all logits', () => {
    const needs = (options: Partial<SamplingOptions>) => logitsNeeded({ temperature: 1, ...options }, width)
    expect([needs({ repetitionPenalty: 1.1 }), needs({ typicalP: 0.9 }), needs({ topK: 40 })]).toEqual([
      'row',
      'row',
      'row',
    ])
    expect([needs({ temperature: 0 }), needs({ temperature: 0, minNewTokens: 3 })]).toEqual(['first', 'row'])
  })
})
