/** Ranks while a person orders responses. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compact, groupsOf, moved, orderBy, put, withRank } from './ranks.ts'

const screen = [2, 0, 1, 3]
const none = [null, null, null, null]

describe('ranks', () => {
  it('that are equal tie, and lose their gaps when compacted', () => {
    const ranks = withRank(withRank(withRank(none, 0, 3), 1, 1), 2, 3)
    expect(ranks).toEqual([3, 1, 3, null])
    expect(groupsOf(ranks)).toEqual([[1], [0, 2]])
    expect(compact(ranks)).toEqual([2, 1, 2, null])
    expect(withRank(ranks, 0, null)).toEqual([null, 1, 3, null])
  })

  it('follow the order of the screen when the first response is dropped before another', () => {
    expect(put(none, 3, 0, 'before', screen)).toEqual([3, 4, 1, 2])
    expect(put(none, 2, 3, 'after', screen)).toEqual([1, 2, 4, 3])
  })

  it('of unranked ones stay unranked when a response is dropped beside a ranked one', () => {
    expect(put([1, 2, null, null], 3, 0, 'after', screen)).toEqual([1, 3, null, 2])
  })

  it('of two tie when one is dropped onto the other', () => {
    expect(put([1, 2, 3, 4], 3, 0, 'tie', screen)).toEqual([1, 2, 3, 1])
    expect(put([1, 2, 1, null], 0, 1, 'tie', screen)).toEqual([2, 2, 1, null])
    expect(put(none, 1, 3, 'tie', screen)).toEqual([null, 1, null, 1])
  })

  it('move by one place, and out of a tie', () => {
    expect(moved([1, 2, 3, 4], 2, -1, screen)).toEqual([1, 3, 2, 4])
    expect(moved([1, 1, 2, null], 1, -1, screen)).toEqual([2, 1, 3, null])
    expect(moved([1, 1, 2, null], 1, 1, screen)).toEqual([1, 2, 3, null])
    expect(moved([1, 2, 3, 4], 0, -1, screen)).toEqual([1, 2, 3, 4])
  })

  it('of an unranked response: it enters at the end, or changes places with its neighbour where nothing is ranked', () => {
    expect(moved([1, null, null, null], 3, -1, screen)).toEqual([1, null, null, 2])
    expect(moved([1, null, null, null], 3, 1, screen)).toEqual([1, null, null, null])
    expect(moved(none, 0, -1, screen)).toEqual([1, 3, 2, 4])
    expect(moved(none, 2, 1, screen)).toEqual([1, 3, 2, 4])
    expect(moved(none, 2, -1, screen)).toEqual([2, 3, 1, 4])
    expect(moved(none, 3, 1, screen)).toEqual([2, 3, 1, 4])
  })

  it('order the screen: the ranked first', () => {
    expect(orderBy([null, 2, 1, null], [0, 1, 2, 3])).toEqual([2, 1, 0, 3])
  })

  it('stay without gaps and of the same length, whatever is done', () => {
    const ranksOfFour = fc.array(fc.option(fc.integer({ min: 1, max: 9 })), { minLength: 4, maxLength: 4 })
    const response = fc.integer({ min: 0, max: 3 })
    fc.assert(
      fc.property(ranksOfFour, response, response, fc.constantFrom('before', 'after', 'tie'), (ranks, a, b, place) => {
        for (const after of [
          compact(ranks),
          moved(compact(ranks), a, -1, screen),
          put(compact(ranks), a, b, place, screen),
        ]) {
          expect(after).toHaveLength(4)
          const used = [...new Set(after.filter((rank) => rank !== null))].sort()
          expect(used).toEqual(used.map((_, i) => i + 1))
        }
      }),
      { numRuns: 200 },
    )
  })
})
