import { describe, expect, it } from 'vitest'
import { evaluate } from '../runtime/interpreter.ts'
import { constant } from '../tensor/tensor.ts'
import { bubbleSort, meanAdvantages, pairLoss, ranksOf } from './pairRanking.ts'

/** The order that a sort comes to, and the pairs that it asked for. */
const sorted = (count: number, better: (i: number, j: number) => number) => {
  const sort = bubbleSort(count)
  const asked: string[] = []
  let next = sort.next()
  while (!next.done) {
    const [i, j] = next.value
    asked.push(`${i},${j}`)
    next = sort.next(better(i, j))
  }
  return { order: next.value, asked }
}

describe('rankings of pair scores', () => {
  it('the mean of both orders over all candidates, the candidate itself among them', () => {
    const logits = [
      [0, 2, 0.5],
      [-1, 0, 1],
      [0.25, -2, 0],
    ]
    const expected = [(2 + 1 + 0.5 - 0.25) / 3, (-1 - 2 + 1 + 2) / 3, (0.25 - 0.5 - 2 - 1) / 3]
    for (const [i, value] of meanAdvantages(logits).entries()) expect(value).toBeCloseTo(expected[i], 12)
  })

  it('equal scores share the rank of the first', () => {
    expect(ranksOf([1, 3, 3, 2])).toEqual([4, 1, 1, 3])
    expect(ranksOf([0, 0])).toEqual([1, 1])
  })

  it('a bubble sort finds the order of consistent scores, asks for no pair twice in a pass, and stops when sorted', () => {
    const scores = [0.3, -1, 5, 2.5, 0.1]
    const { order } = sorted(5, (i, j) => scores[i] - scores[j])
    expect(order).toEqual([2, 3, 0, 4, 1])
    const already = sorted(4, (i, j) => j - i)
    expect(already.order).toEqual([0, 1, 2, 3])
    expect(already.asked).toEqual(['2,3', '1,2', '0,1'])
  })

  it('of equal candidates the first stays first', () => {
    expect(sorted(3, () => 0).order).toEqual([0, 1, 2])
  })
})

describe('the loss of a pair', () => {
  const value = (kind: 'difference' | 'labels', better: number, worse: number) =>
    evaluate([pairLoss(constant([better]), constant([worse]), kind)], {})[0].data[0]
  const logSigmoid = (x: number) => -Math.log1p(Math.exp(-x))

  it('of the difference, and of both scores with labels', () => {
    expect(value('difference', 1.5, -0.5)).toBeCloseTo(-logSigmoid(2), 6)
    expect(value('labels', 1.5, -0.5)).toBeCloseTo(-(logSigmoid(1.5) + logSigmoid(0.5)) / 2, 6)
    // A head that scores all candidates high learns nothing from the labels' positive part alone
    expect(value('labels', 10, 10)).toBeGreaterThan(value('labels', 0, 0))
  })
})
