/** Optimizers on the engine, in place, against formulas computed by hand; schedules and weight decay. */
import { afterAll, describe, expect, it } from 'vitest'
import { compileProgram } from '../onnx/model.ts'
import { openBackend } from '../runtime/open.node.ts'
import { topological } from '../tensor/graph.ts'
import { simplify } from '../tensor/simplify.ts'
import { input, type Tensor } from '../tensor/tensor.ts'
import { clipScale, globalNorm } from './clip.ts'
import { decays } from './decay.ts'
import { type Hyper, type Optimizer, type OptimizerName, optimizer } from './optimizers.ts'
import { schedule } from './schedules.ts'

const variants: [OptimizerName, Hyper][] = [
  ['adamw', { weightDecay: 0.1 }],
  ['adam', { weightDecay: 0.1 }],
  ['sgd', { weightDecay: 0.1 }],
  ['sgd', { momentum: 0.9, dampening: 0.1 }],
  ['sgd', { momentum: 0.9, nesterov: true, weightDecay: 0.1 }],
  ['rmsprop', { weightDecay: 0.1 }],
  ['rmsprop', { momentum: 0.9 }],
]

/** The update as a program whose output `next.x` replaces the input `x`. */
const traced = (rule: Optimizer) => {
  const of = (name: string) => input(name, ['n'])
  const state = Object.fromEntries(rule.state.map((name) => [name, of(name)]))
  const scalars = Object.fromEntries(rule.scalars.map((name) => [name, input(`s.${name}`, [])]))
  const next = rule.update({ param: of('param'), grad: of('grad'), state }, scalars)
  return { 'next.param': next.param, ...Object.fromEntries(rule.state.map((n) => [`next.${n}`, next.state[n]])) }
}

describe.each(variants)('%s %o', (name, hyper) => {
  it('reads an old array in the node that replaces it or before', () => {
    const outputs = traced(optimizer(name, hyper))
    const results = simplify(Object.values(outputs))
    const order = topological(results)
    for (const [i, key] of Object.keys(outputs).entries()) {
      const old = order.find((t) => t.op === 'input' && (t.params as { name: string }).name === key.slice(5))
      const before = new Set<Tensor>(topological([results[i]]))
      const readers = order.filter((t) => t.inputs.includes(old!))
      expect(readers.length, key).toBeGreaterThan(0)
      expect(
        readers.every((t) => before.has(t)),
        key,
      ).toBe(true)
      expect(results.filter((t) => t === old)).toEqual([])
    }
  })
})

describe('in place on the engine', async () => {
  const backend = await openBackend({ inProcess: true, threads: 2 })
  afterAll(() => backend.close())

  it.each(variants)('%s %o over three slices and three steps', async (name, hyper) => {
    const n = 600_000
    const rule = optimizer(name, hyper)
    const executable = backend.load(compileProgram(name, traced(rule)))
    const names = ['param', ...rule.state]
    const start = Float32Array.from({ length: n }, (_, i) => Math.sin(i))
    const arrays = Object.fromEntries(
      names.map((x) => [x, x === 'param' ? backend.put(start.slice(), [n]) : backend.zeros([n])]),
    )
    const expected = Object.fromEntries(names.map((x) => [x, x === 'param' ? start : new Float32Array(n)]))
    const probes = [0, 1, 262_143, 262_144, 599_999]
    for (let step = 1; step <= 3; step++) {
      const gradient = Float32Array.from({ length: n }, (_, i) => Math.cos(i * step))
      const values = rule.scalarValues({ step, learningRate: 0.01, gradScale: 0.5, decays: true })
      const scalars = Object.fromEntries(
        rule.scalars.map((x) => [`s.${x}`, backend.put(Float32Array.of(values[x]), [])]),
      )
      const grad = backend.put(gradient.slice(), [n])
      const into = Object.fromEntries(names.map((x) => [`next.${x}`, arrays[x]]))
      backend.runSlices(executable, { ...arrays, grad }, scalars, into)
      for (const i of probes) byHand(name, hyper, step, expected, gradient, i)
    }
    for (const x of names) {
      const actual = await backend.read(arrays[x])
      for (const i of probes) expect(actual[i], `${x}[${i}]`).toBeCloseTo(expected[x][i], 5)
    }
  })
})

/** One element by textbook formulas: lr 0.01, gradients halved. */
const byHand = (
  name: OptimizerName,
  { weightDecay = 0, momentum = 0, dampening = 0, nesterov = false }: Hyper,
  step: number,
  x: Record<string, Float32Array>,
  gradient: Float32Array,
  i: number,
) => {
  const p = x.param[i]
  const g = gradient[i] / 2 + (name === 'adamw' ? 0 : weightDecay * p)
  if (name === 'sgd') {
    const buffer = step === 1 ? g : momentum * (x.momentum?.[i] ?? 0) + (1 - dampening) * g
    if (momentum) x.momentum[i] = buffer
    x.param[i] = p - 0.01 * (!momentum ? g : nesterov ? g + momentum * buffer : buffer)
  } else if (name === 'rmsprop') {
    x.v[i] = 0.99 * x.v[i] + 0.01 * g * g
    const u = g / (Math.sqrt(x.v[i]) + 1e-8)
    if (momentum) x.momentum[i] = momentum * x.momentum[i] + u
    x.param[i] = p - 0.01 * (momentum ? x.momentum[i] : u)
  } else {
    x.m[i] = 0.9 * x.m[i] + 0.1 * g
    x.v[i] = 0.999 * x.v[i] + 0.001 * g * g
    const [m, v] = [x.m[i] / (1 - 0.9 ** step), x.v[i] / (1 - 0.999 ** step)]
    x.param[i] = (name === 'adamw' ? p * (1 - 0.01 * weightDecay) : p) - (0.01 * m) / (Math.sqrt(v) + 1e-8)
  }
}

it('weight decay of a parameter that is exempt changes nothing', () => {
  const at = { step: 3, learningRate: 0.1, gradScale: 1, decays: false }
  expect(optimizer('adamw', { weightDecay: 0.5 }).scalarValues(at).keep).toBe(1)
  expect(optimizer('adam', { weightDecay: 0.5 }).scalarValues(at).weightDecay).toBe(0)
})

it('norms and biases do not decay', () => {
  const kept = ['model.layers.0.input_layernorm.weight', 'model.norm.weight', 'layers.3.self_attn.q_norm.weight']
  const more = ['transformer.h.0.ln_1.weight', 'transformer.ln_f.weight', 'encoder.LayerNorm.weight', 'score.bias']
  for (const name of [...kept, ...more]) expect(decays(name), name).toBe(false)
  const lora = 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight'
  for (const name of ['model.embed_tokens.weight', 'lm_head.weight', 'transformer.h.0.attn.c_attn.weight', lora])
    expect(decays(name), name).toBe(true)
})

it('clips by the norm over all slices', () => {
  expect(globalNorm([9, 16])).toBe(5)
  expect(clipScale(5, 1)).toBeCloseTo(0.2, 6)
  expect(clipScale(0.5, 1)).toBe(1)
  expect(clipScale(5, 0)).toBe(1)
})

describe('schedule', () => {
  const base = { learningRate: 2, warmupSteps: 2, totalSteps: 6 }
  it('warms up from 0 and ends at 0', () => {
    const rate = schedule('linear', base)
    expect([0, 1, 2, 3, 4, 5, 6, 7].map(rate)).toEqual([0, 1, 2, 1.5, 1, 0.5, 0, 0])
  })
  it('says what a shape lacks', () => {
    expect(() => schedule('cosine_with_min_lr', base)).toThrow(/minLrRate/)
    expect(() => schedule('warmup_stable_decay', base)).toThrow(/numDecaySteps/)
    expect(() => schedule('polynomial', { ...base, lrEnd: 3 })).toThrow(/not below the learning rate/)
  })
})
