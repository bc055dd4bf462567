import { expect, it } from 'vitest'
import { figuresOf, headlineCurves } from './row.ts'

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

it('else by the pairs in order, but not those of the first step', () => {
  const { best } = figuresOf(logged(steps, {}))
  expect(best).toMatchObject({ metric: 'rewards/accuracies', value: 0.75, step: 3 })
  const first = figuresOf(logged({ step: [1], 'rewards/accuracies': [0] }, {}))
  expect(first.best).toBeUndefined()
  expect(first.last).toMatchObject({ value: 0 })
})

it('the title leaves the pairs in order out only for a held-out loss', () => {
  const curves = new Map([
    ['loss', [[1, 1]] as const],
    ['rewards/accuracies', [[1, 1]] as const],
    [
      'eval_loss',
      [
        [0, 1],
        [3, 0.5],
      ] as const,
    ],
  ])
  expect([...headlineCurves(curves).keys()]).toEqual(['loss', 'eval_loss'])
  curves.delete('eval_loss')
  expect([...headlineCurves(curves).keys()]).toEqual(['loss', 'rewards/accuracies'])
})
