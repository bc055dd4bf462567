/** The head in tiles against the head in one piece: statistics and gradients, with tiles kept or computed again. */
import { afterAll, describe, expect, it } from 'vitest'
import { largestDifference } from '../../test/support/golden.ts'
import { pack } from '../data/batch.ts'
import { parseConfig } from '../models/config.ts'
import { initWeights } from '../models/init.ts'
import { architectureOf } from '../models/registry.ts'
import type { Handle } from '../runtime/backend.ts'
import { openBackend } from '../runtime/open.node.ts'
import { rng } from '../util/rng.ts'
import { scaledUnits, tiledHeadBackward, tokenPass, trainedHeadBackward } from './head.ts'
import { place } from './layout.ts'
import { putWeights } from './load.ts'
import { makeModel } from './model.ts'
import { tiledBackward, tiledPass } from './tiledHead.ts'

const V = 33_000
const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

const raw = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: V,
  hidden_size: 8,
  intermediate_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 1,
  max_position_embeddings: 2048,
  tie_word_embeddings: true,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  initializer_range: 0.5,
}
const config = parseConfig(raw, 'config.json')
const architecture = architectureOf(config, 'config.json')
const params = await putWeights(backend, initWeights(architecture, config, 1))
const model = makeModel({ architecture, config, backend, params })
const weight = 'model.embed_tokens.weight'

/** Rows enough for two blocks; a label of the first tile, one of the last, and one that comes often. */
const count = 1030
const random = rng(3, 1)
const ids = Array.from({ length: count + 1 }, (_, i) =>
  i % 5 === 0 ? 7 : i % 7 === 0 ? V - 1 : Math.floor(random.uniform(i) * V),
)
const placed = place(model, pack([{ trunk: ids, trunkTargets: ids.map(() => 1), branches: [] }], 0))
const E = await backend.read(params.get(weight)!)
/** Every third row lies along its label, which then is the likeliest for some. */
const state = (row: number, i: number) => (row % 3 ? 2 * random.normal(1e6 + 8 * row + i) : 8 * E[8 * ids[row + 1] + i])
const h = backend.put(
  Float32Array.from({ length: count * 8 }, (_, at) => state(Math.floor(at / 8), at % 8)),
  [count, 8],
)
const scales = backend.put(
  Float32Array.from({ length: count }, (_, i) => random.uniform(2e6 + i) - 0.3),
  [count],
)
const names = ['logps', 'entropy', 'correct', 'meanLogit'] as const
/** Sums of 33,000 values in single precision, one way and another. */
const tolerances = { logps: 1e-5, entropy: 1e-4, correct: 0, meanLogit: 1e-3 }

/** Too little smoothing to change a digit, and enough for the way in one piece. */
const whole = { labelSmoothing: 1e-30 }
const read = async (handle: Handle) => backend.read(handle)
const gradient = () => new Map([[weight, backend.put(new Float32Array(V * 8).fill(1), [V, 8])]])

const expectAlike = async (a: Handle, b: Handle, tolerance: number) => {
  const [x, y] = [await read(a), await read(b)]
  const largest = y.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  expect(largestDifference(x, y)).toBeLessThanOrEqual(tolerance * largest)
}

describe('the head by tiles', () => {
  it('gives the statistics of the head in one piece', async () => {
    const [tiled, plain] = [tokenPass(model, h, placed, names), tokenPass(model, h, placed, names, whole)]
    for (const name of names) await expectAlike(tiled[name], plain[name], tolerances[name])
    expect((await read(tiled.correct)).reduce((a, b) => a + b)).toBeGreaterThan(3)
    expect(tiled.tiles).toBeUndefined()
  })

  it('gives the same gradients, frozen or trained', async () => {
    const [one, other] = [gradient(), gradient()]
    const made = tokenPass(model, h, placed, ['logps'], { trained: 'fast' })
    const dh = tiledHeadBackward(model, h, placed, scales, one, { unit: made.unit!, tiles: made.tiles! })
    const plain = trainedHeadBackward(model, h, placed, scales, other, whole)
    await expectAlike(dh, plain, 1e-5)
    await expectAlike(one.get(weight)!, other.get(weight)!, 1e-5)
    const { unit } = tokenPass(model, h, placed, ['logps'], { unit: true })
    await expectAlike(scaledUnits(model, unit!, scales), plain, 1e-5)
  })

  it('computes tiles again that were too many to keep', async () => {
    const [one, other] = [gradient(), gradient()]
    const stats = () => ({ logps: backend.zeros([count]), unit: backend.zeros([count, 8]) })
    const kept = tiledPass(model, weight, h, placed, stats(), 'fast')
    const again = tiledPass(model, weight, h, placed, stats(), 'low')
    const stored = ({ blocks }: typeof kept) => blocks.flatMap(({ tiles }) => tiles).filter(({ p }) => p).length
    expect(stored(kept)).toBeGreaterThan(10)
    expect(stored(again)).toBe(0)
    tiledBackward(model, kept, h, placed, scales, one.get(weight)!)
    tiledBackward(model, again, h, placed, scales, other.get(weight)!)
    await expectAlike(one.get(weight)!, other.get(weight)!, 1e-5)
  })
})
