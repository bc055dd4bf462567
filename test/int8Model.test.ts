/**
 * Models whose products are computed in 8-bit whole numbers (`--compute int8`, `int8-fast`), beside fp32 models that have the
 * weights which the codes stand for: log-probs and gradients of every architecture, for adapters and for full fine-tuning.
 */
import { readFile } from 'node:fs/promises'
import { afterAll, describe, expect, it } from 'vitest'
import { lazyTensor, type StoredTensor } from '../src/checkpoint/stored.ts'
import { pack } from '../src/data/batch.ts'
import { headWeight } from '../src/models/architecture.ts'
import { parseConfig } from '../src/models/config.ts'
import { initWeights } from '../src/models/init.ts'
import { loadPretrained } from '../src/models/load.node.ts'
import type { Base } from '../src/models/merge.ts'
import { architectureOf, architectures } from '../src/models/registry.ts'
import { codesOf, scalesOf, smoothOf } from '../src/nn/scope.ts'
import { randomIds } from '../src/passes/calibrate.ts'
import { targetStates, tokenPass } from '../src/passes/head.ts'
import { hiddenStates } from '../src/passes/hiddenStates.ts'
import type { Compute } from '../src/passes/int8.ts'
import { place } from '../src/passes/layout.ts'
import { putWeights } from '../src/passes/load.ts'
import { type Model, makeModel } from '../src/passes/model.ts'
import { openModel } from '../src/passes/open.node.ts'
import { linearWeights, putQuantized } from '../src/passes/quantize.ts'
import { forward } from '../src/passes/stack.ts'
import { codeType } from '../src/runtime/codeType.ts'
import { openBackend } from '../src/runtime/open.node.ts'
import { loadTokenizerFolder } from '../src/text/tokenizer.node.ts'
import { adaptedModels, logpsAndGradients, withAdapter } from './support/adapted.ts'
import { fixture, fixtureJson, largestDifference } from './support/golden.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())
const dtype = await codeType(backend)

/** The values that a weight's codes stand for, in the layout of its file. */
const valuesOf = async (model: Model, name: string, conv1d: boolean): Promise<Float32Array> => {
  const [codes, scales] = [model.params.get(codesOf(name))!, model.params.get(scalesOf(name))!]
  const [inner, out] = codes.shape
  const [bytes, scale] = [await backend.read(codes), await backend.read(scales)]
  const owner = model.int8.get(name)!.smooth
  const smooth = owner === undefined ? undefined : await backend.read(model.params.get(smoothOf(name, owner))!)
  const zero = dtype === 'u8' ? 128 : 0
  return Float32Array.from(bytes, (_, i) => {
    const [k, o] = conv1d ? [Math.floor(i / out), i % out] : [i % inner, Math.floor(i / inner)]
    return (bytes[k * out + o] - zero) * scale[o] * (smooth?.[k] ?? 1)
  })
}

/** The fp32 model with the weights that a model's codes stand for. */
const exactly = async (base: Base, model: Model): Promise<Model> => {
  const stored = [...base.params].map(([name, tensor]): [string, StoredTensor] => {
    if (!model.int8.has(name)) return [name, tensor]
    return [name, lazyTensor(name, tensor.shape, () => valuesOf(model, name, base.architecture.conv1d === true))]
  })
  return makeModel({ ...base, backend, params: await putWeights(backend, new Map(stored)) })
}

const placing = ({ config }: Base, compute: Compute) => ({
  format: 'none' as const,
  compute,
  back: true,
  exact: [],
  calibration: randomIds(config.vocab_size),
})

/** With frozen weights, which exist as codes alone. */
const frozen = async (base: Base, compute: Compute) =>
  makeModel({
    ...base,
    backend,
    ...(await putQuantized(backend, base, base.params, placing(base, compute))),
  })

/** With trained weights, which have codes beside their values. */
const trained = async (base: Base, compute: Compute) => {
  const trained = await putWeights(backend, base.params)
  const placed = await putQuantized(backend, base, new Map(), { ...placing(base, compute), trained })
  return makeModel({ ...base, backend, params: new Map([...trained, ...placed.params]), int8: placed.int8 })
}

const cosine = (a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]) => {
  const dot = (p: readonly ArrayLike<number>[], q: readonly ArrayLike<number>[]) =>
    p.reduce((sum, x, i) => sum + Array.from(x).reduce((part, v, j) => part + v * q[i][j], 0), 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

/** A random model of a fixture's config with changes. */
const drawn =
  (fixtureName: string, changes: object): (() => Promise<Base>) =>
  async () => {
    const raw = await fixtureJson(`models/${fixtureName}/config.json`)
    const config = parseConfig({ ...raw, initializer_range: 0.3, ...changes }, 'config.json')
    const architecture = architectureOf(config, 'config.json')
    return { architecture, config, params: initWeights(architecture, config, 1) }
  }

// Of Gemma 1 there is no fixture. Sizes that are no multiples of 4, nor even, are no special case
const odd = { hidden_size: 30, num_attention_heads: 3, num_key_value_heads: 1, head_dim: 10, intermediate_size: 49 }
const mixtures = ['gemma4-moe', 'gpt-oss', 'granite-moe', 'mixtral', 'qwen3-moe']
const all: [string, () => Promise<Base>][] = [
  ...adaptedModels
    .filter((name) => ![...mixtures, 'qwen3.5'].includes(name))
    .map((name): [string, () => Promise<Base>] => [name, () => loadPretrained(fixture(`models/${name}`))]),
  // In the fixture's narrow heads what the delta rule reads nearly cancels, and its norm makes any error of that large
  ['qwen3.5', drawn('qwen3.5', { linear_key_head_dim: 32, linear_value_head_dim: 32 })],
  ['gemma', drawn('gemma2', { architectures: ['GemmaForCausalLM'], model_type: 'gemma' })],
  ['a llama of odd sizes', drawn('llama-tied', odd)],
]

it('there is a model of each architecture here', async () => {
  const found = await Promise.all(all.map(async ([, open]) => (await open()).architecture.name))
  const computed = architectures.filter(({ experts }) => !experts)
  expect([...new Set(found)].sort()).toEqual(computed.map(({ name }) => name).sort())
})

it.each(mixtures)('%s is refused', async (name) => {
  const base = await loadPretrained(fixture(`models/${name}`))
  await expect(frozen(base, 'int8')).rejects.toMatchObject({ code: 'no-int8', exitCode: 2 })
})

/** How far apart two results are: log-probs of tokens, and the cosine of all gradients and of the one that is furthest off. */
const apart = (made: Result, expected: Result) => ({
  largest: largestDifference(made.logps, expected.logps),
  mean: made.logps.reduce((sum, logp, i) => sum + Math.abs(logp - expected.logps[i]), 0) / made.logps.length,
  whole: cosine(made.gradients, expected.gradients),
  least: Math.min(...made.gradients.map((gradient, i) => cosine([gradient], [expected.gradients[i]]))),
})
type Result = Awaited<ReturnType<typeof logpsAndGradients>>

// Measured over the models: log-probs at most .0017 apart, cosines at
// least .9997 in all and .994 of one module; with the rows rounded once .36 and .997, .990 in Gemma 4 with its gates before norms
describe.each(all)('%s in 8-bit whole numbers', async (name, open) => {
  const base = await open()
  const { whole, names } = withAdapter(base)

  it.each(['fast', 'low'] as const)(
    'has the log-probs of its 8-bit weights in fp32, and the gradients of an adapter, with --memory %s',
    async (plan) => {
      const model = await frozen(whole, 'int8')
      expect(model.int8.size).toBe(linearWeights(base.architecture, base.config).size)
      const exact = await exactly(whole, model)
      const made = await logpsAndGradients(model, names, plan)
      const { largest, mean, whole: all, least } = apart(made, await logpsAndGradients(exact, names, plan))
      expect(mean).toBeLessThan(1e-3)
      expect(largest).toBeLessThan(2e-3)
      expect(all).toBeGreaterThan(0.9995)
      expect(least).toBeGreaterThan(0.99)
    },
  )

  it('has the gradients of all weights where all are trained', async () => {
    const model = await trained(base, 'int8')
    const exact = await exactly(base, model)
    const weights = [...base.params.keys()].filter((name) => name !== headWeight)
    const made = await logpsAndGradients(model, weights, 'fast')
    const { largest, mean, whole: all } = apart(made, await logpsAndGradients(exact, weights, 'fast'))
    expect(mean).toBeLessThan(1e-3)
    expect(largest).toBeLessThan(2e-3)
    expect(all).toBeGreaterThan(0.9995)
  })

  it('is near both with the rows rounded once', async () => {
    const model = await frozen(whole, 'int8-fast')
    const exact = await exactly(whole, model)
    const made = await logpsAndGradients(model, names, 'fast')
    const { largest, whole: all } = apart(made, await logpsAndGradients(exact, names, 'fast'))
    expect(largest).toBeLessThan(0.5)
    expect(largest).toBeGreaterThan(1e-3)
    expect(all).toBeGreaterThan(name.startsWith('gemma4') ? 0.985 : 0.995)
  })
})

describe('a real checkpoint', async () => {
  const folder = fixture('models/stories260K')
  const base = await loadPretrained(folder)
  const tokenizer = (await loadTokenizerFolder(folder))!
  const texts = (await readFile(fixture('data/sentences.jsonl'), 'utf8')).trimEnd().split('\n')
  const rows = texts.map((line) => {
    const { prompt, chosen } = JSON.parse(line)
    return { trunk: [1], branches: [Array.from(tokenizer.encode(`${prompt}${chosen}`).ids)] }
  })
  const logpsOf = async (model: Model) => {
    const placed = place(model, pack(rows, 1))
    const states = targetStates(model, forward(model, placed, 'none').hidden, placed)
    return backend.read(tokenPass(model, states, placed, ['logps']).logps)
  }
  const plain = await logpsOf(makeModel({ ...base, backend, params: await putWeights(backend, base.params) }))

  // Measured: .032 and .071, of tokens whose log-probs have a deviation of 2.4
  it.each<[Compute, number]>([
    ['int8', 0.05],
    ['int8-fast', 0.1],
  ])('has log-probs of tokens near fp32, with --compute %s', async (compute, most) => {
    const logps = await logpsOf(await frozen(base, compute))
    expect(logps.length).toBeGreaterThan(200)
    const error = Math.sqrt(logps.reduce((sum, logp, i) => sum + (logp - plain[i]) ** 2, 0) / logps.length)
    expect(error).toBeLessThan(most)
    expect(error).toBeGreaterThan(most / 10)
  })

  // Measured: .00023, and .0015 of the one token that is furthest off
  it('has those of its 8-bit weights in fp32 within a thousandth, with --compute int8', async () => {
    const model = await frozen(base, 'int8')
    const [made, exact] = [await logpsOf(model), await logpsOf(await exactly(base, model))]
    const apart = Array.from(made, (logp, i) => Math.abs(logp - exact[i]))
    expect(Math.sqrt(apart.reduce((sum, x) => sum + x * x, 0) / apart.length)).toBeLessThan(1e-3)
    expect(Math.max(...apart)).toBeLessThan(2e-3)
  })
})

describe.each(['bert', 'roberta', 'deberta-v3'])('the encoder %s', (name) => {
  it('has nearly the hidden states of fp32', async () => {
    const statesOf = async (compute: Compute) => {
      const { model, close } = await openModel({
        ...{ model: fixture(`models/${name}`), head: 'encoder', compute, inProcess: true, threads: 1 },
      })
      expect(model.int8.size > 0).toBe(compute !== 'fp32')
      const texts = [
        [1, 5, 9, 13, 3, 8, 2],
        [7, 6],
        [11, 12, 10, 9],
      ].map((ids) => ({ ids }))
      const states = (await hiddenStates(model, texts)).flatMap((each) => Array.from(each))
      await close()
      return states
    }
    const [plain, int8, fast] = [await statesOf('fp32'), await statesOf('int8'), await statesOf('int8-fast')]
    expect(cosine([int8], [plain])).toBeGreaterThan(0.999)
    expect(cosine([fast], [plain])).toBeGreaterThan(0.998)
    expect(fast).not.toEqual(int8)
  })
})
