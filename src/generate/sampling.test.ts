import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  allCandidates,
  type Candidates,
  candidates,
  keepMinP,
  keepTopK,
  keepTopP,
  penalizeRepetition,
  probabilities,
  sample,
  scaleTemperature,
} from './sampling.ts'

type Case = { transforms: [string, number][]; logits: number[]; history: number[]; probs: number[] }

const golden = new URL('../../test/fixtures/maths/sampling.json.gz', import.meta.url)
const { cases } = JSON.parse(gunzipSync(readFileSync(golden)).toString()) as { cases: Case[] }

const transforms: Record<string, (left: Candidates, value: number, history: number[]) => Candidates> = {
  temperature: scaleTemperature,
  top_k: keepTopK,
  top_p: keepTopP,
  min_p: keepMinP,
  repetition_penalty: penalizeRepetition,
}

const known = cases.filter((each) => each.transforms.every(([name]) => name in transforms))

/** Largest difference from probabilities of all tokens; removed ones have 0. */
const difference = ({ ids, logits }: Candidates, expected: readonly number[]) => {
  const found = expected.map(() => 0)
  for (const [i, prob] of probabilities(logits).entries()) found[ids[i]] = prob
  return Math.max(...found.map((prob, i) => Math.abs(prob - expected[i])))
}

describe('transforms', () => {
  it('agree with transformers', () => {
    for (const { transforms: list, logits, history, probs } of known) {
      let left = allCandidates(Float64Array.from(logits))
      for (const [name, value] of list) left = transforms[name](left, value, history)
      expect(difference(left, probs), JSON.stringify(list)).toBeLessThan(1e-14)
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
      expect(difference(candidates(Float64Array.from(logits), options, history), probs)).toBeLessThan(1e-14)
    }
    expect(combined.length).toBe(18)
  })

  it('keep the likeliest token whatever the settings', () => {
    const flat = new Float64Array(50)
    for (const p of [0, 1e-20, 0.001]) expect(keepTopP(allCandidates(flat), p).ids).toEqual(Uint32Array.of(49))
    expect(keepMinP(allCandidates(Float64Array.of(1, 3, 2)), 1).ids).toEqual(Uint32Array.of(1))
  })
})

describe('sample', () => {
  const logits = Float64Array.of(2, 1, 0, -1, -30)
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
    expect(sample(Float32Array.of(0, 5, 5), { temperature: 0 }, [], at(0))).toBe(1)
    expect(sample(Float32Array.of(4, 5, 1), { temperature: 0, repetitionPenalty: 2 }, [1], at(0))).toBe(0)
  })
})
