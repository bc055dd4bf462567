/**
 * Models with quantized weights compared with fp32 models that have the dequantized weights.
 * Log-probs and the gradient of every adapter parameter, for every architecture and both memory plans; and decoding.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { lazyTensor, type StoredTensor } from '../../src/checkpoint/stored.ts'
import { pack } from '../../src/data/batch.ts'
import { completions } from '../../src/generate/completions.ts'
import { generate } from '../../src/generate/generate.ts'
import { loadPretrained } from '../../src/models/load.node.ts'
import type { Base } from '../../src/models/merge.ts'
import { targetStates, tokenPass } from '../../src/passes/head.ts'
import { place } from '../../src/passes/layout.ts'
import { putWeights } from '../../src/passes/load.ts'
import { makeModel } from '../../src/passes/model.ts'
import { putQuantized } from '../../src/passes/quantize.ts'
import { forward, type Plan } from '../../src/passes/stack.ts'
import { openBackend } from '../../src/runtime/open.node.ts'
import { dequantize, type QuantFormat, quantize } from '../../src/tensor/quantization.ts'
import { adaptedModels, logpsAndGradients, withAdapter } from '../support/adapted.ts'
import { fixture } from '../support/golden.ts'
import { withoutAvx512 } from '../support/processor.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const transposed = (x: Float32Array, rows: number) =>
  Float32Array.from(x, (_, i) => x[(i % rows) * (x.length / rows) + Math.floor(i / rows)])

/** The quantized model, and the fp32 model with its dequantized weights. */
const twins = async (base: Base & { scalings?: Map<string, number> }, format: QuantFormat) => {
  const rounded = makeModel({
    ...base,
    backend,
    ...(await putQuantized(backend, base, base.params, {
      format,
      compute: 'fp32',
      back: false,
      exact: [],
      calibration: [],
    })),
  })
  const values = [...base.params].map(([name, tensor]): [string, StoredTensor] => {
    const how = rounded.quantized.get(name)
    if (!how) return [name, tensor]
    const make = async () => {
      const stored = await tensor.floats()
      const { conv1d } = base.architecture
      const { codes, scales } = quantize(conv1d ? transposed(stored, tensor.shape[0]) : stored, how)!
      const back = dequantize(codes, scales, how)
      return conv1d ? transposed(back, tensor.shape[1]) : back
    }
    return [name, lazyTensor(name, tensor.shape, make)]
  })
  return { rounded, exact: makeModel({ ...base, backend, params: await putWeights(backend, new Map(values)) }) }
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0)

describe.each(adaptedModels)(
  'quantized %s has the log-probs and gradients of its dequantized weights',
  async (name) => {
    const { whole, names } = withAdapter(await loadPretrained(fixture(`models/${name}`)))

    it.each<[QuantFormat, Plan]>([
      ['int4', 'fast'],
      ['int8', 'low'],
      ['nf4', 'low'],
      ['fp4', 'fast'],
    ])('%s, with --memory %s', async (format, plan) => {
      const { rounded, exact } = await twins(whole, format)
      const router = `${whole.architecture.experts?.router}.lora_A.weight`
      const outer = whole.architecture.outerLinears ?? []
      const adapted = names
        .filter((n) => n.includes('lora_A') && !n.endsWith(router) && !outer.some((module) => n.startsWith(module)))
        .map((n) => n.replace('lora_A.', ''))
      expect([...rounded.quantized.keys()].sort()).toEqual(adapted.sort())
      const [made, expected] = [
        await logpsAndGradients(rounded, names, plan),
        await logpsAndGradients(exact, names, plan),
      ]
      expect(largest(made.logps, expected.logps)).toBeLessThan(5e-5)
      for (const [i, gradient] of made.gradients.entries()) {
        // of an expert that no token goes to it is 0
        expect(gradient.some((x) => x !== 0)).toBe(expected.gradients[i].some((x) => x !== 0))
        expect(largest(gradient, expected.gradients[i])).toBeLessThan(2e-4)
      }
    })
  },
)

describe.each<[QuantFormat, number]>([
  ['int8', 0.05],
  ['int4', 0.05],
  ['nf4', 0.05],
  ['fp4', 0.05],
])('decoding with %s weights', async (format, most) => {
  const base = await loadPretrained(fixture('models/stories260K'))
  const { rounded } = await twins(base, format)
  const prompts = [
    [1, 403],
    [1, 432, 383],
    [1, 403, 407, 261],
    [1, 261],
  ]
  const options = { maxNewTokens: 24, temperature: 1, seed: 7, eosIds: new Set([2]), packed: true }
  const decode = async (batchSize: number) => {
    const made = []
    for await (const { row, ids, logps } of completions(
      generate(rounded, undefined, prompts, { ...options, batchSize }),
    ))
      made.push({ row, ids, logps })
    return made.sort((a, b) => a.row - b.row)
  }

  it('has log-probs near those of score, and tokens that do not depend on the batch', async () => {
    const [alone, together] = [await decode(1), await decode(4)]
    if (!withoutAvx512) expect(together.map(({ ids }) => ids)).toEqual(alone.map(({ ids }) => ids))
    for (const { row, ids, logps } of together) {
      const placed = place(rounded, pack([{ trunk: prompts[row], branches: [ids] }], 1))
      const { hidden } = forward(rounded, placed, 'none')
      const scored = await backend.read(
        tokenPass(rounded, targetStates(rounded, hidden, placed), placed, ['logps']).logps,
      )
      const mean = logps.reduce((sum, x, i) => sum + Math.abs(x - scored[i]), 0) / logps.length
      expect(mean).toBeLessThan(most)
    }
  })
})
