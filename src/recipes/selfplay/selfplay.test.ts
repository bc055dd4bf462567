import { describe, expect, it } from 'vitest'
import { selfPlayMetrics } from './evaluation.ts'
import { type Candidate, isComparable, type List, rankedOf, ranksOf, tripletRanks } from './lists.ts'

/** Candidates by key, in order of rank: the data, helper models, the policy. */
const candidates = (...keys: string[]): Candidate[] =>
  keys.map((key, k) => ({
    role: k === 0 ? 'data' : k < keys.length - 1 ? 'helper' : 'own',
    ids: [k],
    rank: k + 1,
    key,
  }))

describe('ranks of equal completions', () => {
  it.each<[string[], number[], number[]]>([
    [
      ['a', 'b', 'c'],
      [1, 2, 3],
      [1, 2, 3],
    ],
    // The helper model says what the data says
    [
      ['a', 'a', 'c'],
      [1, 0, 3],
      [1, 1, 3],
    ],
    // The policy says what the data says
    [
      ['a', 'b', 'a'],
      [1, 2, 0],
      [1, 2, 1],
    ],
    // The policy says what the helper model says
    [
      ['a', 'b', 'b'],
      [1, 2, 0],
      [1, 2, 2],
    ],
    [
      ['a', 'a', 'a'],
      [1, 0, 0],
      [1, 1, 1],
    ],
  ])('%s', (keys, dropped, tied) => {
    expect(ranksOf(candidates(...keys), 'drop')).toEqual(dropped)
    expect(ranksOf(candidates(...keys), 'tie')).toEqual(tied)
  })

  it('leave nothing to compare where only one completion is left', () => {
    expect(isComparable(ranksOf(candidates('a', 'a'), 'drop'))).toBe(false)
    expect(isComparable(ranksOf(candidates('a', 'b', 'a'), 'drop'))).toBe(true)
  })

  it('stay those of the roles in T-SPIN', () => {
    expect(tripletRanks(candidates('a', 'b', 'b'), 'drop')).toEqual([1, 2, 0])
    expect(tripletRanks(candidates('a', 'a', 'b'), 'drop')).toEqual([1, 0, 3])
    expect(tripletRanks(candidates('a', 'a', 'a'), 'tie')).toEqual([1, 2, 3])
  })
})

const list = (replies: number[][], refs: number[], ranks = [1, 2]): List => ({
  row: 0,
  from: 1,
  odd: [],
  prompt: [9],
  roles: ['data', 'own'],
  replies,
  ranks,
  refs,
})

it('a list reaches the objective without the completions that are left out', () => {
  const { example, refLogps } = rankedOf({ ...list([[1], [2]], [-1, -2], [1, 0]), dropped: 'equal' })
  expect(example).toMatchObject({ prompt: [9], responses: [[1]], ranks: [1] })
  expect(refLogps).toEqual([-1])
})

describe('evaluation metrics of self-play', () => {
  const scored = [
    { list: list([[1, 2], [3]], [-4, -2]), logps: [-2, -3] },
    { list: list([[4], [5]], [-1, -1]), logps: [-2, -1.5] },
    // The own completion is the data's
    {
      list: list(
        [
          [6, 7],
          [6, 7],
        ],
        [-1, -1],
        [1, 0],
      ),
      logps: [-3, -3],
    },
  ]

  it('compare rewards relative to the snapshot', () => {
    const metrics = selfPlayMetrics(scored, { beta: 0.5, referenceFree: false })
    // Margins 0.5 * (2 + 1), 0.5 * (-1 + 0.5), 0
    const margins = [1.5, -0.25, 0]
    const mean = 1.25 / 3
    const deviation = Math.sqrt(margins.reduce((sum, m) => sum + (m - mean) ** 2, 0) / 2)
    expect(metrics).toMatchObject({ 'eval_logps/data': -7 / 3, 'eval_logps/own': -2.5, eval_nll: 7 / 5 })
    expect(metrics.eval_margin).toBeCloseTo(mean, 12)
    expect(metrics.eval_margin_high).toBeCloseTo(mean + (1.959964 * deviation) / Math.sqrt(3), 6)
    expect(metrics.eval_margin_low).toBeCloseTo(mean - (1.959964 * deviation) / Math.sqrt(3), 6)
    expect(metrics.eval_win_rate).toBe(0.5)
    expect(metrics.eval_likelihood_win_rate).toBe(0.5)
  })

  it('compare log-probs alone for T-SPIN', () => {
    // 0.5 * (-2 + 3), 0.5 * (-2 + 1.5), 0
    expect(selfPlayMetrics(scored, { beta: 0.5, referenceFree: true }).eval_margin).toBeCloseTo(0.25 / 3, 12)
  })
})
