/** Objectives against numbers computed by hand. */
import { describe, expect, it } from 'vitest'
import { evaluate } from '../runtime/interpreter.ts'
import { grad } from '../tensor/grad.ts'
import { constant, scalar, type Tensor } from '../tensor/tensor.ts'
import { ktoLoss } from './kto.ts'
import { log1mexp } from './log1mexp.ts'
import { plackettLuce, type Ties } from './plackettLuce.ts'
import { type PreferenceBatch, type PreferenceOptions, preferenceLoss } from './preference.ts'
import { type PreferenceLoss, preferenceLosses, preferenceLossNames } from './preferenceLosses.ts'
import { sftLoss } from './sft.ts'

const matrix = (rows: number[][]) => constant(rows.flat(), [rows.length, rows[0].length])
const values = (t: Tensor) => [...evaluate([t], {})[0].data]
const value = (t: Tensor) => values(t)[0]
const logSigmoid = (x: number) => -Math.log1p(Math.exp(-x))

describe('sft', () => {
  const batch = { logps: constant([-1, -2, -700]), weights: constant([1, 1, 0]), numItems: scalar(4) }

  it('divides the counted tokens by the targets of the window', () => {
    expect(value(sftLoss(batch, { lossType: 'nll' }).loss)).toBe(0.75)
  })
  it('dft weighs each token by its probability, which gets no gradient', () => {
    const { loss } = sftLoss(batch, { lossType: 'dft' })
    expect(value(loss)).toBeCloseTo((Math.exp(-1) + 2 * Math.exp(-2)) / 4, 12)
    const [d] = grad(loss, [batch.logps]).map(values)
    expect(d[0]).toBeCloseTo(-Math.exp(-1) / 4, 12)
    expect(d[2]).toBeCloseTo(0, 12)
  })
  it('is 0, not NaN, where a window has no target', () => {
    const empty = { ...batch, weights: constant([0, 0, 0]), numItems: scalar(0) }
    expect(value(sftLoss(empty, { lossType: 'nll' }).loss)).toBeCloseTo(0, 12)
  })
})

describe('plackettLuce', () => {
  const loss = (scores: number[], ranks: number[], ties?: Ties) =>
    value(plackettLuce(matrix([scores]), matrix([ranks]), ties))

  it('of equal scores counts orders', () => {
    expect(loss([0, 0, 0], [1, 2, 3])).toBeCloseTo(Math.log(6), 12)
    expect(loss([0, 0, 0], [-1, 1, -1])).toBeCloseTo(Math.log(3), 12)
    expect(loss([0, 0, 0, 0], [1, 1, 2, 2])).toBeCloseTo(Math.log(6), 12)
  })
  it('of two is DPO to the last bit, far out too', () => {
    for (const [a, b] of [
      [1.1, 0.3],
      [-40, 41.7],
      [90, -3],
    ])
      expect(loss([b, a], [2, 1])).toBe(value(scalar(b - a).softplus()))
  })
  it('is 0 where nothing is ordered', () => {
    expect(loss([3, -2], [1, 1])).toBeCloseTo(0, 12)
    expect(loss([3, -2], [-1, -1])).toBe(0)
    expect(loss([3], [1])).toBe(0)
    expect(loss([3, 1e4], [1, 0])).toBe(0)
  })
  it('sums the orders of up to five tied and takes six one by one', () => {
    expect(loss([0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 2])).toBeCloseTo(Math.log(6), 12)
    expect(loss([0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 2])).toBeCloseTo(6 * Math.log(7), 12)
    expect(loss([0, 0, 0], [1, 1, 2], 'breslow')).toBeCloseTo(2 * Math.log(3), 12)
  })
  it('is the sum over orders, for ties among others', () => {
    const s = [0.3, -1.2, 2, 0.7, -0.4, 1.1]
    const order = (places: number[]) =>
      places.slice(0, 4).reduce((p, i, k) => {
        const left = places.slice(k).reduce((sum, j) => sum + Math.exp(s[j]), 0)
        return (p * Math.exp(s[i])) / left
      }, 1)
    // 4 first, then 0, 2 and 3 in any order, then 1 and 5 unranked
    const orders = [
      [0, 2, 3],
      [0, 3, 2],
      [2, 0, 3],
      [2, 3, 0],
      [3, 0, 2],
      [3, 2, 0],
    ]
    const p = orders.reduce((sum, tied) => sum + order([4, ...tied, 1, 5]), 0)
    expect(loss(s, [2, -1, 2, 2, 1, -1])).toBeCloseTo(-Math.log(p), 12)
  })
  it('has a gradient that sums to 0 and is finite for scores as far apart as f32 goes', () => {
    const scores = matrix([[5e3, -5e3, 0, 17]])
    const [d] = grad(plackettLuce(scores, matrix([[2, 1, 2, -1]])).sum(), [scores]).map(values)
    expect(d.every(Number.isFinite)).toBe(true)
    expect(d.reduce((a, b) => a + b)).toBeCloseTo(0, 12)
  })
})

describe('preferenceLoss', () => {
  const batch: PreferenceBatch = {
    logps: matrix([
      [-10, -12],
      [-20, -15],
    ]),
    refLogps: matrix([
      [-11, -11],
      [-20, -20],
    ]),
    lengths: matrix([
      [5, 4],
      [10, 5],
    ]),
    ranks: matrix([
      [1, 2],
      [1, 2],
    ]),
  }
  const of = (name: PreferenceLoss, options: Partial<PreferenceOptions> = {}, more: Partial<PreferenceBatch> = {}) =>
    preferenceLoss([{ name, weight: 1 }], { beta: 0.5, ...options })({ ...batch, ...more })

  it('starts at ln 2 where policy and reference agree', () => {
    for (const name of ['sigmoid', 'sigmoid_norm', 'plackett-luce'] as const)
      expect(value(of(name, {}, { refLogps: batch.logps }).loss)).toBeCloseTo(Math.LN2, 12)
  })
  it('sigmoid: ratios 1 and -1, then 0 and 5', () => {
    expect(value(of('sigmoid').loss)).toBeCloseTo(-(logSigmoid(1) + logSigmoid(-2.5)) / 2, 12)
    expect(value(of('plackett-luce').loss)).toBeCloseTo(-(logSigmoid(1) + logSigmoid(-2.5)) / 2, 12)
  })
  it('rewards, accuracies and margins', () => {
    const { metrics } = of('sigmoid')
    const logged = Object.fromEntries(Object.entries(metrics).map(([name, t]) => [name, value(t)]))
    expect(logged).toEqual({
      'rewards/chosen': 0.25,
      'rewards/rejected': 1,
      'rewards/accuracies': 0.5,
      'rewards/margins': -0.75,
      'logps/chosen': -15,
      'logps/rejected': -13.5,
    })
  })
  it('rewards of lists: best, worst, and the part of ordered pairs that is right', () => {
    const lists = {
      logps: matrix([[4, 2, 3, 1]]),
      refLogps: matrix([[0, 0, 0, 0]]),
      lengths: matrix([[1, 1, 1, 1]]),
      ranks: matrix([[2, 1, -1, -1]]),
    }
    const { metrics } = of('plackett-luce', { beta: 1 }, lists)
    expect(value(metrics['rewards/chosen'])).toBe(2)
    expect(value(metrics['rewards/rejected'])).toBe(2)
    // 1 over 0, 2 and 3; 0 over 2 and 3: right are 1 > 3, 0 > 2, 0 > 3
    expect(value(metrics['rewards/accuracies'])).toBeCloseTo(3 / 5, 12)
  })
  it('a probability weighs both orders of a pair', () => {
    const prob = constant([0.75, 1])
    const first = -0.75 * logSigmoid(1) - 0.25 * logSigmoid(-1)
    expect(value(of('sigmoid', {}, { prob }).loss)).toBeCloseTo((first - logSigmoid(-2.5)) / 2, 12)
  })
  it('simpo has no likelihood unless asked, cpo has one unless told not to', () => {
    const simpo = -(logSigmoid(0.5 - 0.5) + logSigmoid(0.5 * (-2 + 3) - 0.5)) / 2
    expect(value(of('simpo').loss)).toBeCloseTo(simpo, 12)
    expect(value(of('simpo', { cpoAlpha: 2 }).loss)).toBeCloseTo(simpo + 2 * (30 / 15), 12)
    const cpo = -(logSigmoid(1) + logSigmoid(-2.5)) / 2
    expect(value(of('cpo').loss)).toBeCloseTo(cpo + 30 / 15, 12)
    expect(value(of('cpo', { cpoAlpha: 0 }).loss)).toBeCloseTo(cpo, 12)
  })
  it("orpo's likelihood covers the prompt only where it is fed", () => {
    const prompts = { promptLogps: constant([-6, -9]), promptLengths: constant([3, 2]) }
    expect(value(of('orpo').metrics.nll_loss)).toBe(2)
    expect(value(of('orpo', {}, prompts).metrics.nll_loss)).toBe(45 / 20)
  })
  it('shares of a window add up to the loss of the whole', () => {
    const specs = [
      { name: 'sigmoid', weight: 0.8 },
      { name: 'sft', weight: 0.2 },
    ] as const
    const loss = preferenceLoss(specs, { beta: 0.5 })
    const half = (i: number): PreferenceBatch => {
      const row = (t: Tensor) => t.slice(0, i, i + 1)
      const { logps, refLogps, lengths, ranks } = batch
      const part = { logps: row(logps), refLogps: row(refLogps!), lengths: row(lengths), ranks: row(ranks) }
      return { ...part, window: { rows: scalar(2), tokens: scalar(15) } }
    }
    expect(value(loss(half(0)).loss) + value(loss(half(1)).loss)).toBeCloseTo(value(loss(batch).loss), 12)
  })
  it('wpo weighs a pair by both responses and passes no gradient', () => {
    const wpo = matrix([
      [-1, -0.5],
      [0, -2],
    ])
    const expected = -(Math.exp(-1.5) * logSigmoid(1) + Math.exp(-2) * logSigmoid(-2.5)) / 2
    const { loss } = of('sigmoid', { wpo: true }, { wpo })
    expect(value(loss)).toBeCloseTo(expected, 12)
    expect(values(grad(loss, [wpo])[0])).toEqual([0, 0, 0, 0])
  })
  it('discopop stays finite where exp(-x) would not', () => {
    const far = { logps: matrix([[-3000, -10]]), refLogps: matrix([[-10, -10]]), lengths: matrix([[1, 1]]) }
    expect(value(of('discopop', {}, { ...far, ranks: matrix([[1, 2]]) }).loss)).toBeCloseTo(1495, 9)
  })

  const refused: [string, () => unknown, RegExp][] = [
    ['exo_pair without noise', () => of('exo_pair', { labelSmoothing: 0 }), /exo_pair .*leave it out/],
    ['robust at a half', () => of('robust', { labelSmoothing: 0.5 }), /robust needs a value below 0.5/],
    ['a divergence of nca_pair', () => of('nca_pair', { fDivergence: 'forward_kl' }), /forward_kl does not go with/],
    ['wpo of aot', () => of('aot', { wpo: true }), /aot mixes the pairs/],
    ['prob of aot', () => of('aot', {}, { prob: constant([1, 1]) }), /aot cannot use rows with "prob"/],
    ['a pairwise loss on lists', () => of('sigmoid', {}, { logps: matrix([[1, 2, 3]]) }), /3 responses; use plackett/],
    ['no reference', () => of('sigmoid', {}, { refLogps: undefined }), /reference model/],
  ]
  const unsmoothed = preferenceLossNames.filter((name) => !preferenceLosses[name].usesLabelSmoothing && name !== 'sft')
  it.each(unsmoothed)('refuses label smoothing with %s, which is not defined with it', (name) => {
    expect(unsmoothed.length).toBeGreaterThan(8)
    expect(() => of(name, { labelSmoothing: 0.1 })).toThrow(/is not defined with label smoothing/)
    expect(() => of(name, { labelSmoothing: 0 })).not.toThrow()
  })

  it.each(refused)('refuses %s', (_, make, message) => expect(make).toThrow(message))
})

describe('ktoLoss', () => {
  const options = { beta: 1, lossType: 'kto', desirableWeight: 1, undesirableWeight: 3 } as const
  const batch = {
    logps: constant([-1, -4]),
    refLogps: constant([-3, -3]),
    klLogps: constant([-2, -2]),
    refKlLogps: constant([-3, -3]),
    labels: constant([1, 0]),
  }
  it('measures both sides from z = 1', () => {
    const { loss, metrics } = ktoLoss(options)(batch)
    const s = (x: number) => 1 / (1 + Math.exp(-x))
    expect(value(loss)).toBeCloseTo((1 - s(1) + 3 * (1 - s(2))) / 2, 12)
    expect(value(metrics.kl)).toBe(1)
    expect(value(metrics['rewards/margins'])).toBe(3)
  })
  it('clamps z at 0 and logs NaN for a side that is absent', () => {
    const { metrics } = ktoLoss(options)({ ...batch, refKlLogps: constant([0, 0]), labels: constant([1, 1]) })
    expect(value(metrics.kl)).toBe(0)
    expect(value(metrics['rewards/rejected'])).toBeNaN()
    expect(value(metrics['rewards/chosen'])).toBe(0.5)
  })
})

it('log1mexp of ln(1/2) is itself, and a probability of 1 is no NaN', () => {
  expect(value(log1mexp(scalar(-Math.LN2)))).toBeCloseTo(-Math.LN2, 14)
  const x = scalar(0)
  expect(value(grad(log1mexp(x), [x])[0])).toBe(0)
})
