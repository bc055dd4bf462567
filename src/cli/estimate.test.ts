/** What a trial of a few steps is scaled to, with numbers worked out by hand. */
import { describe, expect, it } from 'vitest'
import { scaled, secondTrial } from './estimate.ts'

const trial = {
  // The first step makes sessions
  steps: [
    { seconds: 5, tokens: 100 },
    { seconds: 2, tokens: 200 },
    { seconds: 1, tokens: 100 },
  ],
  setup: 10,
  reference: { batches: 0, seconds: 0 },
  finish: 3,
  peakBytes: 7e8,
}
const settings = { epochs: 2, batchSize: 4, gradAccum: 1 }
// 50 tokens a row, 200 a step, 0.01 s a token
const rows = { used: 40, tokens: 2000, evalRows: 0 }

describe('the estimate of a run', () => {
  it('takes the seconds of a token from the later steps, and the tokens of all rows', () => {
    const { seconds_per_step, steps, seconds, peak_bytes } = scaled(trial, settings, rows)
    expect({ steps, peak_bytes }).toEqual({ steps: 20, peak_bytes: 7e8 })
    expect(seconds_per_step).toBeCloseTo(2)
    // Before and after, what the first step took beside its tokens, and the steps
    expect(seconds).toBeCloseTo(10 + 3 + 4 + 40)
  })

  it('ends with --max-steps', () => {
    expect(scaled(trial, { ...settings, maxSteps: 5 }, rows).steps).toBe(5)
  })

  it('counts the evaluations by the forward passes over the held-out rows', () => {
    const before = scaled(trial, settings, rows).seconds
    // Twice, once an epoch: 10 rows of 50 tokens, a third of the time of a step
    expect(scaled(trial, settings, { ...rows, evalRows: 10 }).seconds - before).toBeCloseTo((2 * 500 * 0.01) / 3)
    const often = scaled(trial, { ...settings, evalEvery: 5 }, { ...rows, evalRows: 10 })
    expect(often.seconds - before).toBeCloseTo((4 * 500 * 0.01) / 3)
  })

  it('counts the reference model once for each row, whatever the epochs', () => {
    const before = scaled(trial, settings, rows).seconds
    // 300 tokens in 0.6 s
    const { seconds } = scaled({ ...trial, reference: { batches: 3, seconds: 0.6 } }, settings, rows)
    expect(seconds - before).toBeCloseTo(2000 * 0.002)
  })

  it('takes the mean step of methods that sample, from the later half', () => {
    const { seconds_per_step, steps } = scaled(
      trial,
      { ...settings, epochs: 1, stepsPerGeneration: 1, numIterations: 2 },
      { used: 40, tokens: 400, evalRows: 0 },
    )
    expect(seconds_per_step).toBeCloseTo(1.5)
    expect(steps).toBe(20)
  })

  it('takes a second trial only as long as both stay below half of the run', () => {
    // 3 steps of 4 s after 8 s, of a run of so many steps
    const first = { ...trial, steps: Array.from({ length: 3 }, () => ({ seconds: 4, tokens: 200 })), setup: 5 }
    const second = (steps: number) =>
      secondTrial(first, { seconds: 8 + 4 * steps, seconds_per_step: 4 }, { few: 3, cycle: 1 })
    expect(second(27)).toEqual({ cycles: 7, seconds: 8 + 28 })
    expect(second(10).cycles).toBeLessThan(3)
    for (const steps of [27, 40, 70]) expect(20 + second(steps).seconds).toBeLessThanOrEqual((8 + 4 * steps) / 2)
    // Enough steps for the memory of a long run, at most two minutes
    expect(second(1000).cycles).toBe(24)
    const slow = { ...first, steps: first.steps.map((step) => ({ ...step, seconds: 10 })) }
    expect(secondTrial(slow, { seconds: 1e4, seconds_per_step: 10 }, { few: 3, cycle: 1 }).cycles).toBe(12)
  })
})
