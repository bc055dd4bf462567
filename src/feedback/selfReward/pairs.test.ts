import { expect, it } from 'vitest'
import { bestAgainstWorst, meanScore, pairAgreement } from './pairs.ts'

it('the mean is that of the scores that could be read', () => {
  expect(meanScore([4, undefined, 3])).toBe(3.5)
  expect(meanScore([0])).toBe(0)
  expect(meanScore([undefined])).toBeUndefined()
})

it.each([
  [[1, 4, 2, 3], { chosen: 1, rejected: 0 }],
  [[undefined, 4, 2, undefined], { chosen: 1, rejected: 2 }],
  // Of equal scores the first
  [[1, 4, 4, 1], { chosen: 1, rejected: 0 }],
  [[undefined, 4, undefined, undefined], 'fewer-than-two-scored'],
  [[undefined, undefined, undefined, undefined], 'fewer-than-two-scored'],
  [[3, 3, undefined, 3], 'equal-scores'],
])('scores %j give %j', (scores, pair) => {
  expect(bestAgainstWorst(['a', 'b', 'c', 'd'], scores)).toEqual(pair)
})

it('the same text is no pair, whatever its scores', () => {
  expect(bestAgainstWorst(['a', 'b', 'a'], [1, 2, 3])).toBe('equal-texts')
})

it('counts the pairs that people ranked apart', () => {
  const rankings = [
    { ranks: [1, 2, 3], scores: [5, 5, 1] },
    { ranks: [2, 1], scores: [4, 3] },
    { ranks: [1, 1, null], scores: [1, 2, 3] },
    { ranks: [1, 2], scores: [3, undefined] },
  ]
  expect(pairAgreement(rankings)).toEqual({ same: 2, tied: 1, other: 1, unscored: 1 })
})
