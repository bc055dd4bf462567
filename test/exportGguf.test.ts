/** Exported GGUF files, read back by the independent reader in test/support/ggufReader.ts. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type GgufType, toGguf } from '../src/checkpoint/ggufBlocks.ts'
import { dequantize } from '../src/checkpoint/ggufDequantize.ts'
import { loadPretrained } from '../src/models/load.node.ts'
import { exportGguf } from '../src/publish/exportGguf.ts'
import { type GgufFormat, storedType } from '../src/publish/ggufFormats.ts'
import { openMerged } from '../src/publish/mergedModel.ts'
import { readGguf } from './support/ggufReader.ts'
import { fixture } from './support/golden.ts'

const work = await mkdtemp(join(tmpdir(), 'attune-gguf-'))
afterAll(() => rm(work, { recursive: true }))

const exported = async (name: string, type: GgufFormat = 'F32', adapter?: string) => {
  const path = join(work, `${name}-${type}.gguf`)
  await exportGguf(await openMerged(fixture(`models/${name}`), adapter && fixture(`models/${adapter}`)), type, path)
  return readGguf(await readFile(path))
}

describe('GGUF blocks', () => {
  // Calculated by hand: the value farthest from 0 becomes -8 times the scale
  it('of 4 bits (Q4_0) are rounded as by llama.cpp', () => {
    const x = Float32Array.from({ length: 32 }, (_, i) => (i - 16) / 2)
    const bytes = toGguf('Q4_0', x, 'w')
    expect([bytes[0], bytes[1]]).toEqual([0x00, 0x3c])
    const levels = x.map((value) => Math.min(15, Math.floor(value + 8.5)))
    expect([...bytes.slice(2)]).toEqual(Array.from({ length: 16 }, (_, i) => levels[i] | (levels[i + 16] << 4)))
  })

  it('of 8 bits (Q8_0) round halves away from 0', () => {
    const bytes = toGguf(
      'Q8_0',
      Float32Array.from({ length: 32 }, (_, i) => [127, 2.5, -2.5, 0.49][i] ?? 0),
      'w',
    )
    expect([...new Int8Array(bytes.buffer, 2, 4)]).toEqual([127, 3, -3, 0])
  })

  // the scale is 0 / -8, which is -0
  it('of zeros stay zeros', () => {
    expect([...toGguf('Q8_0', new Float32Array(32), 'w')].every((byte) => byte === 0)).toBe(true)
    expect([...toGguf('Q4_0', new Float32Array(32), 'w').slice(0, 3)]).toEqual([0, 0x80, 0x88])
  })
})

/** Sums of four parts that are spread evenly; a block of small values, one of zeros and one of positive values. */
const spread = Float32Array.from({ length: 16 * 256 }, (_, i) => {
  let sum = 0
  for (let n = 4 * i; n < 4 * i + 4; n++) sum += Number((BigInt(n) * 2654435761n) % 2n ** 32n) / 2 ** 32 - 0.5
  return i < 256 ? Math.fround(sum) / 1024 : i < 512 ? 0 : i < 768 ? Math.abs(sum) : sum
})

describe('blocks of 5 and 6 bits and K blocks', () => {
  // root mean squares of the error of quantize_row_*_ref of llama.cpp's libggml-base on the same values
  it.each<[GgufType, number]>([
    ['Q5_0', 0.01235541970338542],
    ['Q5_1', 0.011331403052985295],
    ['Q4_K', 0.02215632138077249],
    ['Q5_K', 0.011058331431930649],
    ['Q6_K', 0.005392086189898646],
  ])('%s have errors as small as those of llama.cpp', (type, theirs) => {
    const values = dequantize(type, toGguf(type, spread, 'w'), 'f', 'w')
    const squares = values.reduce((sum, value, i) => sum + (value - spread[i]) ** 2, 0)
    expect(Math.sqrt(squares / spread.length) / theirs).toBeLessThan(1.02)
    expect([...values.subarray(256, 512)].every((value) => value === 0)).toBe(true)
  })

  it('whose scale is beyond float16 are refused', () => {
    const far = new Float32Array(256).fill(1e9)
    far[0] = -1e9
    for (const type of ['Q4_K', 'Q5_K', 'Q6_K', 'Q5_0'] as const)
      expect(() => toGguf(type, far, 'w')).toThrow('w needs ')
  })
})

describe('formats', () => {
  const layer = (i: number) =>
    ['attn_norm', 'attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_up', 'ffn_down'].map((name) => ({
      name: `blk.${i}.${name}.weight`,
      shape: name === 'attn_norm' ? [256] : [256, 256],
    }))
  const tensors = [
    { name: 'token_embd.weight', shape: [32, 256] },
    ...Array.from({ length: 16 }, (_, i) => layer(i)).flat(),
  ]
  const types = (format: GgufFormat) =>
    new Map(tensors.map((tensor) => [tensor.name, storedType(format, tensor, tensors)]))

  // worked out by hand from llama.cpp's rule: layers 0, 1, 14 and 15, and of those between every third from the third on
  it('Q4_K_M has 6 bits for the head, and for values and down of some layers', () => {
    const found = types('Q4_K_M')
    const more = Array.from({ length: 16 }, (_, i) => i).filter((i) => found.get(`blk.${i}.ffn_down.weight`) === 'Q6_K')
    expect(more).toEqual([0, 1, 4, 7, 10, 13, 14, 15])
    expect(found.get('blk.4.attn_v.weight')).toBe('Q6_K')
    expect(found.get('blk.4.attn_q.weight')).toBe('Q4_K')
    expect(found.get('token_embd.weight')).toBe('Q6_K')
    expect(found.get('blk.4.attn_norm.weight')).toBe('F32')
  })

  it('keep routers and convolutions as they are, and give attention beside 8 experts more bits', () => {
    const mixture = (experts: number) => [...tensors, { name: 'blk.0.ffn_up_exps.weight', shape: [experts, 256, 256] }]
    const of = (name: string, experts: number) =>
      storedType('Q4_K_M', { name: `blk.5.${name}.weight`, shape: [256, 256] }, mixture(experts))
    expect(['ffn_gate_inp', 'shortconv.conv'].map((name) => of(name, 8))).toEqual(['F32', 'F32'])
    expect(['attn_k', 'attn_v', 'attn_output'].map((name) => of(name, 8))).toEqual(['Q8_0', 'Q8_0', 'Q5_K'])
    expect(['attn_k', 'attn_output', 'ffn_up_exps'].map((name) => of(name, 4))).toEqual(['Q4_K', 'Q4_K', 'Q4_K'])
  })

  it.each<[GgufFormat, string, string]>([
    ['Q5_K_M', 'Q5_K', 'Q5_1'],
    ['Q4_K_M', 'Q4_K', 'Q5_0'],
    ['Q6_K', 'Q6_K', 'Q8_0'],
  ])('%s gives rows that do not fill a block of %s the type %s', (format, plain, other) => {
    const of = (width: number) => storedType(format, { name: 'blk.3.ffn_up.weight', shape: [4, width] }, tensors)
    expect([of(256), of(96), of(40)]).toEqual([plain, other, 'F16'])
  })
})

describe('stories260K exported to GGUF', async () => {
  const { params } = await loadPretrained(fixture('models/stories260K'))
  const down = await params.get('model.layers.2.mlp.up_proj.weight')!.floats()

  it.each<[GgufFormat, number]>([
    ['F32', 0],
    ['F16', 2 ** -11],
    ['Q8_0', 0.5 / 127 + 2 ** -11],
    ['Q4_0', 1 / 8 + 2 ** -11],
  ])('in %s has its weights within the rounding error of the type', async (type, bound) => {
    const { tensors } = await exported('stories260K', type)
    const { values, shape } = tensors.get('blk.2.ffn_up.weight')!
    expect(shape).toEqual([172, 64])
    for (let from = 0; from < down.length; from += 32) {
      const block = down.subarray(from, from + 32)
      const most = Math.max(...block.map(Math.abs))
      const off = Math.max(...block.map((value, i) => Math.abs(values[from + i] - value)))
      expect(off).toBeLessThanOrEqual(bound * most)
    }
    expect(tensors.get('output_norm.weight')!.type).toBe(0)
  })

  it('has the metadata of its architecture and tokenizer', async () => {
    const { version, metadata, tensors } = await exported('stories260K')
    expect(version).toBe(3)
    const some = (keys: string[]) => Object.fromEntries(keys.map((key) => [key, metadata.get(key)]))
    expect(some(['general.architecture', 'llama.block_count', 'llama.attention.head_count_kv'])).toEqual({
      'general.architecture': 'llama',
      'llama.block_count': 5,
      'llama.attention.head_count_kv': 4,
    })
    const tokens = metadata.get('tokenizer.ggml.tokens') as string[]
    const scores = metadata.get('tokenizer.ggml.scores') as number[]
    const types = metadata.get('tokenizer.ggml.token_type') as number[]
    expect(tokens).toHaveLength(512)
    expect(types.slice(0, 4)).toEqual([2, 3, 3, 6])
    // the first merges: ▁t, he, ▁a
    expect(['▁t', 'he', '▁a'].map((token) => scores[tokens.indexOf(token)])).toEqual([-0, -1, -2])
    expect(some(['tokenizer.ggml.model', 'tokenizer.ggml.add_bos_token', 'tokenizer.ggml.bos_token_id'])).toEqual({
      'tokenizer.ggml.model': 'llama',
      'tokenizer.ggml.add_bos_token': true,
      'tokenizer.ggml.bos_token_id': 1,
    })
    expect([...tensors.keys()].some((name) => name === 'output.weight')).toBe(false)
  })
})

describe('weights that GGUF stores differently', () => {
  const source = async (name: string) => (await loadPretrained(fixture(`models/${name}`))).params
  const close = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Array.from(a, (value, i) => expect(value).toBeCloseTo(b[i], 6))

  it("Llama's rows of q and k are interleaved for RoPE", async () => {
    const q = await (await source('llama-tied')).get('model.layers.1.self_attn.q_proj.weight')!.floats()
    const { tensors, metadata } = await exported('llama-tied')
    const [C, D] = [
      metadata.get('llama.embedding_length') as number,
      metadata.get('llama.rope.dimension_count') as number,
    ]
    const { values } = tensors.get('blk.1.attn_q.weight')!
    // row 1 of the second head is its row D/2
    close(values.subarray((D + 1) * C, (D + 2) * C), q.subarray((D + D / 2) * C, (D + D / 2 + 1) * C))
    close(values.subarray(2 * C, 3 * C), q.subarray(C, 2 * C))
  })

  it("Gemma's norms include the added 1 and the query scale", async () => {
    const params = await source('gemma3')
    const { tensors, metadata } = await exported('gemma3')
    const norm = await params.get('model.layers.0.pre_feedforward_layernorm.weight')!.floats()
    close(
      tensors.get('blk.0.ffn_norm.weight')!.values,
      norm.map((value) => value + 1),
    )
    const q = await params.get('model.layers.0.self_attn.q_norm.weight')!.floats()
    // 10 values a head, query_pre_attn_scalar 7
    close(
      tensors.get('blk.0.attn_q_norm.weight')!.values,
      q.map((value) => (value + 1) * Math.sqrt(10 / 7)),
    )
    expect(metadata.get('gemma3.attention.sliding_window_pattern')).toBe(2)
    expect(metadata.get('gemma3.rope.freq_base_swa')).toBe(100)
  })

  it("GPT-2's linear weights are transposed", async () => {
    const w = await (await source('gpt2')).get('transformer.h.0.mlp.c_fc.weight')!.floats()
    const { values, shape } = (await exported('gpt2')).tensors.get('blk.0.ffn_up.weight')!
    expect(values[1 * shape[1] + 2]).toBe(w[2 * shape[0] + 1])
  })

  it('the scaled RoPE frequencies of Llama 3.1 become rope_freqs factors', async () => {
    const { values } = (await exported('llama-rope-scaled')).tensors.get('rope_freqs.weight')!
    expect(values[0]).toBe(1)
    expect(values.at(-1)).toBe(8)
  })

  it('an adapter is merged into its base model', async () => {
    const plain = (await exported('llama-gqa-untied')).tensors.get('blk.0.attn_v.weight')!
    const merged = (await exported('llama-gqa-untied', 'F32', 'lora-qv')).tensors.get('blk.0.attn_v.weight')!
    expect(Math.max(...merged.values.map((value, i) => Math.abs(value - plain.values[i])))).toBeGreaterThan(1e-3)
  })

  it('rows that do not fill whole blocks are stored in 16 bits', async () => {
    const { tensors } = await exported('llama-rope-scaled', 'Q8_0')
    expect(tensors.get('blk.0.attn_q.weight')!.type).toBe(1)
  })
})

describe('a model that llama.cpp cannot run as it is', () => {
  it('is refused with the unsupported setting, and nothing is written', async () => {
    const before = await readdir(work)
    await expect(exported('smollm3')).rejects.toThrow('no no_rope_layers other than every fourth')
    expect(await readdir(work)).toEqual(before)
  })

  it('has its context shortened to the sliding window', async () => {
    const path = join(work, 'short.gguf')
    const report = await exportGguf(await openMerged(fixture('models/mistral-sliding')), 'F32', path)
    expect(report.shortened).toBe(5)
    expect(readGguf(await readFile(path)).metadata.get('llama.context_length')).toBe(5)
    expect((await openMerged(path)).config.max_position_embeddings).toBe(5)
  })
})
