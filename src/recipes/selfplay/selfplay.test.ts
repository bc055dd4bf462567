import { describe, expect, it } from 'vitest'
import { type Candidate, isList, type List, rankedOf, ranksOf, tripletRanks } from './lists.ts'
import { measuresOf } from './metrics.ts'

/** Answers by name, in order of rank: the data, helpers, its own. */
const answers = (...keys: string[]): Candidate[] =>
  keys.map((key, k) => ({
    role: k === 0 ? 'data' : k < keys.length - 1 ? 'helper' : 'own',
    ids: [k],
    rank: k + 1,
    key,
  }))

describe('equal answers', () => {
  it.each<[string[], number[], number[]]>([
    [
      ['a', 'b', 'c'],
      [1, 2, 3],
      [1, 2, 3],
    ],
    // The helper says what the data says
    [
      ['a', 'a', 'c'],
      [1, 0, 3],
      [1, 1, 3],
    ],
    // The model does
    [
      ['a', 'b', 'a'],
      [1, 2, 0],
      [1, 2, 1],
    ],
    // The model says what the helper says
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
    expect(ranksOf(answers(...keys), 'drop')).toEqual(dropped)
    expect(ranksOf(answers(...keys), 'tie')).toEqual(tied)
  })

  it('leave no list where only one is left', () => {
    expect(isList(ranksOf(answers('a', 'a'), 'drop'))).toBe(false)
    expect(isList(ranksOf(answers('a', 'b', 'a'), 'drop'))).toBe(true)
  })

  it('keep their roles in triplets', () => {
    expect(tripletRanks(answers('a', 'b', 'b'), 'drop')).toEqual([1, 2, 0])
    expect(tripletRanks(answers('a', 'a', 'b'), 'drop')).toEqual([1, 0, 3])
    expect(tripletRanks(answers('a', 'a', 'a'), 'tie')).toEqual([1, 2, 3])
  })
})

const list = (replies: number[][], refs: number[], ranks = [1, 2]): List => ({
  ...{ row: 0, from: 1, odd: [], prompt: [9], roles: ['data', 'own'], replies, ranks, refs },
})

it('a list as the objective takes it lacks what is left out', () => {
  const { example, refs } = rankedOf({ ...list([[1], [2]], [-1, -2], [1, 0]), dropped: 'equal' })
  expect(example).toMatchObject({ prompt: [9], responses: [[1]], ranks: [1] })
  expect(refs).toEqual([-1])
})

describe('measures', () => {
  const scored = [
    { list: list([[1, 2], [3]], [-4, -2]), logps: [-2, -3] },
    { list: list([[4], [5]], [-1, -1]), logps: [-2, -1.5] },
    // Its own answer is the data's
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

  it('are those of rewards against the snapshot', () => {
    const measures = measuresOf(scored, { beta: 0.5, referenceFree: false })
    // Margins 0.5 * (2 + 1), 0.5 * (-1 + 0.5), 0
    const margins = [1.5, -0.25, 0]
    const mean = 1.25 / 3
    const deviation = Math.sqrt(margins.reduce((sum, m) => sum + (m - mean) ** 2, 0) / 2)
    expect(measures).toMatchObject({ 'eval_logps/data': -7 / 3, 'eval_logps/own': -2.5, eval_nll: 7 / 5 })
    expect(measures.eval_margin).toBeCloseTo(mean, 12)
    expect(measures.eval_margin_high).toBeCloseTo(mean + (1.959964 * deviation) / Math.sqrt(3), 6)
    expect(measures.eval_margin_low).toBeCloseTo(mean - (1.959964 * deviation) / Math.sqrt(3), 6)
    expect(measures.eval_win_rate).toBe(0.5)
    expect(measures.eval_likelihood_win_rate).toBe(0.5)
  })

  it('of T-SPIN are those of log-probs alone', () => {
    // 0.5 * (-2 + 3), 0.5 * (-2 + 1.5), 0
    expect(measuresOf(scored, { beta: 0.5, referenceFree: true }).eval_margin).toBeCloseTo(0.25 / 3, 12)
  })
})
