/** The answer that bias figures give, and that few judgements give none. */
import { describe, expect, it } from 'vitest'
import { meanFigure } from '../../feedback/bias/figure.ts'
import type { BiasFigures, FailureFigures } from '../../feedback/bias/figures.ts'
import { type Orders, positionFigures } from '../../feedback/bias/position.ts'
import { beliefOf } from './belief.ts'

const share = (yes: number, n: number) =>
  meanFigure(Array.from({ length: n }, (_, i) => ({ item: `${i}`, value: Number(i < yes) })))!

/** Pairs of which so many are steady, lean to the first, or have no verdict. */
const position = (same: number, first: number, error = 0) => {
  const orders: Orders['orders'][] = [
    ...Array(same).fill(['A', 'A']),
    ...Array(first).fill(['A', 'B']),
    ...Array(error).fill(['error', 'A']),
  ]
  return positionFigures(orders.map((each, i) => ({ item: `${i}`, orders: each })))
}

const failures = (failing: number, n: number): FailureFigures => ({
  wrong: share(failing, n),
  undecided: share(0, n),
  failure: share(failing, n),
  error: share(0, n),
})

const good: BiasFigures = {
  judge: 'J',
  pairs: 400,
  position: position(380, 20),
  agreement: { judge_human_no_ties: share(330, 400) },
  padding: { ...failures(8, 200), by: 'rule', made: 0, left: 0 },
  math: { modes: { plain: failures(10, 200) }, ownQuestions: true },
}

describe('may this judge be believed?', () => {
  it('yes, where nothing is found in enough judgements', () => {
    const { answer, headline, points } = beliefOf(good)
    expect(points.map(({ name, grade }) => `${name} ${grade}`)).toEqual([
      'people good',
      'verdicts good',
      'order good',
      'length good',
      'math good',
    ])
    expect([answer, headline]).toEqual(['yes', expect.stringMatching(/^Yes, .*agrees with people in 83 %/)])
  })

  it('no, where people and the judge agree like coins, or the order decides, or verdicts are missing', () => {
    const coin = beliefOf({ ...good, agreement: { judge_human_no_ties: share(205, 400) } })
    expect([coin.answer, coin.headline]).toEqual(['no', expect.stringContaining('hardly more often than a coin')])
    expect(beliefOf({ ...good, position: position(100, 300) }).answer).toBe('no')
    const silent = beliefOf({ ...good, position: position(190, 10, 200) })
    expect(silent.headline).toBe(
      'No. On this data J should not decide anything: too many of its replies have no verdict.',
    )
  })

  it('with care, where a weakness is found, with what to do about it', () => {
    const { answer, headline, advice } = beliefOf({ ...good, position: position(300, 100) })
    expect(answer).toBe('care')
    expect(headline).toContain('the order of the answers sways it')
    expect(advice.join(' ')).toContain('in both orders')
  })

  it('unknown without votes of people, and of few judgements', () => {
    expect(beliefOf({ ...good, agreement: undefined }).headline).toMatch(/^That cannot be said yet: no votes of people/)
    const few = beliefOf({
      ...good,
      position: position(4, 0),
      agreement: { judge_human_no_ties: share(4, 4) },
      padding: { ...failures(0, 4), by: 'rule', made: 0, left: 0 },
    })
    expect(few.points.filter(({ grade }) => grade === 'bad' || grade === 'good').map(({ name }) => name)).toEqual([
      'math',
    ])
    expect(few.answer).toBe('unknown')
  })

  it('people are the measure of agreement: who are of one mind in 60 % ask no more of a judge', () => {
    const agreement = { judge_human_no_ties: share(2600, 4000), human_human_no_ties: share(600, 1000) }
    expect(beliefOf({ ...good, agreement }).points[0].grade).toBe('good')
    expect(beliefOf({ ...good, agreement: { judge_human_no_ties: share(2600, 4000) } }).points[0].grade).toBe('care')
  })

  it('says so where the name of an answer decides, and not its place', () => {
    const tilt = (value: number) => ({ value, low: value, high: value, n: 400 })
    const swayed = { ...good, position: position(0, 400) }
    const renamed = position(0, 400)!
    expect(beliefOf({ ...swayed, names: { renamed, name: tilt(1), place: tilt(0) } }).headline).toContain('is called A')
    expect(beliefOf({ ...swayed, names: { renamed, name: tilt(0), place: tilt(1) } }).headline).toContain(
      'stands first',
    )
  })
})
