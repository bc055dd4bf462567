import { describe, expect, it } from 'vitest'
import { compareRuns } from './compare.ts'
import { curvesIn } from './curves.ts'

const run = (name: string, method: string, config: object, events: { event: string; [field: string]: unknown }[]) => ({
  name,
  info: { method, config: { model: 'm', ...config } },
  steps: 10,
  curves: curvesIn(events),
})
const steps = (losses: readonly number[]) => losses.map((loss, i) => ({ event: 'step', step: i + 1, loss, seconds: 1 }))
const evaluation = (step: number, metrics: object) => ({ event: 'eval', step, ...metrics })

describe('runs side by side', () => {
  it('of one method are compared by held-out metrics and by means of the last steps, not by single ones', () => {
    const a = run('a', 'sft', { learningRate: 1e-3, output: 'a' }, [
      ...steps([9, 9, 9, 9, 9, 1, 1, 1, 1, 6]),
      evaluation(10, { eval_loss: 3 }),
    ])
    const b = run('b', 'sft', { learningRate: 2e-3, output: 'b' }, steps([9, 9, 9, 9, 9, 1, 1, 1, 1, 1]))
    const { settings, metrics, apart, note } = compareRuns([a, b])
    expect(settings).toEqual({ learningRate: [1e-3, 2e-3] })
    expect(metrics).toEqual({ steps: [10, 10], loss: [2, 1], eval_loss: [3, undefined] })
    expect({ apart, note }).toEqual({})
  })

  it('shows the evaluation of the result, which may be an earlier one', () => {
    const events = [evaluation(1, { eval_loss: 1 }), evaluation(2, { eval_loss: 2 })]
    const a = { ...run('a', 'sft', {}, events), through: 1 }
    expect(compareRuns([a, a]).metrics.eval_loss).toEqual([1, 1])
  })

  it('does not put losses of different methods beside each other, but what both were measured by on held-out rows', () => {
    const sft = run('s', 'sft', { evalSplit: 0.1 }, [
      ...steps([2, 1]),
      evaluation(0, { eval_loss: 2, eval_entropy: 1 }),
      evaluation(2, { eval_loss: 1.5, eval_entropy: 0.5 }),
    ])
    const dpo = run('d', 'dpo', { evalSplit: 0.1, data: ['other.jsonl'] }, [
      ...steps([0.7, 0.6]),
      evaluation(2, { eval_loss: 0.65, eval_entropy: 0.75, 'eval_rewards/margins': 1 }),
    ])
    const { metrics, apart, note } = compareRuns([sft, dpo])
    expect(metrics).toEqual({ steps: [10, 10], eval_entropy: [0.5, 0.75] })
    expect(apart?.why).toContain('The losses of sft and dpo measure different things')
    expect(apart?.changes.map((change) => change?.to.value)).toEqual([1.5, 0.65])
    expect(note).toContain('held-out rows may not be the same')
  })

  it('tells losses of one method apart by their names, and takes a run of another tool for one of the same kind', () => {
    const of = (objective: string) => {
      const { info, ...rest } = run(objective, 'dpo', {}, steps([1]))
      return { ...rest, info: { ...info, objective } }
    }
    expect(compareRuns([of('sigmoid'), of('ipo')]).apart?.why).toContain('dpo (sigmoid) and dpo (ipo)')
    const foreign = { ...run('t', 'TRL', {}, steps([2])), info: { method: 'TRL', config: {} } }
    expect(compareRuns([of('sigmoid'), foreign])).toMatchObject({ metrics: { loss: [1, 2] } })
  })
})
