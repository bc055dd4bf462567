/** A vote while it is being made. */
import { describe, expect, it } from 'vitest'
import type { Mode, Scale, VoteRecord } from '../../../studio/labels/api.ts'
import { cleaned, letterOf, missing, onScreen, preferenceWords, startOf, summary } from './value.ts'

const rules = (mode: Mode, scales: Scale[] = []) => ({ mode, scales, strengths: 3 })
const record = (kind: VoteRecord['kind']) => ({ kind, value: { good: true } }) as VoteRecord

describe('a vote starts', () => {
  it('as the draft, else as the earlier vote, else as predicted; only a draft counts as changed', () => {
    const prediction = { ranks: [1, 2], by: 'judge' }
    expect(startOf({ draft: { note: 'x' }, vote: record('vote') })).toMatchObject({ from: 'draft', touched: true })
    expect(startOf({ draft: {}, vote: record('vote'), prediction })).toMatchObject({ from: 'vote', touched: false })
    expect(startOf({ vote: record('skip'), prediction })).toEqual({
      from: 'prediction',
      touched: false,
      value: { ranks: [1, 2] },
    })
  })
})

describe('a vote is not sent', () => {
  const shown = [1, 0]
  const state = (value: object, touched = true) => ({ value, touched, start: 'nothing' as const })
  it('untouched, in any mode', () => {
    for (const mode of ['rank', 'pair', 'rate', 'best', 'good', 'edit'] as const)
      expect(missing(rules(mode), state({ ranks: [1, 2], good: true, preference: 0 }, false), shown)).toBeTruthy()
    expect(missing(rules('rank'), { ...state({ ranks: [1, 2] }, false), start: 'prediction' }, shown)).toContain(
      'accept',
    )
  })
  it('with nothing said, but is with one rank, an edit, or all bad', () => {
    expect(missing(rules('rank'), state({ note: 'hm', ranks: [null, null] }), shown)).toContain('Nothing is ranked')
    expect(missing(rules('rank'), state({ ranks: [null, 1] }), shown)).toBe(undefined)
    expect(missing(rules('pair'), state({ edit: { text: 'x', from: 0 } }), shown)).toBe(undefined)
    expect(missing(rules('good'), state({ bothBad: true }), shown)).toBe(undefined)
  })
  it('before each response is rated on each scale', () => {
    const scales = [
      { name: 'Helpful', min: 1, max: 5 },
      { name: 'True', min: 0, max: 1 },
    ]
    const ratings = [{ Helpful: 3, True: 0 }, { Helpful: 4 }]
    expect(missing(rules('rate', scales), state({ ratings }), shown)).toBe('A has no rating yet on True')
  })
})

describe('a vote', () => {
  it('is sent without gaps and without what is empty', () => {
    expect(cleaned({ ranks: [3, null, 1], note: ' ', spans: [], bothBad: false })).toEqual({ ranks: [2, null, 1] })
    expect(cleaned({ preference: 0, ranks: [null, null], note: ' a ' })).toEqual({ preference: 0, note: 'a' })
  })
  it('names responses and sides by the screen', () => {
    expect([letterOf([2, 0, 1], 0), letterOf([2, 0, 1], 2)]).toEqual(['B', 'A'])
    expect([onScreen(-2, [0, 1]), onScreen(-2, [1, 0]), onScreen(0, [1, 0])]).toEqual([-2, 2, 0])
    expect([preferenceWords(-3, 3), preferenceWords(1, 1)]).toEqual(['A is much better', 'B is better'])
  })
  it('is told in one line', () => {
    const value = { ranks: [2, 1, null], note: 'n', spans: [{ response: 0, start: 0, end: 1, mark: 'bad' as const }] }
    expect(summary(value, [0, 1, 2], rules('rank'))).toBe('B > A, 1 unranked; 1 mark')
    expect(summary({ preference: 1, ranks: [2, 1] }, [1, 0], rules('pair'))).toBe('A is slightly better')
    expect(summary({}, [0], rules('good'))).toBe('nothing')
  })
})
