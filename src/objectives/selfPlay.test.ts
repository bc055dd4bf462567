/** Self-play objectives against numbers computed by hand: SPIN (K = 2), aSFT (K = 3), both with T-SPIN (K = 4). */
import { describe, expect, it } from 'vitest'
import { evaluate } from '../runtime/interpreter.ts'
import { grad } from '../tensor/grad.ts'
import { constant, scalar, type Tensor } from '../tensor/tensor.ts'
import { preferenceLoss } from './preference.ts'
import { tspin } from './tspin.ts'

const matrix = (rows: number[][]) => constant(rows.flat(), [rows.length, rows[0].length])
const values = (t: Tensor) => [...evaluate([t], {})[0].data]
const value = (t: Tensor) => values(t)[0]
const logSigmoid = (x: number) => -Math.log1p(Math.exp(-x))
const logSumExp = (xs: number[]) => Math.log(xs.reduce((sum, x) => sum + Math.exp(x), 0))

const beta = 0.5
const logps = [-3, -4.5, -2.25, -7]
const refs = [-3.5, -4, -2, -9]
const rewards = logps.map((logp, k) => beta * (logp - refs[k]))

const lossOf = (name: 'sigmoid' | 'plackett-luce', K: number, weights?: Tensor) => {
  const batch = {
    logps: weights ?? matrix([logps.slice(0, K)]),
    refLogps: matrix([refs.slice(0, K)]),
    lengths: matrix([Array(K).fill(3)]),
    ranks: matrix([Array.from({ length: K }, (_, k) => k + 1)]),
  }
  return preferenceLoss([{ name, weight: 1 }], { beta })(batch).loss
}

describe('lists of the data, helper models and own completions', () => {
  it('of two are SPIN: the logistic loss of DPO', () => {
    const expected = -logSigmoid(rewards[0] - rewards[1])
    expect(value(lossOf('plackett-luce', 2))).toBeCloseTo(expected, 12)
    expect(value(lossOf('plackett-luce', 2))).toBe(value(lossOf('sigmoid', 2)))
  })

  it.each([3, 4])('of %d compare each completion with all ranked below it', (K) => {
    const r = rewards.slice(0, K)
    const expected = r.reduce((sum, x, k) => sum + logSumExp(r.slice(k)) - x, 0)
    expect(value(lossOf('plackett-luce', K))).toBeCloseTo(expected, 12)
  })

  it.each([2, 3, 4])('of %d begin at ln K!, where policy and reference model agree', (K) => {
    const factorial = [1, 1, 2, 6, 24][K]
    expect(value(lossOf('plackett-luce', K, matrix([refs.slice(0, K)])))).toBeCloseTo(Math.log(factorial), 12)
  })

  it('pull the data up and push the own completion down; the helper model between, by what it outranks', () => {
    const policy = matrix([refs.slice(0, 3)])
    const [d] = grad(lossOf('plackett-luce', 3, policy), [policy]).map(values)
    // beta times: 1/3 - 1, 1/3 + 1/2 - 1, 1/3 + 1/2
    expect(d[0]).toBeCloseTo(beta * (1 / 3 - 1), 12)
    expect(d[1]).toBeCloseTo(beta * (1 / 3 - 1 / 2), 12)
    expect(d[2]).toBeCloseTo(beta * (1 / 3 + 1 / 2), 12)
  })
})

describe('T-SPIN', () => {
  const settings = { alpha: 0.25, weight: 0.5 }
  const [y, own, first] = [-3, -5, -6]
  const current = -logSigmoid(0.25 * (y - own))
  const historical = -logSigmoid(0.25 * (own - first))

  it('adds the historical advantage to the current one', () => {
    const { loss, metrics } = tspin({ logps: matrix([[y, own, first]]), ranks: matrix([[1, 2, 3]]) }, settings)
    expect(value(loss)).toBeCloseTo(current + 0.5 * historical, 12)
    expect(value(metrics['rewards/historical'])).toBeCloseTo(0.25, 12)
  })

  it('goes by ranks, not by columns; without an initial completion it is SPIN without a reference model', () => {
    const logps = matrix([
      [first, y, own],
      [y, own, 999],
    ])
    const ranks = matrix([
      [3, 1, 2],
      [1, 2, 0],
    ])
    expect(value(tspin({ logps, ranks }, settings).loss)).toBeCloseTo(current + 0.25 * historical, 12)
    const pair = { logps: matrix([[y, own]]), ranks: matrix([[1, 2]]) }
    expect(value(tspin(pair, settings).loss)).toBeCloseTo(current, 12)
    expect(value(tspin({ ...pair, window: { rows: scalar(4) } }, settings).loss)).toBeCloseTo(current / 4, 12)
  })

  it('still has a gradient when its own completions are the data', () => {
    const logps = matrix([[y, y, first]])
    const [d] = grad(tspin({ logps, ranks: matrix([[1, 2, 3]]) }, settings).loss, [logps]).map(values)
    expect(d[2]).toBeGreaterThan(0)
    expect(d[0] + d[1]).toBeLessThan(0)
  })
})
