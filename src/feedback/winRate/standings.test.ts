/** What is said of models: who is better, when nobody can tell, and what to be careful about. */
import { describe, expect, it } from 'vitest'
import type { JudgedPair } from './judgements.ts'
import { standingsOf } from './standings.ts'

const pair = (i: number, preferred: number | undefined, lengths: [number, number]): JudgedPair => ({
  item: `${i}`,
  a: 'old',
  b: 'new',
  preferred,
  lengths,
  baseline: false,
})

/** 200 prompts, of which the new model wins so many. Its answer is longer where it wins. */
const judged = (wins: number, more = 0) =>
  Array.from({ length: 200 }, (_, i) =>
    pair(i, Number(i < wins), [100, i < wins ? 100 + more + (i % 7) : 90 - (i % 5)]),
  )

describe('standings', () => {
  it('name the better model of two, once', () => {
    const { standings, words } = standingsOf(judged(140))
    expect(standings.map(({ model }) => model)).toEqual(['new', 'old'])
    expect(words).toHaveLength(1)
    expect(words[0]).toMatch(/^new is preferred to old: new wins 70.0 % ± 6\.\d of 200 comparisons/)
  })

  it('say that it cannot be told where the interval holds 50 %', () => {
    expect(standingsOf(judged(104)).words[0]).toMatch(/^These judgements do not tell whether/)
  })

  it('have an interval where one model wins all, by Wilson', () => {
    const few = standingsOf(judged(200).slice(0, 3))
    expect(few.words[0]).toBe(
      'These judgements do not tell whether new is better than old: it wins 100.0 % (43.9 to 100.0) of 3 comparisons, ties one half, and 50 % lies within.',
    )
    expect(standingsOf(judged(200).slice(0, 10)).words[0]).toMatch(
      /^new is preferred to old: new wins 100.0 % \(72\.2 to 100\.0\) of 10 comparisons/,
    )
    expect(few.standings[0]).toMatchObject({ standard_error: 0, win_rate_low: expect.closeTo(43.85, 2) })
  })

  it('count judgements without a verdict', () => {
    const pairs = [...judged(140), ...Array.from({ length: 50 }, (_, i) => pair(200 + i, undefined, [1, 1]))]
    const { standings, words } = standingsOf(pairs)
    expect(standings[0]).toMatchObject({ n: 200, n_dropped: 50, win_rate: 70 })
    expect(words.at(-1)).toBe('20.0 % of the judgements have no verdict and count nowhere.')
  })

  it('have ratings that say the same as the win rate, and none where one model won all', () => {
    const { standings } = standingsOf(judged(140), { ratings: 'bt' })
    const [a, b] = standings.map(({ rating }) => rating!)
    expect(a - b).toBeCloseTo((400 * Math.log(7 / 3)) / Math.LN10, 6)
    expect(standings[0].rating_low! < a && a < standings[0].rating_high!).toBe(true)
    const all = standingsOf(judged(200), { ratings: 'bt' })
    expect(all.standings[0]).toMatchObject({ rating: null, win_rate: 100 })
    expect(all.words.at(-1)).toContain('no finite ratings')
    const elo = standingsOf(judged(140), { ratings: 'elo' }).standings
    expect(elo[0].rating! - elo[1].rating!).toBeGreaterThan(80)
  })
})
