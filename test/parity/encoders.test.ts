/** Encoders and the pair ranker compared with transformers: hidden states, buckets, scores and the gradient of each parameter. */
import { afterAll, describe, expect, it } from 'vitest'
import { packTexts } from '../../src/data/encoderBatch.ts'
import { parseConfig } from '../../src/models/config.ts'
import { loadPretrained } from '../../src/models/load.node.ts'
import { pairTokens } from '../../src/models/pairTokens.ts'
import { architectureOf } from '../../src/models/registry.ts'
import { bucketOf } from '../../src/nn/relative.ts'
import { compileProgram } from '../../src/onnx/model.ts'
import { targetStates, targetStatesBackward } from '../../src/passes/head.ts'
import { encoderText, hiddenStates } from '../../src/passes/hiddenStates.ts'
import { place } from '../../src/passes/layout.ts'
import { putWeights } from '../../src/passes/load.ts'
import { type Model, makeModel } from '../../src/passes/model.ts'
import { openRanker } from '../../src/passes/openRanker.node.ts'
import { scorePass } from '../../src/passes/scoreHead.ts'
import { backward, forward, type Plan } from '../../src/passes/stack.ts'
import { openBackend } from '../../src/runtime/open.node.ts'
import { vjp } from '../../src/tensor/grad.ts'
import { input } from '../../src/tensor/tensor.ts'
import { trainMicro } from '../../src/train/micro.ts'
import { fixture, fixtureJson, fixtureTensors, largestDifference } from '../support/golden.ts'
import { goldenModel } from '../support/model.ts'

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

type Golden = Awaited<ReturnType<typeof fixtureTensors>>

const rowsOf = (values: readonly number[], B: number) =>
  Array.from({ length: B }, (_, b) => values.slice((b * values.length) / B, ((b + 1) * values.length) / B))

/** The padded rows of a golden. */
const goldenTexts = async (golden: Golden) => {
  const [B] = golden.shape('input_ids')
  const rows = async (name: string) =>
    golden.has(name) ? rowsOf(await golden.ints(name), B) : Array.from({ length: B }, () => undefined)
  const [ids, masks, types] = [await rows('input_ids'), await rows('attention_mask'), await rows('token_type_ids')]
  return ids.map((row, b) => ({ ids: row!, mask: masks[b], types: types[b] }))
}

/** Largest difference where the mask is 1. */
const difference = (states: Float32Array[], expected: Float32Array, texts: { ids: number[]; mask?: number[] }[]) => {
  const all = Float32Array.from(states.flatMap((state) => Array.from(state)))
  const C = all.length / texts.reduce((n, { ids }) => n + ids.length, 0)
  const mask = texts.flatMap(({ mask: own }) => own!)
  return largestDifference(all, expected, (i) => mask[Math.floor(i / C)] === 1)
}

const zeros = (model: Model) => new Map([...model.params].map(([key, { shape }]) => [key, backend.zeros(shape)]))

const expectGradients = async (gradients: ReturnType<typeof zeros>, golden: Golden, zero: readonly string[]) => {
  for (const [key, handle] of gradients) {
    const expected = await golden.floats(`grad.${key}`)
    const largest = Math.max(...expected.map(Math.abs))
    const most = largestDifference(await backend.read(handle), expected)
    expect(most, key).toBeLessThan(zero.includes(key) ? 1e-6 : 1e-4 * largest)
  }
}

/** The gradient of the golden's pooler at the first token of each text; attune itself has no pooler. */
const poolerBackward = async (golden: Golden, name: string, first: Float32Array, B: number, C: number) => {
  const weights = await fixtureTensors(`models/${name}/model.safetensors`)
  const [h, W, b] = [input('h', [B, C]), input('W', [C, C]), input('b', [C])]
  const pooled = h.matmul(W, { transB: true }).add(b).tanh()
  const probe = await golden.floats('probe')
  const T = golden.shape('probe')[1]
  const dy = Float32Array.from({ length: B * C }, (_, i) => probe[Math.floor(i / C) * T * C + (i % C)] / B)
  const program = backend.load(compileProgram('pooler', { dh: vjp([pooled], [input('dy', [B, C])], [h])[0], pooled }))
  const out = backend.run(program, {
    h: backend.put(first, [B, C]),
    W: backend.put(await weights.floats('pooler.dense.weight'), [C, C]),
    b: backend.put(await weights.floats('pooler.dense.bias'), [C]),
    dy: backend.put(dy, [B, C]),
  })
  expect(largestDifference(await backend.read(out.pooled), await golden.floats('pooler_output'))).toBeLessThan(1e-4)
  return backend.read(out.dh)
}

describe.each(['bert', 'roberta', 'deberta-v3'])('%s equals transformers', async (name) => {
  const golden = await fixtureTensors(`models/${name}/golden.safetensors`)
  const model = await goldenModel(backend, name)
  const texts = await goldenTexts(golden)
  const C = model.config.hidden_size

  it('in the hidden states after every block, padded or not, together or alone', async () => {
    for (let layer = 0; layer <= model.config.num_hidden_layers; layer++) {
      const expected = await golden.floats(`hidden_states.${layer}`)
      expect(difference(await hiddenStates(model, texts, layer), expected, texts)).toBeLessThan(1e-4)
    }
    const last = await golden.floats('last_hidden_state')
    const T = texts[0].ids.length
    for (const [b, { ids, mask, types }] of texts.entries()) {
      const length = mask!.lastIndexOf(1) + 1
      const [alone] = await hiddenStates(model, [{ ids: ids.slice(0, length), types: types?.slice(0, length) }])
      expect(largestDifference(alone, last.subarray(b * T * C, (b * T + length) * C))).toBeLessThan(1e-4)
    }
  })

  it.skipIf(name !== 'deberta-v3')('with the config.json of transformers 4 too', async () => {
    const old = await goldenModel(backend, name, 'config.v4.json')
    expect(difference(await hiddenStates(old, texts), await golden.floats('last_hidden_state'), texts)).toBeLessThan(
      1e-4,
    )
  })

  it.each<Plan>(['fast', 'low'])('in the gradient of every parameter, with --memory %s', async (plan) => {
    const gradients = zeros(model)
    const packed = packTexts(texts.map((text) => encoderText(model, text)))
    const placed = place(model, packed)
    const { hidden, trail } = forward(model, placed, plan, gradients)
    const h = targetStates(model, hidden, placed)
    const states = await backend.read(h)
    const probe = await golden.floats('probe')
    const T = texts[0].ids.length
    // Targets are all tokens with a mask of 1, in order
    const at = texts.flatMap(({ mask }, b) => mask!.flatMap((seen, t) => (seen ? [b * T + t] : [])))
    const dh = Float32Array.from(
      { length: at.length * C },
      (_, i) => probe[at[Math.floor(i / C)] * C + (i % C)] / at.length,
    )
    if (golden.has('pooler_output')) {
      const firsts = texts.map((_, b) => at.indexOf(b * T))
      const first = Float32Array.from(firsts.flatMap((m) => Array.from(states.subarray(m * C, (m + 1) * C))))
      const slopes = await poolerBackward(golden, name, first, texts.length, C)
      firsts.forEach((m, b) => {
        for (let c = 0; c < C; c++) dh[m * C + c] += slopes[b * C + c]
      })
    }
    const dHidden = targetStatesBackward(model, hidden, placed, backend.put(dh, [at.length, C]), gradients)
    backward(model, trail, dHidden, gradients)
    const { zero_gradients: zero } = await fixtureJson(`models/${name}/golden.json`)
    await expectGradients(gradients, golden, zero)
  })
})

it('the buckets of relative positions are those of transformers', async () => {
  const golden = await fixtureTensors('models/deberta-v3/golden.safetensors')
  const cases = [
    ['buckets', { buckets: 8, longest: 32 }],
    ['buckets_256_512', { buckets: 256, longest: 512 }],
  ] as const
  for (const [name, buckets] of cases) {
    const expected = await golden.ints(name)
    expect(expected.map((_, distance) => bucketOf(distance, buckets))).toEqual(expected)
    expect(expected.map((_, distance) => bucketOf(-distance, buckets) + 0)).toEqual(
      expected.map((bucket) => -bucket + 0),
    )
  }
})

it('a file with the prefix and the head of RoBERTa, without a pooler, loads', async () => {
  const name = 'storage-roberta-mlm'
  const { architecture, config, params, unused } = await loadPretrained(fixture(`models/${name}`))
  expect(unused.every((each) => each.startsWith('lm_head.'))).toBe(true)
  expect(unused.length).toBe(5)
  const model = makeModel({ architecture, config, backend, params: await putWeights(backend, params) })
  const golden = await fixtureTensors(`models/${name}/golden.safetensors`)
  const texts = await goldenTexts(golden)
  expect(difference(await hiddenStates(model, texts), await golden.floats('last_hidden_state'), texts)).toBeLessThan(
    1e-4,
  )
})

describe.each(['config.json', 'config.v4.json'])('the pair ranker, by its %s, equals torch', async (file) => {
  const golden = await fixtureTensors('models/pair-ranker/golden.safetensors')
  const model = await goldenModel(backend, 'pair-ranker', file)
  const texts = await goldenTexts(golden)
  const markers = [129, 130, 131]
  const packed = packTexts(
    texts.map((text) => ({ ...encoderText(model, text), targets: markers.map((id) => text.ids.indexOf(id)) })),
  )

  const places = (values: number[]) => ({ values: BigInt64Array.from(values, BigInt), shape: [values.length] })

  it('in hidden states, states at the markers, and scores', async () => {
    for (let layer = 0; layer <= model.config.num_hidden_layers; layer++) {
      const expected = await golden.floats(`hidden_states.${layer}`)
      expect(difference(await hiddenStates(model, texts, layer), expected, texts)).toBeLessThan(1e-4)
    }
    const placed = place(model, packed)
    const h = targetStates(model, forward(model, placed, 'none').hidden, placed)
    expect(largestDifference(await backend.read(h), await golden.floats('marker_states'))).toBeLessThan(1e-4)
    const scores = await backend.read(scorePass(model, h))
    const expected = await golden.floats('scores')
    expect(
      largestDifference(
        scores.filter((_, i) => i % 3 !== 0),
        expected,
      ),
    ).toBeLessThan(1e-4)
  })

  it.each<Plan>(['fast', 'low'])('in loss and gradients, with --memory %s', async (plan) => {
    const gradients = zeros(model)
    const { vector } = trainMicro(
      model,
      {
        packs: [packed],
        arrays: { first: places([1, 4]), second: places([2, 5]) },
        weight: texts.length,
      },
      {
        name: 'golden',
        stats: ['scores'],
        trace: ({ scores, array }) => {
          const at = (which: string) => scores.gather(array(which, ['P'], 'i64'))
          const gap = at('first').sub(at('second'))
          return { loss: gap.logSigmoid().neg().mean(), metrics: {} }
        },
      },
      plan,
      gradients,
      0,
    )
    const { loss, zero_gradients: zero } = await fixtureJson('models/pair-ranker/golden.json')
    expect((await backend.read(vector))[0]).toBeCloseTo(loss, 5)
    await expectGradients(gradients, golden, zero)
  })
})

it('rows of joined ids get the scores of torch by the opened ranker', async () => {
  const golden = await fixtureTensors('models/pair-ranker/golden.safetensors')
  const ranker = await openRanker({ model: fixture('models/pair-ranker'), inProcess: true, threads: 1 })
  try {
    const rows = (await goldenTexts(golden)).map(({ ids, mask }) => ids.filter((_, t) => mask![t] === 1))
    const scores = await ranker.scores(rows.map((ids) => ranker.joined(ids)))
    expect(largestDifference(scores.flat(), await golden.floats('scores'))).toBeLessThan(1e-4)
  } finally {
    await ranker.close()
  }
})

it('what would be computed wrongly is refused by name', () => {
  const raw = {
    ...{ architectures: ['DebertaV2Model'], model_type: 'deberta-v2', vocab_size: 8, hidden_size: 4 },
    ...{ num_hidden_layers: 1, num_attention_heads: 2 },
  }
  const read = (change: object) => architectureOf(parseConfig({ ...raw, ...change }, 'config.json'), 'config.json').name
  expect(read({})).toBe('DebertaV2Model')
  expect(read({ architectures: ['DebertaV2ForSequenceClassification'] })).toBe('DebertaV2Model')
  expect(() => read({ conv_kernel_size: 3 })).toThrow(/conv_kernel_size 3/)
  expect(() => read({ embedding_size: 2 })).toThrow(/embedding_size 2/)
  expect(() =>
    read({ model_type: 'bert', architectures: ['BertModel'], position_embedding_type: 'relative_key' }),
  ).toThrow(/position_embedding_type/)
  expect(() => read({ model_type: 'bert', architectures: ['BertLMHeadModel'] })).toThrow(/"BertLMHeadModel"/)
  const ranker = parseConfig({ ...raw, source_prefix_id: 5, cand1_prefix_id: 6, cand2_prefix_id: 8 }, 'config.json')
  expect(() => pairTokens(ranker, 512, 'config.json')).toThrow(/cand2_prefix_id is 8/)
})
