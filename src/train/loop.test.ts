/** The training loop between steps; the step itself is a stub. */
import { describe, expect, it, vi } from 'vitest'
import { beginning, betterThanLast, type LoopEnd, type LoopOptions, type Progress, train } from './loop.ts'
import type { StepSettings } from './step.ts'

vi.mock('./step.ts', () => ({
  trainStep: async (_: unknown, __: unknown, { step, learningRate }: StepSettings) => ({
    loss: 1 / step,
    grad_norm: 1,
    learning_rate: learningRate,
  }),
}))

type Given = Partial<LoopOptions> & { evals?: number[]; rows?: number }

/** Runs the loop; `trace` says what happened, `saves` what was written. */
const run = async ({ evals, rows = 99, ...parts }: Given, each: (what: string) => void = () => {}) => {
  const saves: Progress[] = []
  let evaluations = 0
  const loop = train({
    trainer: {} as never,
    progress: beginning,
    totalSteps: 4,
    rowsPerEpoch: 10,
    maxGradNorm: 1,
    seed: 0,
    evalEvery: 1,
    bestMetric: 'eval_loss',
    saveEvery: 100,
    signal: new AbortController().signal,
    learningRate: (step) => step / 10,
    next: async (position) =>
      position < rows ? { batches: [], rows: [position], position: position + 2, tokens: 5 } : undefined,
    ...(evals && { evaluate: async () => ({ eval_loss: evals[evaluations++], eval_accuracy: 1 }) }),
    save: async (progress) => `step-${saves.push(progress) && progress.step}`,
    ...parts,
  })
  const trace: string[] = []
  for (;;) {
    const { value, done } = await loop.next()
    if (done) return { trace, saves, end: value as LoopEnd }
    if (value.event === 'step') expect(value.learning_rate).toBe((value.step - 1) / 10)
    trace.push(`${value.event} ${value.step}`)
    each(trace.at(-1)!)
  }
}

const stopAt = (what: string) => {
  const controller = new AbortController()
  return { signal: controller.signal, each: (event: string) => event === what && controller.abort() }
}

describe('checkpoints', () => {
  it('are written every so often, and at the end', async () => {
    const { trace, end } = await run({ saveEvery: 2, totalSteps: 3 })
    expect(trace).toEqual(['step 1', 'step 2', 'checkpoint 2', 'step 3', 'checkpoint 3'])
    expect(end).toEqual({
      progress: { step: 3, position: 6, num_tokens: 15, waited: 0, evalDue: false },
      stopped: 'done',
    })
  })

  it('are written where the data ends', async () => {
    const { trace, end } = await run({ rows: 4 })
    expect(trace).toEqual(['step 1', 'step 2', 'checkpoint 2'])
    expect(end.stopped).toBe('done')
  })

  it('of a run that its data ends are followed by an evaluation, in a resumed run too', async () => {
    const given = { rows: 6, evalEvery: 2, totalSteps: 9 }
    const { trace, end, saves } = await run({ ...given, evals: [3, 2] })
    expect(trace.slice(-3)).toEqual(['step 3', 'checkpoint 3', 'eval 3'])
    expect(end).toMatchObject({ stopped: 'done', progress: { best: { step: 3, value: 2 } } })
    const again = await run({ ...given, progress: saves.at(-1)!, evals: [2] })
    expect([again.trace, again.end]).toEqual([['eval 3'], end])
    expect((await run({ ...given, rows: 8, evals: [3, 2] })).trace.slice(-2)).toEqual(['eval 4', 'checkpoint 4'])
  })

  it('are written of each best step', async () => {
    const { trace, end } = await run({ evals: [3, 2, 5, 4] })
    expect(trace.filter((what) => what.startsWith('checkpoint'))).toEqual([1, 2, 4].map((n) => `checkpoint ${n}`))
    expect(end.progress.best).toEqual({ step: 2, value: 2 })
  })
})

describe('the best evaluation', () => {
  const end = async (evals: number[], more: Given = {}) => (await run({ evals, ...more })).end.progress
  it('is better than the last one unless that is the best or as good', async () => {
    expect(betterThanLast('eval_loss', await end([3, 2, 5, 4]))).toEqual({ step: 2, value: 2 })
    expect(betterThanLast('eval_loss', await end([3, 2, 5, 1]))).toBeUndefined()
    expect(betterThanLast('eval_loss', await end([3, 2, 5, 2]))).toBeUndefined()
    expect(betterThanLast('eval_loss', await end([3, 2], { evalEvery: 2 }))).toBeUndefined()
  })

  it('is known to a run that is resumed after its last step', async () => {
    const { saves, end } = await run({ evals: [3, 2, 5, 4] })
    const again = await run({ progress: saves.at(-1)!, evals: [] })
    expect(again.end.progress).toEqual(end.progress)
    expect(betterThanLast('eval_loss', again.end.progress)).toEqual({ step: 2, value: 2 })
  })

  it('is not sought with the metric none', async () => {
    expect(await end([3, 2, 5, 4], { bestMetric: 'none' })).not.toHaveProperty('best')
  })
})

describe('patience', () => {
  it('ends with the evaluations that bring nothing better', async () => {
    const { end, saves } = await run({ evals: [3, 2, 2, 2.5], totalSteps: 9, patience: 2 })
    expect(end).toMatchObject({ stopped: 'patience', progress: { step: 4, waited: 2, best: { step: 2 } } })
    expect(saves.at(-1)!.step).toBe(4)
    // Resumed, it is still over
    const again = await run({ progress: end.progress, evals: [0], totalSteps: 9, patience: 2 })
    expect(again).toMatchObject({ trace: [], end: { stopped: 'patience' } })
  })

  it('takes larger values for better but of losses, and NaN for neither', async () => {
    const values = [1, Number.NaN, 3, 2]
    const evaluate = async () => ({ eval_loss: 1, eval_accuracy: values.shift()! })
    const { end } = await run({ evaluate, bestMetric: 'eval_accuracy' })
    expect(end.progress).toMatchObject({ best: { step: 3, value: 3 }, waited: 1 })
  })

  it('needs a metric that exists', async () => {
    await expect(run({ evals: [1], bestMetric: 'eval_acuracy' })).rejects.toThrow(/--best-metric.*eval_accuracy/)
  })
})

describe('an abort', () => {
  it('lets the step end and saves it', async () => {
    const { signal, each } = stopAt('step 2')
    const { trace, end } = await run({ signal }, each)
    expect(trace).toEqual(['step 1', 'step 2', 'checkpoint 2'])
    expect(end.stopped).toBe('interrupted')
  })

  it('at the last step changes nothing', async () => {
    const { signal, each } = stopAt('step 4')
    expect((await run({ signal }, each)).end.stopped).toBe('done')
  })

  it('before the first step leaves a checkpoint to go on from, before a later one that which there is', async () => {
    const signal = AbortSignal.abort()
    expect(await run({ signal })).toMatchObject({ trace: ['checkpoint 0'], end: { stopped: 'interrupted' } })
    const progress = { ...beginning, step: 2, position: 4 }
    expect(await run({ signal, progress })).toMatchObject({ trace: [], end: { progress, stopped: 'interrupted' } })
  })

  it('leaves the evaluation that was due to the run that goes on', async () => {
    const { signal, each } = stopAt('step 2')
    const first = await run({ signal, evals: [3, 9], totalSteps: 3 }, each)
    expect(first.trace).toEqual(['step 1', 'eval 1', 'checkpoint 1', 'step 2', 'checkpoint 2'])
    const rest = await run({ progress: first.saves.at(-1)!, evals: [2, 1], totalSteps: 3 })
    expect(rest.trace).toEqual(['eval 2', 'checkpoint 2', 'step 3', 'eval 3', 'checkpoint 3'])
    expect(rest.end.progress.best).toEqual({ step: 3, value: 1 })
  })

  it.each([
    [{}, ['step 1', 'checkpoint 1'], true],
    [{ rows: 2, evalEvery: 2 }, ['step 1', 'checkpoint 1'], false],
  ])('amid an evaluation makes it count for nothing: %j', async (given, expected, evalDue) => {
    const controller = new AbortController()
    const evaluate = async () => {
      controller.abort()
      return { eval_loss: Number.NaN }
    }
    const { trace, end } = await run({ ...given, signal: controller.signal, evaluate })
    expect(trace).toEqual(expected)
    expect(end).toMatchObject({ stopped: 'interrupted', progress: { evalDue } })
  })
})
