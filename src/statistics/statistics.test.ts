/** Statistics against published tables and hand-worked numbers. */
import { sum as compensatedSum } from 'simple-statistics'
import { describe, expect, it } from 'vitest'
import { rng } from '../util/rng.ts'
import { normalInterval, tInterval, wilson } from './intervals.ts'
import { detectable, pairedT } from './pairedT.ts'
import { parabolaLow } from './parabola.ts'
import { normalQuantile, quantile, studentTQuantile } from './quantiles.ts'
import { correlation, linearRegression } from './regression.ts'
import {
  bootstrapGroups,
  bootstrapInterval,
  holm,
  makeDraws,
  meanInterval,
  meanOver,
  percentileInterval,
  signFlipTest,
} from './resampling.ts'
import { deviation, mean, standardError, sum, variance } from './summary.ts'

/** 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom, as scipy.stats.t.ppf gives them. */
const tTable = [
  12.7062047362, 4.3026527297, 3.1824463053, 2.7764451052, 2.5705818356, 2.4469118511, 2.3646242516, 2.306004135,
  2.2621571627, 2.228138852, 2.2009851601, 2.1788128297, 2.1603686565, 2.1447866879, 2.1314495456, 2.1199052992,
  2.1098155778, 2.1009220402, 2.0930240544, 2.0859634473, 2.0796138447, 2.0738730679, 2.0686576104, 2.0638985616,
  2.0595385528, 2.0555294386, 2.0518305165, 2.0484071418, 2.0452296421, 2.0422724563,
]

describe('quantiles', () => {
  it("of Student's t agree with the table to 1e-6", () => {
    for (const [i, expected] of tTable.entries())
      expect(Math.abs(studentTQuantile(0.975, i + 1) - expected), `${i + 1} degrees`).toBeLessThan(1e-6)
    expect(studentTQuantile(0.975, 1000)).toBeCloseTo(1.962339, 6)
  })

  it('of the normal distribution agree with the table', () => {
    expect(normalQuantile(0.975)).toBeCloseTo(1.959963984540054, 14)
    expect(normalQuantile(0.8)).toBeCloseTo(0.841621233572914, 14)
    expect(normalQuantile(0.5)).toBeCloseTo(0, 14)
  })

  it('of values lie between neighbours in proportion, as numpy has them by default', () => {
    expect([0, 0.25, 0.3, 0.5, 1].map((q) => quantile([1, 2, 4, 8], q))).toEqual([
      1,
      1.75,
      expect.closeTo(1.9, 12),
      3,
      8,
    ])
    expect(quantile([5], 0.3)).toBe(5)
    expect(quantile([], 0.5)).toBeNaN()
  })
})

describe('a summary', () => {
  it('adds in plain order, where simple-statistics compensates for rounding', () => {
    const values = [1, 1e100, 1, -1e100]
    expect([sum(values), compensatedSum(values)]).toEqual([0, 2])
  })

  it('divides by n - 1', () => {
    expect(variance([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(32 / 7, 12)
    expect(deviation([1, 3])).toBeCloseTo(Math.SQRT2, 12)
    expect(standardError([1, 3])).toBeCloseTo(1, 12)
  })

  it('of nothing and of one value is defined', () => {
    expect([mean([]), variance([3]), standardError([3])]).toEqual([Number.NaN, 0, Number.NaN])
  })
})

describe('intervals', () => {
  // Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3
  it.each([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ])('of a proportion (Wilson), %i of %i: %f to %f', (right, total, low, high) => {
    const share = wilson(right, total)
    expect(share.low).toBeCloseTo(low, 4)
    expect(share.high).toBeCloseTo(high, 4)
    const mirrored = wilson(total - right, total)
    expect([1 - mirrored.high, 1 - mirrored.low]).toEqual([
      expect.closeTo(share.low, 12),
      expect.closeTo(share.high, 12),
    ])
  })

  it("of a mean are Student's t for few values and normal for many", () => {
    const se = 1 / Math.sqrt(3)
    expect(tInterval([1, 2, 3])).toEqual({
      value: 2,
      low: expect.closeTo(2 - 4.30265273 * se, 6),
      high: expect.closeTo(2 + 4.30265273 * se, 6),
    })
    expect(normalInterval([1, 2, 3])).toEqual({
      value: 2,
      low: expect.closeTo(2 - 1.959963985 * se, 8),
      high: expect.closeTo(2 + 1.959963985 * se, 8),
    })
  })

  it('of a single value are infinite by t, and have no width by the normal distribution', () => {
    expect(tInterval([5])).toEqual({ value: 5, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY })
    expect(normalInterval([5])).toEqual({ value: 5, low: 5, high: 5 })
  })
})

describe('regression', () => {
  it('gives back the line that the points lie on', () => {
    expect(linearRegression([1, 2, 5], [3.5, 5.5, 11.5])).toEqual({
      intercept: expect.closeTo(1.5, 12),
      slope: expect.closeTo(2, 12),
    })
  })

  it('has no slope where x does not vary, or of fewer than two points', () => {
    expect(linearRegression([2, 2, 2], [1, 2, 3]).slope).toBeNaN()
    expect(linearRegression([2], [1]).slope).toBeNaN()
    expect(linearRegression([], []).slope).toBeNaN()
  })

  it("has Pearson's r", () => {
    expect(correlation([1, 2, 3, 4], [2, 1, 4, 3])).toBeCloseTo(0.6, 12)
    expect(correlation([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12)
    expect([correlation([1, 1], [1, 2]), correlation([1], [1]), correlation([], [])]).toEqual([NaN, NaN, NaN])
  })
})

const draws = makeDraws(1, { resamples: 600, signs: 4000 })

describe('the sign-flip test', () => {
  it('counts signs exactly where there are few', () => {
    // Of 8 ways to sign 1, 2, 3 two have a sum of at least 6
    expect(signFlipTest([1, 2, 3], draws)).toBe(2 / 8)
    expect(signFlipTest([3, -1, 0, 0], draws)).toBe(4 / 4)
    // |2| is reached by +++-, and so on: 1 1 1 -1 -> 16 ways, sums 4: 2, 2: 8, 0: 6
    expect(signFlipTest([1, 1, 1, -1], draws)).toBe(10 / 16)
    expect(signFlipTest([0, 0, 0], draws)).toBe(1)
  })

  it('agrees with the exact count where it draws', () => {
    const differences = Array.from({ length: 13 }, (_, i) => ((i * 7) % 5) - 1.5)
    const exact = signFlipTest(differences, makeDraws(1, { signs: 8191 }))
    expect(Math.abs(signFlipTest(differences, draws) - exact)).toBeLessThan(0.03)
    expect(signFlipTest(differences, draws)).not.toBe(exact)
  })

  it('takes sums that differ by rounding for equal', () => {
    expect(signFlipTest([0.1, 0.2, 0.3, -0.6], draws)).toBe(1)
  })
})

it('Holm: steps down and never reverses the order', () => {
  expect(holm([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02].map((x) => expect.closeTo(x, 12)))
  expect(holm([0.6, 0.9])).toEqual([1, 1])
})

describe('the bootstrap', () => {
  it('has the spread that the theory says', () => {
    const random = rng(5)
    const values = Array.from({ length: 80 }, (_, i) => random.normal(i))
    const { value, low, high } = meanInterval(values, makeDraws(2, { resamples: 2000 }))
    expect(value).toBeCloseTo(mean(values), 12)
    expect((high - low) / (2 * 1.96 * (deviation(values) / Math.sqrt(80)))).toBeCloseTo(1, 1)
  })

  it('of a single prompt is infinite', () => {
    expect(bootstrapInterval(1, meanOver([3]), draws)).toEqual({
      value: 3,
      low: Number.NEGATIVE_INFINITY,
      high: Number.POSITIVE_INFINITY,
    })
  })

  it('leaves out resamples without a value', () => {
    const { low, high } = bootstrapInterval(3, (rows) => (rows[2] === 0 ? Number.NaN : rows[2]), draws)
    expect([low, high].every(Number.isFinite)).toBe(true)
  })

  it('resamples each group from itself, the same way every time', () => {
    const groups = [
      [1, 2, 3],
      [10, 20],
    ]
    const drawn = bootstrapGroups(50, (resample) => groups.map((group) => resample(group)))
    for (const [ones, tens] of drawn) {
      expect(ones).toHaveLength(3)
      expect(ones.every((x) => x < 4)).toBe(true)
      expect(tens.every((x) => x > 4)).toBe(true)
    }
    expect(new Set(drawn.map((each) => JSON.stringify(each))).size).toBeGreaterThan(20)
    expect(bootstrapGroups(50, (resample) => groups.map((group) => resample(group)))).toEqual(drawn)
  })

  it('ends at the quantiles of 2.5 % and 97.5 %', () => {
    const { low, high } = percentileInterval(Array.from({ length: 101 }, (_, i) => 100 - i))
    expect([low, high]).toEqual([expect.closeTo(2.5, 12), expect.closeTo(97.5, 12)])
  })
})

describe("Student's t of paired differences", () => {
  it('gives the p of the closed form for four degrees of freedom', () => {
    // t of 4 degrees is 2.525343; its distribution function has a closed form
    const { value, low, high, p } = pairedT([0.3, -0.1, 0.4, 0.2, 0.5])
    expect(value).toBeCloseTo(0.26, 12)
    expect(p).toBeCloseTo(0.064986, 5)
    expect(low).toBeLessThan(0)
    expect((low + high) / 2).toBeCloseTo(value, 12)
    expect(pairedT([0.2]).p).toBe(1)
    expect(pairedT([0.2, 0.2]).p).toBe(0)
  })

  it('names the difference that is found in four of five studies', () => {
    const size = detectable([0.3, -0.1, 0.4, 0.2, 0.5])
    let found = 0
    const random = rng(7)
    // Differences of this spread, shifted by that size
    const spread = deviation([0.3, -0.1, 0.4, 0.2, 0.5])
    for (let k = 0; k < 2000; k++) {
      const drawn = Array.from({ length: 5 }, (_, i) => size + spread * normalQuantile(random.uniform(5 * k + i)))
      if (pairedT(drawn).p < 0.05) found++
    }
    expect(found / 2000).toBeGreaterThan(0.75)
    expect(found / 2000).toBeLessThan(0.88)
  })
})

describe('a parabola by least squares', () => {
  it('has its lowest point where the points say', () => {
    const x = [1, 2, 4, 7]
    expect(
      parabolaLow(
        x,
        x.map((v) => 3 * (v - 2.5) ** 2 + 1),
      ),
    ).toBeCloseTo(2.5, 9)
    expect(
      parabolaLow(
        x,
        x.map((v) => -((v - 2.5) ** 2)),
      ),
    ).toBeUndefined()
    expect(parabolaLow([1, 2], [1, 2])).toBeUndefined()
  })
})
