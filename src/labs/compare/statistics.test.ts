/**
 * The statistics of a comparison against hand-worked numbers, goldens of sacreBLEU, and simulated rewards. Of whole
 * simulated comparisons of policies that do not differ, at most 8 of 100 may find a difference.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { holm, makeDraws } from '../../statistics/resampling.ts'
import { type Rng, rng } from '../../util/rng.ts'
import { distinctNgrams, selfBleu, sentenceBleu, tokenize13a } from './diversity.ts'
import { bestOfN, completionKl, type PathPoint, rewardAtEqualKl } from './kl.ts'
import { scaleOf, standardized } from './rewards.ts'
import { comparePair, type JudgedPolicy, outcome } from './winRates.ts'

const draws = makeDraws(1, { resamples: 600, signs: 4000 })

// Simulated rewards: heavy tails, ties, failures, prompts of different difficulty

type World = { random: Rng; at: number }
const normal = (world: World) => world.random.normal(world.at++)
/** Student's t of two degrees of freedom, whose variance is infinite. */
const heavy = (world: World) => normal(world) / Math.hypot(normal(world), normal(world)) / Math.SQRT1_2
/** A few values only: a verifier, or a judge that marks from 1 to 10. */
const tied = (x: number) => Math.max(1, Math.min(10, Math.round(5.5 + 1.5 * x)))

const prompts = 40
const samples = 3

/** Quality of completions: that of the prompt, which all share, plus their own. A third of them are copies from `like`. */
const quality = (world: World, hardness: readonly number[], better: number, like?: number[][]): number[][] =>
  hardness.map((hard, i) =>
    Array.from({ length: samples }, (_, k) =>
      like && world.random.uniform(world.at++) < 1 / 3 ? like[i][k] : hard + better + heavy(world),
    ),
  )

/** Three judges of the same answers: heavy-tailed on an odd scale, marks with ties, and one with failures. */
const judges: readonly ((world: World, qualities: number[][]) => number[][])[] = [
  (_, answers) => answers.map((row) => row.map((x) => 1000 + 40 * x)),
  (world, answers) => answers.map((row) => row.map((x) => tied(0.5 * x + 0.5 * normal(world)))),
  (world, answers) => answers.map((row) => row.map((x) => (normal(world) > 2 ? Number.NaN : x > 0 ? 1 : 0))),
]

/** Of three policies the smallest p over all pairs and judges, corrected for all of them. */
const smallestP = (seed: number, better: number): number => {
  const world = { random: rng(seed, 77), at: 0 }
  const hardness = Array.from({ length: prompts }, () => heavy(world))
  const first = quality(world, hardness, better)
  const answers = [first, quality(world, hardness, 0, better ? undefined : first), quality(world, hardness, 0)]
  const lengths = [answers.map((run) => run.map((row) => row.map((x) => 50 + Math.round(10 * Math.abs(x)))))][0]
  const ps = judges.flatMap((judge) => {
    const rewards = answers.map((run) => judge(world, run))
    const side = (k: number): JudgedPolicy => ({ name: String(k), rewards: [rewards[k]], lengths: [lengths[k]] })
    return [
      [0, 1],
      [0, 2],
      [1, 2],
    ].map(([a, b]) => comparePair(side(a), side(b), 'judge', { draws: few }).p)
  })
  return Math.min(...holm(ps))
}
/** Intervals are not what is looked at there. */
const few = makeDraws(3, { resamples: 2, signs: 399 })

describe('simulated comparisons', () => {
  it('find a difference in at most 8 % of 200 where there is none', () => {
    const found = Array.from({ length: 200 }, (_, seed) => smallestP(seed, 0)).filter((p) => p < 0.05)
    expect(found.length).toBeLessThanOrEqual(16)
    // The test does reject sometimes
    expect(found.length).toBeGreaterThan(0)
  })

  it('find a difference that is there, through ties, heavy tails and failures', () => {
    const found = Array.from({ length: 20 }, (_, seed) => smallestP(seed, 2)).filter((p) => p < 0.05)
    expect(found.length).toBeGreaterThanOrEqual(18)
  })

  it('have intervals of win rates that cover the true value', () => {
    const intervals = makeDraws(4, { resamples: 400, signs: 9 })
    const covered = Array.from({ length: 200 }, (_, seed) => {
      const world = { random: rng(seed, 78), at: 0 }
      const hardness = Array.from({ length: 30 }, () => heavy(world))
      const [a, b] = [quality(world, hardness, 0), quality(world, hardness, 0)].map((run) => judges[1](world, run))
      const side = (rewards: number[][]): JudgedPolicy => ({ name: '', rewards: [rewards], lengths: [rewards] })
      const { low, high } = comparePair(side(a), side(b), '', { draws: intervals }).winRate
      return low <= 0.5 && high >= 0.5
    }).filter(Boolean)
    expect(covered.length).toBeGreaterThanOrEqual(184)
  })
})

describe('two policies under a judge', () => {
  it('count pairs of completions, with ties and failures', () => {
    expect(outcome([1, 2, Number.NaN], [2, Number.NaN])).toEqual({ wins: 0, ties: 1 / 2, losses: 1 / 2 })
    expect(outcome([Number.NaN], [2])).toBeUndefined()
  })

  it("have rewards in standard deviations of the base model's own", () => {
    const scale = scaleOf([[[1, 3], [Number.NaN]], [[5]]])!
    expect(scale).toEqual({ mean: 3, std: 2 })
    expect(standardized([[7, 1]], scale)).toEqual([[2, -1]])
    expect(scaleOf([[[2, 2]]])).toBeUndefined()
  })

  const random = rng(8)
  const noise = (i: number) => random.normal(i)
  const side = (name: string, answer: (i: number) => { reward: number; length: number }): JudgedPolicy => ({
    name,
    rewards: [Array.from({ length: 60 }, (_, i) => [answer(i).reward])],
    lengths: [Array.from({ length: 60 }, (_, i) => [answer(i).length])],
  })

  it('differ at equal length by what length does not explain', () => {
    const plain = side('b', (i) => ({ reward: noise(i), length: 100 }))
    const longer = (i: number) => 40 + 30 * noise(1000 + i)
    const wordy = side('a', (i) => ({ reward: noise(i) + 0.05 * longer(i), length: 100 + longer(i) }))
    const better = side('a', (i) => ({ reward: noise(i) + 2 + 0.01 * longer(i), length: 100 + longer(i) }))
    const options = { draws, scale: { mean: 0, std: 1 } }
    const byLength = comparePair(wordy, plain, 'judge', options)
    expect(byLength.p).toBeLessThan(0.001)
    expect(byLength.difference!.low).toBeGreaterThan(0)
    expect(byLength.controlled!.difference!.value).toBeCloseTo(0, 6)
    expect(comparePair(better, plain, 'judge', options).controlled!.difference).toMatchObject({
      value: expect.closeTo(2, 6),
    })
    expect(comparePair(plain, plain, 'judge', options).controlled).toBeUndefined()
  })

  it('have the interval of counted votes where one wins every prompt, and none for a single prompt', () => {
    const good = side('a', () => ({ reward: 1, length: 1 }))
    const bad = side('b', () => ({ reward: 0, length: 1 }))
    const { winRate } = comparePair(good, bad, 'judge', { draws })
    expect([winRate.value, winRate.high]).toEqual([1, expect.closeTo(1, 12)])
    expect(winRate.low).toBeCloseTo(0.9398, 3)
    const one = ({ name, rewards, lengths }: JudgedPolicy): JudgedPolicy => ({
      name,
      rewards: [rewards[0].slice(0, 1)],
      lengths: [lengths[0].slice(0, 1)],
    })
    expect(comparePair(one(good), one(bad), 'judge', { draws })).toMatchObject({
      p: Number.NaN,
      winRate: { value: 1, low: 0, high: 1 },
    })
  })

  it('of prompts that are alike in clusters are as sure as the clusters are many', () => {
    const copies = 5
    const [once, copied] = [1, copies].map((times) =>
      (['a', 'b'] as const).map((name, k): JudgedPolicy => {
        const random = rng(8, k)
        const each = Array.from({ length: 12 }, (_, i) => [random.normal(i) + 0.7 * (1 - k)])
        const rows = each.flatMap((row) => Array.from({ length: times }, () => row))
        return { name, rewards: [rows], lengths: [rows.map((row) => row.map((x) => Math.round(9 * x)))] }
      }),
    )
    const clusters = Array.from({ length: 12 * copies }, (_, i) => String(Math.floor(i / copies)))
    const options = { draws, scale: { mean: 0, std: 1 } }
    const clustered = comparePair(copied[0], copied[1], 'judge', { ...options, clusters })
    const close = (value: unknown): unknown =>
      typeof value === 'number'
        ? expect.closeTo(value, 9)
        : value && typeof value === 'object'
          ? Object.fromEntries(Object.entries(value).map(([name, each]) => [name, close(each)]))
          : value
    const expected = comparePair(once[0], once[1], 'judge', options)
    expect(clustered).toEqual(close({ ...expected, prompts: 12 * copies, clusters: 12 }))
    expect(comparePair(copied[0], copied[1], 'judge', options).p).toBeLessThan(expected.p / 10)
  })

  it('have an interval over training seeds', () => {
    const run = (rate: number) => Array.from({ length: 10 }, (_, i) => [i < 10 * rate ? 1 : -1])
    const zero = Array.from({ length: 10 }, () => [0])
    const of = (name: string, rewards: number[][][]): JudgedPolicy => ({ name, rewards, lengths: rewards })
    const found = comparePair(of('a', [run(0.6), run(0.7), run(0.8)]), of('b', [zero, zero, zero]), 'judge', {
      draws,
    })
    expect(found.winRate.value).toBeCloseTo(0.7, 12)
    // t of two degrees 4.303 times 0.1 / sqrt(3)
    expect(found.seeds).toEqual({
      value: expect.closeTo(0.7, 12),
      low: expect.closeTo(0.4516, 3),
      high: expect.closeTo(0.9484, 3),
    })
  })
})

describe('KL', () => {
  it('k1 and k3 of a completion are sums over its tokens', () => {
    const { k1, k3 } = completionKl([-1, -2], [-1.5, -1])
    expect(k1).toBeCloseTo(-0.5, 12)
    expect(k3).toBeCloseTo(Math.exp(-0.5) - 1 + 0.5 + (Math.exp(1) - 1 - 1), 12)
  })

  it('k1 and k3 both have the KL as their mean', () => {
    // P = [.2, .5, .3], Q = [.1, .4, .5], two tokens each on its own
    const [p, q] = [
      [0.2, 0.5, 0.3],
      [0.1, 0.4, 0.5],
    ]
    const sum = { k1: 0, k3: 0 }
    for (const i of [0, 1, 2])
      for (const j of [0, 1, 2]) {
        const each = completionKl([Math.log(p[i]), Math.log(p[j])], [Math.log(q[i]), Math.log(q[j])])
        sum.k1 += p[i] * p[j] * each.k1
        sum.k3 += p[i] * p[j] * each.k3
      }
    expect(sum).toEqual({ k1: expect.closeTo(2 * 0.0969535246, 9), k3: expect.closeTo(2 * 0.0969535246, 9) })
  })

  it('best of n is the mean over all choices of n', () => {
    const [one, two, three] = bestOfN([[[3, 1, 2]]], draws)
    expect([one.reward.value, two.reward.value, three.reward.value]).toEqual([
      ...[expect.closeTo(2, 12), expect.closeTo((3 + 3 + 2) / 3, 12), expect.closeTo(3, 12)],
    ])
    expect([one.kl, two.kl]).toEqual([0, expect.closeTo(Math.log(2) - 0.5, 12)])
  })

  const stop = (kl: number, reward: number): PathPoint => ({
    name: '',
    kl: Array.from({ length: 30 }, (_, i) => kl + 0.01 * (i % 3)),
    rewards: new Map([['judge', Array.from({ length: 30 }, (_, i) => reward + 0.01 * (i % 5))]]),
  })

  it('reward at equal KL is interpolated between the points of a run', () => {
    const far = [[stop(1, 0.5), stop(9, 1.5)]]
    const found = rewardAtEqualKl(far, [[stop(4, 1)]], 'judge', draws)!
    // At a root of 2, half way from 1 to 3
    expect(found.difference.value).toBeCloseTo(0, 2)
    expect(found.between).toBe(1)
    expect(found.kl.map(({ value }) => value)).toEqual([expect.closeTo(9.01, 9), expect.closeTo(4.01, 9)])
    expect(rewardAtEqualKl(far, [[stop(4, 0.2)]], 'judge', draws)!.difference.low).toBeGreaterThan(0.7)
    expect(rewardAtEqualKl([[stop(4, 1)]], far, 'judge', draws)).toBeUndefined()
  })
})

describe('diversity', () => {
  type Golden = {
    tokenized_13a: { text: string; tokens: string[] }[]
    sentence: { hypothesis: string; references: string[]; score: number }[]
  }
  const file = new URL('../../../test/fixtures/labs/bleu.json.gz', import.meta.url)
  const golden: Golden = JSON.parse(gunzipSync(readFileSync(file)).toString())

  it('tokenizes words as 13a does', () => {
    for (const { text, tokens } of golden.tokenized_13a) expect(tokenize13a(text), text).toEqual(tokens)
  })

  it('has the sentence BLEU of sacreBLEU', () => {
    expect(golden.sentence).toHaveLength(29)
    for (const { hypothesis, references, score } of golden.sentence)
      expect(sentenceBleu(tokenize13a(hypothesis), references.map(tokenize13a)), hypothesis).toBeCloseTo(score, 6)
  })

  it('counts distinct n-grams, and compares completions of a prompt', () => {
    const texts = ['a b a b', 'a b'].map(tokenize13a)
    expect([1, 2, 3].map((n) => distinctNgrams(texts, n))).toEqual([2 / 6, 2 / 4, 2 / 2])
    expect(distinctNgrams(texts, 1, 2)).toBe(1)
    expect(distinctNgrams(texts, 5)).toBeNaN()
    expect(selfBleu([tokenize13a('the same words here'), tokenize13a('the same words here')])).toBeCloseTo(100, 9)
    expect(selfBleu([tokenize13a('one two'), tokenize13a('three four')])).toBe(0)
    expect(selfBleu([tokenize13a('alone')])).toBeNaN()
  })
})
