import { describe, expect, it } from 'vitest'
import { agreeingDraw, agreesWithRanks, thinnedOut } from './eft.ts'

it('scores agree where every better answer has the higher one; ties and unranked answers demand nothing', () => {
  expect(agreesWithRanks([1, 2, 3], [5, 3, 0])).toBe(true)
  expect(agreesWithRanks([2, 1, 3], [3, 5, 0])).toBe(true)
  expect(agreesWithRanks([1, 2, 3], [5, 3, 3])).toBe(false)
  expect(agreesWithRanks([1, 2, 3], [3, 5, 0])).toBe(false)
  expect(agreesWithRanks([1, 1, 2], [2, 4, 1])).toBe(true)
  expect(agreesWithRanks([1, null, 2], [2, 5, 1])).toBe(true)
})

describe('agreeingDraw', () => {
  const judged = (...scores: (number | undefined)[]) => scores.map((score) => ({ text: `${score}`, score }))

  it('is the first that agrees with the ranks', () => {
    expect(agreeingDraw([1, 2], [judged(2, 4), judged(4, 1), judged(5, 0)])).toBe(1)
  })

  it('tells why there is none', () => {
    expect(agreeingDraw([1, 2], [judged(2, 4), judged(3, 3)])).toBe('other-order')
    expect(agreeingDraw([1, 2], [judged(5, undefined), judged(undefined, undefined)])).toBe('no-score')
    // One draw with all scores is enough to tell that they order otherwise
    expect(agreeingDraw([1, 2], [judged(5, undefined), judged(1, 2)])).toBe('other-order')
  })
})

describe('thinnedOut', () => {
  const scores = [4, 4, 4, 4, 4, 3, 3, 1]

  it('leaves as many of the commonest score as of the second', () => {
    const kept = scores.filter((_, i) => thinnedOut(scores, 7)[i])
    expect(kept.toSorted()).toEqual([1, 3, 3, 4, 4])
  })

  it('draws which ones by the seed', () => {
    const drawn = new Set(Array.from({ length: 20 }, (_, seed) => thinnedOut(scores, seed).join()))
    expect(drawn.size).toBeGreaterThan(3)
    expect(thinnedOut(scores, 7)).toEqual(thinnedOut(scores, 7))
  })

  it('leaves a single score alone', () => {
    expect(thinnedOut([2, 2], 1)).toEqual([true, true])
    expect(thinnedOut([], 1)).toEqual([])
  })
})
