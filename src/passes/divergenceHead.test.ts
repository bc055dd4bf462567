/** The divergence from a teacher in tiles of rows, of a vocabulary so large that one tile does not hold the rows. */
import { afterAll, describe, expect, it } from 'vitest'
import { largestDifference } from '../../test/support/golden.ts'
import { parseConfig } from '../models/config.ts'
import { initWeights } from '../models/init.ts'
import { architectureOf } from '../models/registry.ts'
import type { Handle } from '../runtime/backend.ts'
import { openBackend } from '../runtime/open.node.ts'
import { rng } from '../util/rng.ts'
import { divergenceBackward, divergenceNames, divergencePass, type Teaching, tileRows } from './divergenceHead.ts'
import { logitsPass, scaledUnits } from './head.ts'
import { putWeights } from './load.ts'
import { makeModel } from './model.ts'

const [V, C, M] = [33_000, 8, 150]
const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const raw = {
  ...{ architectures: ['LlamaForCausalLM'], model_type: 'llama', vocab_size: V, hidden_size: C, intermediate_size: 16 },
  ...{ num_hidden_layers: 1, num_attention_heads: 1, max_position_embeddings: 64, tie_word_embeddings: true },
  ...{ rms_norm_eps: 1e-5, rope_theta: 10_000, initializer_range: 0.5 },
}
const config = parseConfig(raw, 'config.json')
const architecture = architectureOf(config, 'config.json')
const modelOf = async (seed: number) => {
  const params = await putWeights(backend, initWeights(architecture, config, seed))
  return makeModel({ architecture, config, backend, params })
}
const [student, teacher] = [await modelOf(1), await modelOf(2)]
const weight = 'model.embed_tokens.weight'

const random = rng(3, 1)
const states = (at: number) =>
  backend.put(
    Float32Array.from({ length: M * C }, (_, i) => 1.5 * random.normal(at + i)),
    [M, C],
  )
const [h, theirs] = [states(0), states(1e6)]
const scales = backend.put(
  Float32Array.from({ length: M }, (_, i) => random.uniform(2e6 + i) - 0.3),
  [M],
)
const rows = (x: Handle, start: number, count: number) => {
  const [, ...rest] = x.shape
  return backend.view(x, start * (rest[0] ?? 1), [count, ...rest])
}
const zeros = (count: number) => Object.fromEntries(divergenceNames.map((name) => [name, backend.zeros([count])]))
const gradient = () => new Map([[weight, backend.zeros([V, C])]])

describe.each([0, 0.4, 1])('with beta %s', (beta) => {
  const settings = { beta, temperature: 1 }
  const whole: Teaching = { model: teacher, h: theirs }

  it('is that of the logits, computed in float64', async () => {
    expect(tileRows(V)).toBeLessThan(M)
    const stats = zeros(M)
    divergencePass(student, h, whole, { ...settings, into: stats })
    const read = (logits: Handle) => backend.read(logits)
    const [own, other] = await Promise.all([logitsPass(student, h), logitsPass(teacher, theirs)].map(read))
    for (const m of [0, 111, 112, 149]) {
      const [p, q] = [own, other].map((logits) => softmax(logits.slice(m * V, (m + 1) * V)))
      const mixture = p.map((x, v) => (1 - beta) * x + beta * q[v])
      const [forward, reverse] = [kl(q, p), kl(p, q)]
      const expected = { 0: forward, 1: reverse }[beta] ?? beta * kl(q, mixture) + (1 - beta) * kl(p, mixture)
      expect((await backend.read(stats.divergence))[m]).toBeCloseTo(expected, 4)
      expect((await backend.read(stats.forwardKl))[m]).toBeCloseTo(forward, 4)
      expect((await backend.read(stats.reverseKl))[m]).toBeCloseTo(reverse, 4)
    }
  })

  it('has the same gradient in one pass, in two, and tile by tile', async () => {
    const { unit } = divergencePass(student, h, whole, { ...settings, unit: true, into: zeros(M) })
    const all = gradient()
    const dh = await backend.read(divergenceBackward(student, h, whole, scales, all, settings))
    expect(largestDifference(await backend.read(scaledUnits(student, unit!, scales)), dh)).toBeLessThan(1e-5)
    const parts = gradient()
    for (const [start, count] of [
      [0, 70],
      [70, M - 70],
    ]) {
      const part: Teaching = { model: teacher, h: rows(theirs, start, count) }
      divergenceBackward(student, rows(h, start, count), part, rows(scales, start, count), parts, settings)
    }
    const [x, y] = await Promise.all([all, parts].map((each) => backend.read(each.get(weight)!)))
    const largest = y.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    expect(largest).toBeGreaterThan(0.01)
    expect(largestDifference(x, y)).toBeLessThan(1e-5 * largest)
  })
})

const softmax = (logits: Float32Array): number[] => {
  const top = logits.reduce((a, b) => Math.max(a, b))
  const e = Array.from(logits, (l) => Math.exp(l - top))
  const sum = e.reduce((a, b) => a + b)
  return e.map((x) => x / sum)
}
const kl = (p: number[], q: number[]) => p.reduce((sum, x, i) => sum + (x > 0 ? x * Math.log(x / q[i]) : 0), 0)
