import { describe, expect, it } from 'vitest'
import type { StartEvent } from '../../runs/events.ts'
import { diagnoseEnd, diagnoseEval, diagnoseStart, diagnoseStep, type History, record } from './diagnostics.ts'

const start: StartEvent = {
  event: 'start',
  step: 0,
  total_steps: 100,
  rows: 800,
  parameters: 135e6,
  trainable: 135e6,
  plan: 'fast',
  engine: { provider: 'cpu', threads: 1, version: '0' },
  model_files: [],
  data_files: [],
}
const adapter = { r: 8, alpha: 32, dropout: 0, modules: ['q_proj'] }
const settings = { batchSize: 8, gradAccum: 1, schedule: 'linear', warmupSteps: 0, optimizer: 'adamw' }
const codes = (warnings: readonly { code: string }[]) => warnings.map(({ code }) => code)

it.each([
  ['undesirable', 'bad answers are not imitated: kto learns from them, too'],
  ['no-label', 'their label or rating is empty'],
  ['prefix-differs', 'see whether the file, its columns and the length limits are the intended ones'],
])('most rows left out as %s: %s', (reason, what) => {
  const [warning] = diagnoseStart(
    'sft',
    { ...settings, learningRate: 2e-5 },
    { ...start, rows: 34, dropped: { [reason]: 42 } },
  )
  expect(warning.message).toBe(`most rows are not used: 42 of 76 are left out, most of them as '${reason}'; ${what}`)
})

describe('at the start', () => {
  const of = (method: string, given: object, facts: Partial<StartEvent> = {}) =>
    codes(diagnoseStart(method, { ...settings, ...given }, { ...start, ...facts }))

  it.each<[string, number, Partial<StartEvent>, string[]]>([
    ['sft', 2e-5, {}, []],
    ['sft', 2e-4, { adapter }, []],
    ['sft', 2e-5, { adapter }, ['learning-rate']],
    ['sft', 1e-3, {}, ['learning-rate']],
    // A small model bears it
    ['sft', 1e-3, { parameters: 260_000 }, []],
    ['dpo', 1e-6, {}, []],
    ['dpo', 1e-6, { adapter }, ['learning-rate']],
    ['dpo', 5e-5, { adapter }, []],
    ['dpo', 1e-4, {}, ['learning-rate']],
    ['grpo', 1e-6, {}, []],
    ['another', 1, {}, []],
  ])('%s at a learning rate of %d, %j: %j', (method, learningRate, facts, expected) => {
    expect(of(method, { learningRate }, facts)).toEqual(expected)
  })

  it('says nothing of the learning rates of other optimizers, and reads the first of a list', () => {
    expect(of('sft', { learningRate: 0.1, optimizer: 'sgd' })).toEqual([])
    expect(of('spin', { learningRate: [1e-2, 1e-7], iterations: 2 })).toEqual(['learning-rate'])
  })

  it('warns of steps that take more rows than there are, and of a warm-up that never ends', () => {
    expect(of('another', {}, { rows: 8 })).toEqual([])
    expect(of('another', {}, { rows: 7 })).toEqual(['epoch-below-step'])
    expect(of('another', { warmupSteps: 99 })).toEqual([])
    expect(of('another', { warmupSteps: 100 })).toEqual(['warmup-too-long'])
    expect(of('another', { warmupSteps: 50, iterations: 2 })).toEqual(['warmup-too-long'])
    expect(of('another', { warmupSteps: 100, schedule: 'constant' })).toEqual([])
  })

  it('names the commonest reason where most rows are dropped', () => {
    expect(of('another', {}, { dropped: { tie: 400, 'no-reply-left': 400 } })).toEqual([])
    const [warning] = diagnoseStart('another', settings, { ...start, dropped: { tie: 1, 'no-reply-left': 800 } })
    expect(warning.message).toContain("801 of 1,601 are left out, most of them as 'no-reply-left'")
  })
})

/** A history of one step for each number. @param metrics of step i of n */
const historyOf = (
  n: number,
  metrics: (i: number) => object,
  evals: Readonly<Record<number, number>> = {},
): History => {
  const history: History = { steps: [], evals: [] }
  for (let i = 0; i < n; i++) {
    record(history, { event: 'step', step: i + 1, ...metrics(i) })
    if (evals[i + 1] !== undefined) record(history, { event: 'eval', step: i + 1, eval_loss: evals[i + 1] })
  }
  return history
}
/** Deterministic noise between -1 and 1. */
const noise = (i: number) => Math.sin(12.9898 * i + 78.233 * i * i)

describe('while it runs', () => {
  it('warns of margins that explode, not of those that begin large', () => {
    const margins = (slope: number, from: number) => ({ 'rewards/margins': from + slope, loss: 0.1 })
    expect(codes(diagnoseStep(historyOf(30, (i) => margins(i, 0))))).toEqual(['margins-explode'])
    expect(codes(diagnoseStep(historyOf(30, (i) => margins(0.3 * i, 100))))).toEqual([])
    expect(codes(diagnoseStep(historyOf(9, (i) => margins(10 * i, 0))))).toEqual([])
  })

  it('warns of overfitting: held-out loss rises twice while that of training falls', () => {
    const falling = (i: number) => ({ loss: 2 - 0.02 * i })
    const of = (evals: Record<number, number>, metrics = falling) => codes(diagnoseEval(historyOf(40, metrics, evals)))
    expect(of({ 10: 2, 20: 1.5, 30: 1.6, 40: 1.7 })).toEqual(['overfitting'])
    expect(of({ 10: 2, 20: 1.5, 30: 1.7, 40: 1.49 })).toEqual([])
    expect(of({ 10: 2, 20: 1.5, 30: 1.51, 40: 1.52 })).toEqual([])
    expect(of({ 20: 1.5, 40: 1.7 })).toEqual([])
    // Both rise: the run diverges, which is told at the end
    expect(of({ 10: 2, 20: 1.5, 30: 1.6, 40: 1.7 }, (i) => ({ loss: 1 + 0.02 * i }))).toEqual([])
  })
})

describe('at the end', () => {
  const of = (n: number, metrics: (i: number) => object) => codes(diagnoseEnd(historyOf(n, metrics)))

  it('warns where the loss does not move or rises', () => {
    expect(of(100, (i) => ({ loss: Math.LN2 - 0.0001 * i }))).toEqual(['loss-flat'])
    expect(of(100, (i) => ({ loss: Math.LN2 - 0.001 * i }))).toEqual([])
    expect(of(100, (i) => ({ loss: 2 + 0.01 * i + 0.1 * noise(i) }))).toEqual(['loss-rises'])
    expect(of(100, (i) => ({ loss: 2 - 0.01 * i + 0.3 * noise(i) }))).toEqual([])
  })

  it('says nothing of short runs, of a loss that is zero, and of losses of policy gradients', () => {
    expect(of(19, () => ({ loss: Math.LN2 }))).toEqual([])
    expect(of(100, () => ({ loss: 0 }))).toEqual([])
    expect(of(100, () => ({ loss: 0.1, reward: 0.5 }))).toEqual([])
  })

  it('says that a held-out loss still fell at the end, also of few steps', () => {
    const ended = (evals: Record<number, number>, metrics: (i: number) => object = () => ({ loss: 1 })) =>
      codes(diagnoseEnd(historyOf(15, metrics, evals)))
    expect(ended({ 5: 3.15, 10: 3, 15: 2.88 })).toEqual(['still-falling'])
    expect(ended({ 5: 3.15, 10: 2.9, 15: 2.88 })).toEqual([])
    // Little beside the whole fall, or risen again
    expect(ended({ 1: 9, 10: 2, 15: 1.9 })).toEqual([])
    expect(ended({ 5: 2, 10: 2.5, 15: 2.2 })).toEqual([])
    // One evaluation before the last says nothing of a trend
    expect(ended({ 5: 3.15, 15: 2.88 })).toEqual([])
    expect(ended({ 5: 3.15, 10: 3, 15: 2.88 }, (i) => ({ loss: 1, iteration: i > 7 ? 2 : 1 }))).toEqual([])
  })

  it('takes each iteration of self-play by itself', () => {
    const learns = (i: number) => ({ loss: 0.69 - 0.01 * (i % 30), iteration: 1 + Math.floor(i / 30) })
    expect(of(60, learns)).toEqual([])
    expect(of(60, (i) => ({ ...learns(i), loss: 0.69 }))).toEqual(['loss-flat'])
    // The second is too short to say
    expect(of(40, (i) => ({ ...learns(i), loss: 0.69 }))).toEqual([])
  })

  it('warns of an accuracy that is surely at chance', () => {
    const accuracy = (value: number, spread: number) => (i: number) => ({
      loss: 1 / (1 + i),
      'rewards/accuracies': value + spread * noise(i),
    })
    expect(of(100, accuracy(0.5, 0.2))).toEqual(['accuracy-chance'])
    expect(of(100, accuracy(0.62, 0.2))).toEqual([])
    // Few pairs, about which nothing is sure
    expect(of(20, accuracy(0.5, 0.5))).toEqual([])
    expect(of(100, (i) => ({ loss: 1 / (1 + i), accuracy: 0.5 }))).toEqual(['accuracy-chance'])
  })
})
