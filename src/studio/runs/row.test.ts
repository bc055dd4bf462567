import { expect, it } from 'vitest'
import { figuresOf } from './row.ts'

const table = (columns: Record<string, number[]>) => ({
  rows: () => Object.values(columns)[0]?.length ?? 0,
  names: () => Object.keys(columns),
  column: (name: string) => (columns[name] ? Float64Array.from(columns[name]) : undefined),
})
type Logged = Parameters<typeof figuresOf>[0]
const logged = (steps: Record<string, number[]>, evaluations: Record<string, number[]>) =>
  ({ steps: table(steps), evaluations: table(evaluations) }) as unknown as Logged

const steps = { step: [1, 2, 3], loss: [0.69, 0.6, 0.5], 'rewards/accuracies': [1, 0.5, 0.75] }

it('a run of pairs is judged by its held-out loss, where that was measured', () => {
  const { best, last } = figuresOf(logged(steps, { step: [0, 3], eval_loss: [0.69, 0.62] }))
  expect(best).toEqual({ metric: 'eval_loss', label: 'held-out loss', value: 0.62, step: 3 })
  expect(last).toEqual(best)
})

it('else by the mean of the last training steps, not by the pairs in order, and has no best', () => {
  const loss = [9, 9, 9, 9, 9, 1, 1, 1, 1, 6]
  const step = loss.map((_, i) => i + 1)
  const figures = figuresOf(logged({ step, loss, 'rewards/accuracies': loss.map(() => 1) }, {}))
  expect(figures.best).toBeUndefined()
  expect(figures.last).toEqual({ metric: 'loss', label: 'mean training loss', value: 2, step: 10 })
})

it('by the metric that the user chose, where it is not the usual one', () => {
  const held = { step: [0, 3, 6], eval_loss: [0.7, 0.6, 0.5], 'eval_rewards/accuracies': [1, 0.5, 0.75] }
  const { best } = figuresOf(logged(steps, held), { bestMetric: 'eval_rewards/accuracies' })
  // Not that of step 0
  expect(best).toMatchObject({ metric: 'eval_rewards/accuracies', value: 0.75, step: 6 })
})
