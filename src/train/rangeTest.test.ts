/** The range test between steps; the steps themselves are stubs of a model whose loss falls, and breaks at high rates. */
import { describe, expect, it, vi } from 'vitest'
import { runFailure } from '../util/fault.ts'
import {
  type RangeTest,
  type RangeTestOptions,
  type RateEvent,
  rangeTest,
  risingRates,
  suggestRate,
} from './rangeTest.ts'
import type { StepSettings } from './step.ts'

const stub = vi.hoisted(() => ({ learnt: 0, broken: (_: number) => 0 as number | Error }))

vi.mock('./step.ts', () => ({
  evaluate: async (_: unknown, batches: AsyncIterable<{ weight: number }>) => {
    for await (const { weight } of batches) return { eval_loss: weight }
  },
  trainStep: async (_: unknown, batches: { weight: number }[], { learningRate }: StepSettings) => {
    const broken = stub.broken(learningRate)
    if (broken instanceof Error) throw broken
    const loss = batches.reduce((sum, { weight }) => sum + weight, 0) - stub.learnt + broken
    stub.learnt += Math.min(0.2, 100 * learningRate)
    return { loss, grad_norm: 1, learning_rate: learningRate }
  },
}))

/** Rows differ in their loss far more than a step changes it. */
const lossOfRow = [3, 9, 5]

const run = async (broken: typeof stub.broken, more: Partial<RangeTestOptions> = {}) => {
  Object.assign(stub, { learnt: 0, broken })
  const events: RateEvent[] = []
  const test = rangeTest({
    trainer: {} as never,
    rates: risingRates(1e-5, 1, 26),
    next: async (position) =>
      position < lossOfRow.length
        ? { batches: [{ weight: lossOfRow[position] }] as never, rows: [position], position: position + 1, tokens: 1 }
        : undefined,
    maxGradNorm: 1,
    seed: 0,
    signal: new AbortController().signal,
    ...more,
  })
  for (;;) {
    const { done, value } = await test.next()
    if (done) return { result: value as RangeTest, events }
    if (value.event === 'rate') events.push(value)
  }
}

describe('the range test', () => {
  it('measures each step against the untrained model on the same rows, which come again where there are few', async () => {
    const { events, result } = await run(() => 0)
    expect(events.slice(0, 4).map(({ loss }) => Math.round(loss))).toEqual([3, 9, 5, 3])
    expect(events[0].change).toBe(0)
    expect(events.every(({ change }, i) => i === 0 || change < events[i - 1].change)).toBe(true)
    expect(result.start).toBeCloseTo(17 / 3)
  })

  it('ends where the loss has doubled, and suggests a tenth of the rate by which it made most of its fall', async () => {
    const { result, events } = await run((rate) => (rate > 0.05 ? 20 : 0))
    expect(result.diverged).toBe(true)
    expect(events.length).toBeLessThan(26)
    const { rate, knee } = suggestRate(result)
    expect(knee).toBeGreaterThan(0.005)
    expect(knee).toBeLessThan(0.05)
    expect(rate).toBe(Number((knee / 10).toPrecision(1)))
  })

  it('suggests a rate where the loss falls to 0 and stays there, such as that of DPO', () => {
    const rates = risingRates(1e-6, 1, 25)
    const tried = rates.map((learning_rate, i) => {
      const loss = Math.log1p(Math.exp(-1000 * learning_rate))
      return { event: 'rate' as const, step: i + 1, total_steps: 25, learning_rate, loss, change: loss - Math.LN2 }
    })
    const { knee } = suggestRate({ tried, start: Math.LN2, diverged: false })
    expect(knee).toBeGreaterThan(1e-3)
    expect(knee).toBeLessThan(1e-2)
  })

  it('takes numbers that are not finite for the end, and other failures for failures', async () => {
    const notFinite = (rate: number) => (rate > 0.05 ? runFailure('not-finite', 'the loss is NaN') : 0)
    const { result, events } = await run(notFinite)
    expect(result.diverged).toBe(true)
    expect(events.every(({ loss }) => Number.isFinite(loss))).toBe(true)
    await expect(run(() => new Error('a defect'))).rejects.toThrow('a defect')
  })

  it('suggests nothing where no rate lowers the loss', async () => {
    expect(suggestRate((await run((rate) => 100 * Math.min(0.2, rate) + stub.learnt)).result)).not.toHaveProperty(
      'rate',
    )
  })

  it('has nothing to say after an abort', async () => {
    const controller = new AbortController()
    controller.abort()
    expect((await run(() => 0, { signal: controller.signal })).result).toBeUndefined()
  })
})
