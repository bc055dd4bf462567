/** Decoding with a KV cache and scoring, compared with transformers: tokens, logits and log-probs. */
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { completions } from '../../src/generate/completions.ts'
import { closeDecoder, type Decoder, drop, openDecoder, prefill, step } from '../../src/generate/decode.ts'
import { segmentsOf } from '../../src/generate/decodePrograms.ts'
import { generate } from '../../src/generate/generate.ts'
import { score, uncounted } from '../../src/generate/score.ts'
import { loadAdapted, loadPretrained } from '../../src/models/load.node.ts'
import { applyAdapter } from '../../src/models/merge.ts'
import { logitsPass } from '../../src/passes/head.ts'
import { putWeights } from '../../src/passes/load.ts'
import { type Model, makeModel } from '../../src/passes/model.ts'
import { openBackend } from '../../src/runtime/open.node.ts'
import { collect } from '../support/collect.ts'
import { fixture, fixtureJson, fixtureTensors, largestDifference } from '../support/golden.ts'
import { goldenModel, goldenModels } from '../support/model.ts'

const adapters = ['lora-qv', 'lora-all-rslora', 'lora-lm-head', 'lora-save-lm-head', 'lora-gpt2']

const backend = await openBackend({ inProcess: true, threads: 1 })
afterAll(() => backend.close())

/** The base model of an adapter, with the adapter applied. */
const adaptedModel = async (name: string) => {
  const folder = fixture(`models/${name}`)
  const { base_model_name_or_path: baseName } = await fixtureJson(`models/${name}/adapter_config.json`)
  const base = await loadPretrained(join(folder, baseName))
  const whole = applyAdapter(base, (await loadAdapted(folder, base)).adapter)
  return makeModel({ ...whole, backend, params: await putWeights(backend, whole.params) })
}

/** The prompts without padding, and the tokens that transformers generated. */
const goldenPrompts = async (golden: Awaited<ReturnType<typeof fixtureTensors>>) => {
  const [B, T] = golden.shape('gen_input_ids')
  const [ids, mask] = [await golden.ints('gen_input_ids'), await golden.ints('gen_attention_mask')]
  const rows = Array.from({ length: B }, (_, b) =>
    ids.slice(b * T, (b + 1) * T).filter((_, t) => mask[b * T + t] === 1),
  )
  const continued = async (name: string) => {
    const whole = await golden.ints(name)
    const length = golden.shape(name)[1]
    return rows.map((_, b) => whole.slice(b * length + T, (b + 1) * length))
  }
  return { rows, continued }
}

/** How the decoding programs get the weights: as inputs, in one program, or in one program per segment. */
const plans: [string, (model: Model) => Decoder][] = [
  ['fed', (model) => openDecoder(model)],
  ['packed', (model) => openDecoder(model, { packed: true })],
  ['a segment a layer', (model) => ({ ...openDecoder(model), segments: segmentsOf(model, true, 1) })],
]

const greedy = { temperature: 0, seed: 0, maxNewTokens: 16, eosIds: new Set<number>() }

describe.each(goldenModels)('decoding %s equals transformers', async (name) => {
  const golden = await fixtureTensors(`models/${name}/golden.safetensors`)
  const model = await goldenModel(backend, name)
  const { rows, continued } = await goldenPrompts(golden)

  it.each(plans)('in the logits of every step, weights %s', async (_, open) => {
    const V = model.config.vocab_size
    const expected = await golden.floats('gen_logits')
    const next = await continued('gen_sequences')
    const decoder = open(model)
    const differences: number[] = []
    let h = prefill(
      decoder,
      rows.map((ids) => ({ ids, copies: 1 })),
    )
    for (let t = 0; t < 16; t++) {
      const logits = await backend.read(logitsPass(model, h))
      for (let b = 0; b < rows.length; b++) {
        const row = expected.subarray((b * 16 + t) * V, (b * 16 + t + 1) * V)
        differences.push(largestDifference(logits.subarray(b * V, (b + 1) * V), row))
      }
      if (t < 15)
        h = step(
          decoder,
          next.map((tokens) => tokens[t]),
        )
    }
    closeDecoder(decoder)
    expect(differences.length).toBe(32)
    expect(Math.max(...differences)).toBeLessThan(1e-4)
  })

  it('in the log-probs of given tokens, one row or all rows a pass', async () => {
    const [B, T] = golden.shape('input_ids')
    const [ids, labels] = [await golden.ints('input_ids'), await golden.ints('labels')]
    const [mask, logps] = [await golden.ints('attention_mask'), await golden.floats('logps')]
    const places = Array.from({ length: B }, (_, b) =>
      Array.from({ length: T }, (_, t) => b * T + t).filter((at) => mask[at]),
    )
    const given = places.map((at) => ({ ids: at.map((i) => ids[i]), labels: at.map((i) => labels[i]) }))
    const expected = places.map((at) =>
      at.slice(1).flatMap((i) => (labels[i] === uncounted ? [] : [logps[Math.floor(i / T) * (T - 1) + (i % T) - 1]])),
    )
    for (const tokens of [1, 4096]) {
      const found = await collect(score(model, given, { tokens }))
      expect(found.map(({ length }) => length)).toEqual(expected.map(({ length }) => length))
      expect(largestDifference(found.flat(), expected.flat())).toBeLessThan(1e-4)
    }
  })

  it('and samples with the log-probs that score gives', async () => {
    const options = { temperature: 0.9, topK: 20, seed: 4, maxNewTokens: 12, samples: 2, eosIds: new Set<number>() }
    const found = await collect(completions(generate(model, undefined, rows, options)))
    expect(found.length).toBe(2 * rows.length)
    const scored = found.map(({ row, ids }) => ({
      ids: [...rows[row], ...ids],
      labels: [...rows[row].map(() => uncounted), ...ids],
    }))
    const expected = await collect(score(model, scored))
    for (const [i, { logps }] of found.entries()) expect(largestDifference(logps, expected[i])).toBeLessThan(1e-4)
  })

  it('in the greedy tokens', async () => {
    const expected = await continued('gen_sequences')
    const found = await collect(completions(generate(model, undefined, rows, greedy)))
    expect(found.map(({ finishReason }) => finishReason)).toEqual(['length', 'length'])
    for (const { row, ids } of found) expect(ids).toEqual(expected[row])
  })

  it('in the greedy tokens up to an end token', async () => {
    const { generate: facts } = await fixtureJson(`models/${name}/golden.json`)
    const eos = facts.gen_eos_token_id
    const expected = await continued('gen_eos_sequences')
    const found = await collect(completions(generate(model, undefined, rows, { ...greedy, eosIds: new Set([eos]) })))
    for (const { row, ids, finishReason } of found) {
      const end = expected[row].indexOf(eos)
      expect(ids).toEqual(end < 0 ? expected[row] : expected[row].slice(0, end + 1))
      expect(finishReason).toBe(end < 0 ? 'length' : 'eos')
    }
    expect(found[0].row).toBe(0)
  })
})

describe.each(adapters)('decoding with adapter %s equals PEFT', async (name) => {
  it.each(plans)('in the logits of rows at different positions, weights %s', async (_, open) => {
    const golden = await fixtureTensors(`models/${name}/golden.safetensors`)
    const model = await adaptedModel(name)
    const [B, T] = golden.shape('input_ids')
    const [ids, mask] = [await golden.ints('input_ids'), await golden.ints('attention_mask')]
    const rows = Array.from({ length: B }, (_, b) => ids.slice(b * T, (b + 1) * T).filter((_, t) => mask[b * T + t]))
    const expected = await golden.floats('logits')
    const V = model.config.vocab_size
    const decoder = open(model)
    const differences: number[] = []
    const compare = async (logits: Float32Array, at: number, row: number, t: number) => {
      const wanted = expected.subarray((row * T + t) * V, (row * T + t + 1) * V)
      differences.push(largestDifference(logits.subarray(at * V, (at + 1) * V), wanted))
    }
    // Row b starts with b + 1 tokens and leaves the batch when it has no more
    const active = rows.map((_, row) => ({ row, t: row }))
    let h = prefill(
      decoder,
      active.map(({ row, t }) => ({ ids: rows[row].slice(0, t + 1), copies: 1 })),
    )
    for (;;) {
      const logits = await backend.read(logitsPass(model, h))
      for (const [at, { row, t }] of active.entries()) await compare(logits, at, row, t)
      for (let at = active.length - 1; at >= 0; at--) {
        if (++active[at].t < rows[active[at].row].length) continue
        drop(decoder, at)
        active[at] = active.at(-1)!
        active.pop()
      }
      if (!active.length) break
      h = step(
        decoder,
        active.map(({ row, t }) => rows[row][t]),
      )
    }
    closeDecoder(decoder)
    expect(differences.length).toBe(rows.reduce((n, { length }, b) => n + length - b, 0))
    expect(Math.max(...differences)).toBeLessThan(1e-4)
  })
})
