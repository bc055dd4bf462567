/** A model with both a language head and a score head: the gradients of a loss on both are the sum of the gradients of each. */
import { afterAll, describe, expect, it } from 'vitest'
import { packs } from '../../src/data/batch.ts'
import { scoreWeight } from '../../src/models/architecture.ts'
import { makeModel } from '../../src/passes/model.ts'
import { openBackend } from '../../src/runtime/open.node.ts'
import type { LossFunction } from '../../src/train/loss.ts'
import { trainMicro } from '../../src/train/micro.ts'
import { largestDifference } from '../support/golden.ts'
import { goldenModel } from '../support/model.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const loss = (policy: number, value: number): LossFunction => ({
  name: `both ${policy} ${value}`,
  stats: [...(policy ? (['logps', 'entropy'] as const) : []), ...(value ? (['scores'] as const) : [])],
  trace: ({ logps, scores }) => {
    const parts = [...(policy ? [logps.mul(policy).mean()] : []), ...(value ? [scores.square().mean().mul(value)] : [])]
    return { loss: parts.reduce((a, b) => a.add(b)), metrics: {} }
  },
})

describe.each(['llama-gqa-untied', 'llama-tied', 'gpt2'])('%s with a value head', async (name) => {
  const plain = await goldenModel(backend, name)
  const { hidden_size: C } = plain.config
  const head = backend.put(
    Float32Array.from({ length: C }, (_, i) => Math.sin(i)),
    [1, C],
  )
  const model = makeModel({ ...plain, params: new Map(plain.params).set(scoreWeight, head) })
  const batch = {
    packs: packs([{ trunk: [5, 6, 7], branches: [[8, 9], [10, 11, 12], [13]] }], 3),
    arrays: {},
    weight: 1,
  }

  const gradientsOf = async (policy: number, value: number, trained: (name: string) => boolean) => {
    const names = [...model.params.keys()].filter(trained)
    const gradients = new Map(names.map((key) => [key, backend.zeros(model.params.get(key)!.shape)]))
    trainMicro(model, batch, loss(policy, value), 'fast', gradients, 0)
    return Promise.all(names.map((key) => backend.read(gradients.get(key)!)))
  }

  // If only blocks are trained, the gradient of the language head is computed in the forward pass
  it.each([
    ['everything', () => true],
    ['one block and the value head', (key: string) => key === scoreWeight || /\.1\./.test(key)],
  ])('adds up the gradients of policy and value loss, training %s', async (_, trained) => {
    const [both, policy, value] = [
      await gradientsOf(2, 3, trained),
      await gradientsOf(2, 0, trained),
      await gradientsOf(0, 3, trained),
    ]
    both.forEach((gradient, i) => {
      const sum = policy[i].map((x, j) => x + value[i][j])
      expect(largestDifference(gradient, sum)).toBeLessThan(1e-5 * Math.max(1e-3, ...sum.map(Math.abs)))
    })
    expect(Math.max(...value.flatMap((x) => [...x].map(Math.abs)))).toBeGreaterThan(0.01)
  })
})
