import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  allCandidates,
  type Candidates,
  keepEpsilon,
  keepMinP,
  keepTopH,
  keepTopK,
  keepTopP,
  keepTypical,
  probabilities,
  scaleTemperature,
  withoutBanned,
} from './candidates.ts'
import { penalizeGenerated, penalizeRepetition } from './penalties.ts'
import { candidatesOf, checkedOptions, type History, type SamplingOptions, sampleToken } from './sampling.ts'

type Case = {
  transforms: [string, number][]
  logits: number[]
  history: number[]
  prompt_length: number
  probs: number[]
}

const golden = new URL('../../test/fixtures/maths/sampling.json.gz', import.meta.url)
const { cases } = JSON.parse(gunzipSync(readFileSync(golden)).toString()) as { cases: Case[] }

const penalty =
  (change: (logits: Float64Array, value: number, each: Case) => void) =>
  (left: Candidates, value: number, each: Case) => {
    change(left.logits, value, each)
    return left
  }
const generated = ({ history, prompt_length }: Case) => history.slice(prompt_length)

const transforms: Record<string, (left: Candidates, value: number, each: Case) => Candidates> = {
  temperature: scaleTemperature,
  top_k: keepTopK,
  top_p: keepTopP,
  min_p: keepMinP,
  typical: keepTypical,
  epsilon: keepEpsilon,
  top_h: keepTopH,
  repetition_penalty: penalty((logits, value, { history }) => penalizeRepetition(logits, value, history)),
  presence_penalty: penalty((logits, presence, each) =>
    penalizeGenerated(logits, { presence, frequency: 0 }, generated(each)),
  ),
  frequency_penalty: penalty((logits, frequency, each) =>
    penalizeGenerated(logits, { presence: 0, frequency }, generated(each)),
  ),
}

const optionNames: Record<string, keyof SamplingOptions> = {
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
  typical: 'typicalP',
  epsilon: 'epsilonCutoff',
  top_h: 'topH',
  repetition_penalty: 'repetitionPenalty',
  presence_penalty: 'presencePenalty',
  frequency_penalty: 'frequencyPenalty',
}

/** Largest difference from probabilities of all tokens; removed ones have 0. */
const difference = ({ ids, logits }: Candidates, expected: readonly number[]) => {
  const found = expected.map(() => 0)
  for (const [i, prob] of probabilities(logits).entries()) found[ids[i]] = prob
  return Math.max(...found.map((prob, i) => Math.abs(prob - expected[i])))
}

const nothing: History = { seen: [], promptLength: 0, eosIds: new Set() }

describe('logits processors and warpers', () => {
  it('agree with transformers, each of them and in combination', () => {
    for (const each of cases) {
      let left = allCandidates(Float64Array.from(each.logits))
      for (const [name, value] of each.transforms) left = transforms[name](left, value, each)
      expect(difference(left, each.probs), JSON.stringify(each.transforms)).toBeLessThan(1e-14)
    }
    expect(cases.length).toBe(90)
  })

  it('come in the order of transformers', () => {
    for (const { transforms: list, logits, history, prompt_length, probs } of cases) {
      const options = { temperature: 1, ...Object.fromEntries(list.map(([name, x]) => [optionNames[name], x])) }
      const left = candidatesOf(Float64Array.from(logits), options, {
        ...nothing,
        seen: history,
        promptLength: prompt_length,
      })
      expect(difference(left, probs), JSON.stringify(list)).toBeLessThan(1e-14)
    }
  })

  it('keep the likeliest token whatever the settings', () => {
    const flat = new Float64Array(50)
    for (const p of [0, 1e-20, 0.001]) expect(keepTopP(allCandidates(flat), p).ids).toEqual(Uint32Array.of(49))
    expect(keepMinP(allCandidates(Float64Array.of(1, 3, 2)), 1).ids).toEqual(Uint32Array.of(1))
  })
})

describe('bans and biases', () => {
  const logits = Float64Array.of(1, 2, 3, 4)
  const ids = (options: Partial<SamplingOptions>, history: Partial<History> = {}) => [
    ...candidatesOf(logits, { temperature: 1, ...options }, { ...nothing, ...history }).ids,
  ]

  it('ban the token that would complete a bad word, but no end token by itself', () => {
    const badWords = [[2], [0, 1, 3], [1]]
    const eosIds = new Set([1])
    expect(ids({ badWords }, { seen: [1, 0, 1], eosIds })).toEqual([0, 1])
    expect(ids({ badWords }, { seen: [0, 2, 1], eosIds })).toEqual([0, 1, 3])
    expect(ids({ badWords }, { seen: [1], eosIds })).toEqual([0, 1, 3])
  })

  it('ban end tokens until there are minNewTokens', () => {
    const history = { promptLength: 2, eosIds: new Set([1, 3]) }
    expect(ids({ minNewTokens: 2 }, { ...history, seen: [0, 0, 0] })).toEqual([0, 2])
    expect(ids({ minNewTokens: 2 }, { ...history, seen: [0, 0, 0, 0] })).toEqual([0, 1, 2, 3])
  })

  it('add biases before anything else', () => {
    const logitBias = new Map([[0, 3.5]])
    expect(ids({ logitBias, topK: 2 })).toEqual([0, 3])
    expect(ids({ logitBias, repetitionPenalty: 4.5, topK: 1 }, { seen: [0] })).toEqual([3])
    expect(logits[0]).toBe(1)
  })

  it('may leave no token to sample', () => {
    const badWords = [[0], [1], [2], [3]]
    expect(ids({ badWords, topP: 0.5 })).toEqual([])
    expect(withoutBanned(allCandidates(Float64Array.of(Number.NEGATIVE_INFINITY, 1))).ids).toEqual(Uint32Array.of(1))
  })
})

describe('sample', () => {
  const logits = Float64Array.of(2, 1, 0, -1, -30)
  const sample = (
    row: Float32Array | Float64Array,
    options: SamplingOptions,
    position: number,
    seen: number[] = [],
  ): number =>
    sampleToken(candidatesOf(row, options, { ...nothing, seen }), options, { seed: 7, row: 3, sample: 1, position })!

  it('draws each token as often as it is likely', () => {
    const counts = [0, 0, 0, 0, 0]
    for (let position = 0; position < 20_000; position++) counts[sample(logits, { temperature: 1 }, position)]++
    const expected = probabilities(logits)
    // Five standard deviations of a share of 20,000 draws
    for (const [i, count] of counts.entries()) expect(Math.abs(count / 20_000 - expected[i])).toBeLessThan(0.018)
  })

  it('never draws a removed token, and takes the likeliest at temperature 0', () => {
    for (let position = 0; position < 500; position++)
      expect(sample(logits, { temperature: 5, topK: 2 }, position)).toBeLessThan(2)
    expect(sample(Float32Array.of(0, 5, 5), { temperature: 0 }, 0)).toBe(1)
    expect(sample(Float32Array.of(4, 5, 1), { temperature: 0, repetitionPenalty: 2 }, 0, [1])).toBe(0)
  })
})

describe('options at the edges of numbers', () => {
  const row = Float32Array.of(1, 3, 2.5, -4, 3)
  const history = { seen: [0, 1, 2, 3, 4, 4], promptLength: 4, eosIds: new Set<number>() }
  const of = { seed: 1, row: 0, sample: 0, position: 0 }
  const tiny = [5e-324, 1e-310, 1e-45, 1e-39]
  const asked: Partial<SamplingOptions>[] = [
    ...tiny.flatMap((x) => [{ topP: x }, { minP: x }, { typicalP: x }, { topH: x }, { epsilonCutoff: x }]),
    ...[...tiny, 1e39, 1e308].flatMap((x) => [{ repetitionPenalty: x }, { temperature: x }]),
    ...[1e308, -1e308, -0, 5e-324].flatMap((x) => [
      { presencePenalty: x },
      { frequencyPenalty: x },
      { logitBias: new Map([[3, x]]) },
    ]),
  ]
  it.each(asked)('%j takes a token', (more) => {
    for (const temperature of [0, -0, 1e-10, 1e-5, 1, 1e308]) {
      const options = checkedOptions({ temperature, topK: 4, ...more })
      expect(sampleToken(candidatesOf(row, options, history), options, of)).toBeOneOf([0, 1, 2, 3, 4])
    }
  })

  it('a tiny temperature is greedy, one that is not a number is refused', () => {
    for (const temperature of [...tiny, -0]) expect(checkedOptions({ temperature }).temperature).toBe(0)
    expect(() => checkedOptions({ temperature: Number.NaN })).toThrow('temperature is not a number')
    expect(() => checkedOptions({ temperature: 1, topP: Number.NaN })).toThrow('topP is not a number')
  })
})
