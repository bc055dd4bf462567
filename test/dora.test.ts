/** DoRA of weights with biases and of Conv1D's, which PEFT's golden (test/parity/lora.test.ts) has not, and what is refused. */
import { afterAll, describe, expect, it } from 'vitest'
import { lazyTensor, type StoredTensor } from '../src/checkpoint/stored.ts'
import { withMagnitudes } from '../src/models/dora.ts'
import { loadPretrained } from '../src/models/load.node.ts'
import { newAdapter } from '../src/models/loraNew.ts'
import { applyAdapter, type Base, mergeAdapter } from '../src/models/merge.ts'
import { putWeights } from '../src/passes/load.ts'
import { makeModel } from '../src/passes/model.ts'
import { putQuantized } from '../src/passes/quantize.ts'
import { openBackend } from '../src/runtime/open.node.ts'
import { logpsAndGradients } from './support/adapted.ts'
import { fixture, largestDifference } from './support/golden.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const fresh = (base: Base, targets: 'all-linear' | string[] = 'all-linear') =>
  withMagnitudes(
    newAdapter({ r: 2, alpha: 4, dropout: 0, targets }, base.architecture, base.config, 1),
    base,
    '--use-dora',
  )

/** The adapter after some training. */
const moved = (adapter: ReturnType<typeof fresh>) => {
  const params = [...adapter.params].map(([name, tensor], i): [string, StoredTensor] => [
    name,
    lazyTensor(name, tensor.shape, async () => (await tensor.floats()).map((x, j) => x + 0.1 * Math.sin(i + j))),
  ])
  return { ...adapter, params: new Map(params) }
}

const modelOf = async (base: Base & { scalings?: Map<string, number> }, dropout = 0) =>
  makeModel({ ...base, backend, dropout, params: await putWeights(backend, base.params) })

const logps = async (base: Base) => (await logpsAndGradients(await modelOf(base), [], 'low')).logps

describe.each(['gpt2', 'qwen2'])('DoRA on %s', async (name) => {
  const base: Base = await loadPretrained(fixture(`models/${name}`))

  it('changes nothing at first', async () => {
    expect(largestDifference(await logps(applyAdapter(base, fresh(base))), await logps(base))).toBeLessThan(1e-5)
  })

  it('computes what its merged weights do, and differs from LoRA', async () => {
    const adapter = moved(fresh(base))
    const own = await logps(applyAdapter(base, adapter))
    expect(largestDifference(own, await logps(mergeAdapter(base, adapter)))).toBeLessThan(2e-5)
    expect(largestDifference(own, await logps(mergeAdapter(base, { ...adapter, dora: false })))).toBeGreaterThan(1e-2)
  })

  it('has the same gradients in both memory plans, with dropout too', async () => {
    const adapter = moved(fresh(base))
    const whole = await modelOf(applyAdapter(base, adapter), 0.2)
    const names = [...adapter.params.keys()]
    const [fast, low] = [await logpsAndGradients(whole, names, 'fast'), await logpsAndGradients(whole, names, 'low')]
    for (const [i, gradient] of fast.gradients.entries()) {
      expect(gradient.some((x) => x !== 0)).toBe(true)
      expect(largestDifference(gradient, low.gradients[i])).toBeLessThan(1e-5)
    }
  })
})

it('is refused on embeddings and heads, and on weights that are rounded', async () => {
  const base: Base = await loadPretrained(fixture('models/llama-tied'))
  for (const target of ['embed_tokens', 'lm_head']) expect(() => fresh(base, [target])).toThrow(`has DoRA on`)
  const { architecture, config, params } = applyAdapter(base, fresh(base))
  const placed = { back: true, exact: [], calibration: [] }
  const open = (how: { format: 'none' | 'int4'; compute: 'fp32' | 'int8' }) =>
    putQuantized(backend, { architecture, config }, params, { ...placed, ...how })
  await expect(open({ format: 'int4', compute: 'fp32' })).rejects.toMatchObject({ code: 'bad-adapter', exitCode: 2 })
  await expect(open({ format: 'none', compute: 'int8' })).rejects.toMatchObject({ code: 'bad-adapter', exitCode: 2 })
})
