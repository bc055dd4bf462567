import { describe, expect, it } from 'vitest'
import { changeOf } from './change.ts'
import { curvesIn } from './curves.ts'

const step = (n: number, loss: number, more: object = {}) => ({ event: 'step', step: n, loss, ...more })
const evaluation = (n: number, more: object) => ({ event: 'eval', step: n, ...more })
const of = (events: { event: string }[], facts = {}) => changeOf(curvesIn(events), facts)

describe('what a run changed', () => {
  it('is the held-out loss where there is one, whatever the pairs of training say', () => {
    const trained = [1, 2, 3].map((n) => step(n, 0.1, { 'rewards/accuracies': 1 }))
    const events = [
      evaluation(0, { eval_loss: 0.69, 'eval_rewards/accuracies': 0 }),
      ...trained,
      evaluation(3, { eval_loss: 0.66, 'eval_rewards/accuracies': 0.6 }),
    ]
    expect(of(events)).toEqual({
      ...{ metric: 'loss', heldOut: true },
      ...{ from: { step: 0, value: 0.69 }, to: { step: 3, value: 0.66 } },
    })
    // One evaluation is no change, and still tells more than training
    expect(of([...trained, evaluation(3, { eval_loss: 0.66 })])).toEqual({
      metric: 'loss',
      heldOut: true,
      to: { step: 3, value: 0.66 },
    })
    expect(of(events, { bestMetric: 'eval_rewards/accuracies' })).toEqual({
      metric: 'rewards/accuracies',
      heldOut: true,
      to: { step: 3, value: 0.6 },
    })
  })

  it('of a reward has a standard error where the spread of the rows is known', () => {
    const rewarded = (to: number, more = {}) => [
      evaluation(0, { eval_reward: 0.25, eval_reward_std: 0.5 }),
      evaluation(4, { eval_reward: to, eval_reward_std: 0.5, ...more }),
    ]
    const error = expect.closeTo(0.5 * Math.sqrt(2 / 25), 12)
    expect(of(rewarded(0.5), { heldRows: 25 })?.difference).toEqual({ error, rows: 25 })
    expect(of(rewarded(0.5, { 'eval_rewards/failed': 9 }), { heldRows: 25 })?.difference?.rows).toBe(16)
    expect(of(rewarded(0.5))?.difference).toBeUndefined()
    expect(of(rewarded(0.5), { heldRows: 1 })?.difference).toBeUndefined()
    expect(of(rewarded(0.5).slice(1), { heldRows: 25 })?.difference).toBeUndefined()
  })

  it('ends with the step of the result', () => {
    const events = [0, 2, 4].map((n) => evaluation(n, { eval_loss: [3, 1, 0, 0, 2][n] }))
    expect(of(events)?.to).toEqual({ step: 4, value: 2 })
    expect(of(events, { through: 2 })?.to.step).toBe(2)
  })

  it('is the mean of the first and the last steps without held-out rows, not single ones', () => {
    // The last step alone would tell of a rise
    const losses = [...Array(10).fill(2), ...Array(9).fill(1), 5]
    expect(of(losses.map((loss, i) => step(i + 1, loss)))).toEqual({
      ...{ metric: 'loss', heldOut: false, steps: 5 },
      ...{ from: { step: 5, value: 2 }, to: { step: 20, value: 9 / 5 } },
    })
    expect(of([step(1, 3), step(2, 2), step(3, 1)])).toMatchObject({ steps: 1, from: { value: 3 }, to: { value: 1 } })
    expect(of([step(1, 3)])).toEqual({ metric: 'loss', heldOut: false, steps: 1, to: { step: 1, value: 3 } })
    expect(of([step(1, 3, { reward: 0.5 })])).toMatchObject({ metric: 'reward', to: { value: 0.5 } })
    expect(of([])).toBeUndefined()
  })

  it('of self-play is measured on the data alone, on rows that it learns where none are held out', () => {
    const events = [0, 1, 2].map((n) => evaluation(n, { iteration: n, eval_loss: 9 - n, eval_nll: 3 - n }))
    const change = { metric: 'nll', from: { step: 0, value: 3 }, to: { step: 2, value: 1 } }
    expect(of(events)).toEqual({ ...change, heldOut: false })
    expect(of(events, { heldRows: 4 })).toEqual({ ...change, heldOut: true })
  })

  it('of self-play is the share of exact matches, unless no answer ever matched', () => {
    const matching = (shares: readonly number[], more: (n: number) => object = (n) => ({ eval_nll: 3 - n })) =>
      shares.map((eval_exact_match, n) => evaluation(n, { iteration: n, eval_exact_match, ...more(n) }))
    expect(of(matching([0, 0, 0.5]))).toMatchObject({ metric: 'exact_match', to: { value: 0.5 } })
    expect(of(matching([0, 0, 0]))).toMatchObject({ metric: 'nll', from: { value: 3 }, to: { value: 1 } })
    expect(of(matching([0, 0], () => ({})))).toMatchObject({ metric: 'exact_match', to: { value: 0 } })
  })
})
