import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  keepMinP,
  keepTopK,
  keepTopP,
  penalizeRepetition,
  probabilities,
  sample,
  scaleTemperature,
  transformed,
} from './sampling.ts'

type Case = { transforms: [string, number][]; logits: number[]; history: number[]; probs: number[] }

const golden = new URL('../../test/fixtures/maths/sampling.json.gz', import.meta.url)
const { cases } = JSON.parse(gunzipSync(readFileSync(golden)).toString()) as { cases: Case[] }

const transforms: Record<string, (logits: Float64Array, value: number, history: number[]) => void> = {
  temperature: scaleTemperature,
  top_k: keepTopK,
  top_p: keepTopP,
  min_p: keepMinP,
  repetition_penalty: penalizeRepetition,
}

const known = cases.filter((each) => each.transforms.every(([name]) => name in transforms))

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i])))

describe('transforms', () => {
  it('agree with transformers', () => {
    for (const { transforms: list, logits, history, probs } of known) {
      const row = Float64Array.from(logits)
      for (const [name, value] of list) transforms[name](row, value, history)
      expect(largestDifference(probabilities(row), probs), JSON.stringify(list)).toBeLessThan(1e-14)
    }
    expect(known.length).toBe(48)
  })

  it('come in the order of transformers', () => {
    const combined = known.filter((each) => each.transforms.length > 1)
    for (const { transforms: list, logits, history, probs } of combined) {
      const given = Object.fromEntries(list)
      const options = {
        temperature: given.temperature,
        topK: given.top_k,
        topP: given.top_p,
        minP: given.min_p,
        repetitionPenalty: given.repetition_penalty,
      }
      expect(largestDifference(probabilities(transformed(logits, options, history)), probs)).toBeLessThan(1e-14)
    }
    expect(combined.length).toBe(18)
  })

  it('keep the likeliest token whatever the settings', () => {
    const flat = new Float64Array(50)
    for (const p of [0, 1e-20, 0.001]) {
      const row = flat.slice()
      keepTopP(row, p)
      expect(row.filter(Number.isFinite).length).toBe(1)
    }
    const row = Float64Array.of(1, 3, 2)
    keepMinP(row, 1)
    expect(row).toEqual(Float64Array.of(-Infinity, 3, -Infinity))
  })
})

describe('sample', () => {
  const logits = [2, 1, 0, -1, -30]
  const at = (position: number) => ({ seed: 7, row: 3, sample: 1, position })

  it('draws each token as often as it is likely', () => {
    const counts = [0, 0, 0, 0, 0]
    for (let position = 0; position < 20_000; position++) counts[sample(logits, { temperature: 1 }, [], at(position))]++
    const expected = probabilities(logits)
    // Five standard deviations of a share of 20,000 draws
    for (const [i, count] of counts.entries()) expect(Math.abs(count / 20_000 - expected[i])).toBeLessThan(0.018)
  })

  it('never draws what was removed, and takes the likeliest at temperature 0', () => {
    for (let position = 0; position < 500; position++)
      expect(sample(logits, { temperature: 5, topK: 2 }, [], at(position))).toBeLessThan(2)
    expect(sample([0, 5, 5], { temperature: 0 }, [], at(0))).toBe(1)
    expect(sample([4, 5, 1], { temperature: 0, repetitionPenalty: 2 }, [1], at(0))).toBe(0)
  })
})
