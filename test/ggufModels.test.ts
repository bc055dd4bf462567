/** Models that attune wrote as GGUF, opened again: weights, settings, tokenizer and templates are what they were. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { type GgufValue, ggufChunks } from '../src/checkpoint/gguf.ts'
import { parseConfig } from '../src/models/config.ts'
import { initWeights } from '../src/models/init.ts'
import { loadPretrained } from '../src/models/load.node.ts'
import { architectureOf } from '../src/models/registry.ts'
import { modelFiles } from '../src/models/save.ts'
import { exportGguf } from '../src/publish/exportGguf.ts'
import { openMerged } from '../src/publish/mergedModel.ts'
import { copyTokenizer, writeModelFolder } from '../src/publish/modelFolder.ts'
import { loadTokenizerFolder } from '../src/text/tokenizer.node.ts'
import { fixture, fixtureJson, largestDifference } from './support/golden.ts'

const work = await mkdtemp(join(tmpdir(), 'attune-gguf-models-'))
afterAll(() => rm(work, { recursive: true }))

const again = async (dir: string, name: string) => {
  const path = join(work, `${name}.gguf`)
  await exportGguf(await openMerged(dir), 'F32', path)
  return path
}

/** Models that llama.cpp has, made from the config of a fixture with settings that it lacks. */
const made: Readonly<Record<string, [source: string, changes: object]>> = {
  // a file has the width of the MLP as it is
  'lfm2-given': ['lfm2', { block_auto_adjust_ff_dim: false }],
  'qwen3.5-even': ['qwen3.5', { linear_value_head_dim: 8, linear_num_value_heads: 6, rms_norm_eps: 1e-6 }],
  'mixtral-all': ['mixtral', { sliding_window: null }],
  'qwen3-moe-all': ['qwen3-moe', { mlp_only_layers: [], norm_topk_prob: true }],
}

const makeModel = async (name: string, source: string, changes: object) => {
  const config = parseConfig({ ...(await fixtureJson(`models/${source}/config.json`)), ...changes }, name)
  const architecture = architectureOf(config, name)
  const model = { architecture, config, params: initWeights(architecture, config, 1) }
  await writeModelFolder(join(work, name), modelFiles(model, 'F32'), { stem: 'model' })
  return join(work, name)
}

describe('a model that was written as GGUF', () => {
  // Gemma's norms lose the last bits when 1 is added; a scale of queries goes into the weights
  it.each<[string, number, string[]]>([
    ['stories260K', 0, []],
    ['llama-gqa-untied', 0, []],
    ['llama-tied', 0, []],
    ['llama-rope-scaled', 0, []],
    ['qwen2', 0, []],
    ['qwen3', 0, []],
    ['gemma2', 1e-6, ['q_proj']],
    ['gemma3', 1e-6, ['q_norm']],
    ['phi3', 0, []],
    ['phi4-mini', 0, []],
    ['llama-yarn', 0, []],
    ['olmo2', 0, []],
    ['granite', 0, []],
    ['gpt2', 0, []],
    ['ministral3', 0, []],
    ['lfm2-given', 0, []],
    // A_log goes through exp and back
    ['qwen3.5-even', 1e-6, []],
    ['mixtral-all', 0, []],
    ['qwen3-moe-all', 0, []],
  ])('%s has its weights and settings when it is opened again', async (name, tolerance, scaled) => {
    const dir = made[name] ? await makeModel(name, ...made[name]) : fixture(`models/${name}`)
    const [was, is] = [await loadPretrained(dir), await loadPretrained(await again(dir, name))]
    expect(is.unused).toEqual([])
    expect([...is.params.keys()].sort()).toEqual([...was.params.keys()].sort())
    for (const [key, tensor] of was.params) {
      const [a, b] = [await tensor.floats(), await is.params.get(key)!.floats()]
      if (!scaled.some((part) => key.includes(part))) expect(largestDifference(a, b)).toBeLessThanOrEqual(tolerance)
    }
    const { raw: _, architectures, model_type, rope, ...settings } = was.config
    expect(is.config).toMatchObject({ ...settings, architectures, model_type })
    for (const [table, { rope_theta, factor, ...more }] of Object.entries(rope ?? {})) {
      expect(is.config.rope![table].rope_theta).toBeCloseTo(rope_theta)
      expect(is.config.rope![table].factor).toBe(factor)
      for (const [key, value] of Object.entries(more) as [keyof typeof more, unknown][])
        if (typeof value === 'number') expect(is.config.rope![table][key], key).toBeCloseTo(value, 5)
    }
    const kinds = (model: typeof was) =>
      Array.from({ length: model.config.num_hidden_layers }, (_, i) => model.architecture.layerKind(model.config, i))
    expect(kinds(is)).toEqual(kinds(was))
  })

  it('keeps factors of a rotation that was scaled from another context', async () => {
    const raw = await fixtureJson('models/llama-rope-scaled/config.json')
    const rope = { rope_type: 'llama3', rope_theta: 500, factor: 6, low_freq_factor: 1.5, high_freq_factor: 6 }
    const given = { ...raw, head_dim: 32, rope_parameters: { ...rope, original_max_position_embeddings: 100 } }
    const config = parseConfig(given, 'x')
    const architecture = architectureOf(config, 'x')
    const model = { architecture, config, params: initWeights(architecture, config, 1) }
    await writeModelFolder(join(work, 'scaled'), modelFiles(model, 'F32'), { stem: 'model' })
    const { config: is } = await loadPretrained(await again(join(work, 'scaled'), 'scaled'))
    const { low_freq_factor, high_freq_factor, original_max_position_embeddings: context } = is.rope!['']
    // only these two quotients matter
    expect(context! / low_freq_factor!).toBeCloseTo(100 / 1.5, 3)
    expect(context! / high_freq_factor!).toBeCloseTo(100 / 6, 3)
  })
})

const texts = [
  'Once upon a time, there was a little girl named Lily.',
  "I'll say 'hello'; you're NOT 12345 or 3.14!",
  'Déjà vu: naïve façade, Straße, niño. Привет, мир! 你好，世界 🙂👍🏽',
  'def f(x):\n    return {"a": x ** 2}\n\n\tif True:  pass',
  '  two  spaces   and a tab\t, trailing ',
  '',
]

describe('a tokenizer that was written as GGUF', () => {
  it.each(['bpe-gpt2', 'bpe-llama3', 'bpe-qwen', 'bpe-smollm', 'spm-gemma', 'spm-llama2', 'spm-metaspace'])(
    '%s encodes and decodes as before',
    async (name) => {
      const dir = join(work, `${name}-model`)
      const bundle = JSON.parse(gunzipSync(await readFile(fixture(`text/tokenizers/${name}.json.gz`))).toString())
      const from = join(work, name)
      await mkdir(from)
      for (const part of ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'])
        if (bundle[part])
          await writeFile(
            join(from, part),
            typeof bundle[part] === 'string' ? bundle[part] : JSON.stringify(bundle[part]),
          )
      const was = (await loadTokenizerFolder(from))!
      const raw = {
        ...(await fixtureJson('models/llama-tied/config.json')),
        vocab_size: was.size + 3,
        eos_token_id: was.eosId,
      }
      const config = parseConfig(raw, name)
      const architecture = architectureOf(config, name)
      const model = { architecture, config, params: initWeights(architecture, config, 7) }
      await writeModelFolder(dir, modelFiles(model, 'F32'), { stem: 'model', tokenizerFrom: { dir: from } })
      const path = await again(dir, name)
      const is = (await loadTokenizerFolder(path))!
      const specials = Object.values(was.specialTokens).join(' x ')
      for (const text of [...texts, specials, `a${specials}b`]) {
        const ids = was.encode(text).ids
        expect(is.encode(text).ids, text).toEqual(ids)
        expect(is.decode(ids)).toBe(was.decode(ids))
      }
      expect([is.bosId, is.eosId, is.addsBos, is.size]).toEqual([was.bosId, was.eosId, was.addsBos, was.size])
      expect(is.chat?.names ?? []).toEqual(was.chat?.names ?? [])
      // written out as files, for an adapter or a merged model
      await mkdir(join(work, `${name}-copied`))
      await copyTokenizer({ dir: path }, join(work, `${name}-copied`))
      const copied = (await loadTokenizerFolder(join(work, `${name}-copied`)))!
      expect(copied.encode(texts[2]).ids).toEqual(was.encode(texts[2]).ids)
      if (was.chat) {
        const turn = [{ role: 'user', content: 'hi' }]
        expect(copied.chat!.render(turn).text).toBe(was.chat.render(turn).text)
      }
    },
  )
})

const withMetadata = async (changes: Record<string, GgufValue | undefined>) => {
  const uint = (value: number) => ({ uint: value })
  const plain: Record<string, GgufValue | undefined> = {
    'general.architecture': 'llama',
    'llama.context_length': uint(16),
    'llama.embedding_length': uint(4),
    'llama.feed_forward_length': uint(4),
    'llama.block_count': uint(1),
    'llama.attention.head_count': uint(1),
    'llama.attention.layer_norm_rms_epsilon': { float: 1e-5 },
    'tokenizer.ggml.model': 'llama',
    'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>', '▁a'],
    'tokenizer.ggml.scores': Float32Array.of(0, 0, 0, -1),
    'tokenizer.ggml.token_type': Int32Array.of(2, 3, 3, 1),
    ...changes,
  }
  const metadata = new Map(
    Object.entries(plain).filter((entry): entry is [string, GgufValue] => entry[1] !== undefined),
  )
  const names = ['attn_norm', 'ffn_norm', 'attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down']
  const shapes = new Map<string, number[]>([
    ['token_embd.weight', [4, 4]],
    ['output_norm.weight', [4]],
    ...names.map((name) => [`blk.0.${name}.weight`, name.endsWith('norm') ? [4] : [4, 4]] as [string, number[]]),
  ])
  const tensors = [...shapes].map(([name, shape]) => ({
    name,
    shape,
    type: 'F32' as const,
    data: async () => new Float32Array(shape.reduce((a, b) => a * b)),
  }))
  const path = join(work, 'small.gguf')
  const parts: Uint8Array[] = []
  for await (const part of ggufChunks(metadata, tensors)) parts.push(part)
  await writeFile(path, Buffer.concat(parts))
  const { config } = await loadPretrained(path)
  return { config, tokenizer: await loadTokenizerFolder(path) }
}

describe('the metadata of a GGUF file', () => {
  it('makes a model, with what llama.cpp assumes where it is silent', async () => {
    const { config, tokenizer } = await withMetadata({})
    expect(config).toMatchObject({ num_key_value_heads: 1, head_dim: 4, tie_word_embeddings: true })
    expect(tokenizer).toMatchObject({ bosId: 1, eosId: 2, unkId: 0, addsBos: true, size: 4 })
    expect(tokenizer!.encode('').ids).toEqual([1])
  })

  it('without a tokenizer makes a model of ids', async () => {
    expect((await withMetadata({ 'tokenizer.ggml.model': 'no_vocab' })).tokenizer).toBeUndefined()
  })

  it('with ends of turns gives all ids that end a text', async () => {
    await withMetadata({ 'tokenizer.ggml.eos_token_id': { uint: 2 }, 'tokenizer.ggml.eot_token_id': { uint: 3 } })
    expect((await loadPretrained(join(work, 'small.gguf'))).generationConfig).toEqual({ eos_token_id: [2, 3] })
  })

  it.each<[string, Record<string, GgufValue | undefined>, string]>([
    [
      'names another architecture',
      { 'general.architecture': 'rwkv6' },
      'is of the architecture "rwkv6"; attune reads llama',
    ],
    ['names none', { 'general.architecture': undefined }, 'is of the architecture ""'],
    ['lacks a size', { 'llama.embedding_length': undefined }, 'has no llama.embedding_length'],
    [
      'has a text for a size',
      { 'llama.embedding_length': 'four' },
      '"llama.embedding_length" in its metadata should be a number',
    ],
    ['claims a billion layers', { 'llama.block_count': { uint: 1e9 } }, 'claims 1000000000 layers, and has 11 tensors'],
    ['claims a billion experts', { 'llama.expert_count': { uint: 1e9 } }, 'claims 1000000000 experts, and has 0'],
    ['claims other sizes', { 'llama.feed_forward_length': { uint: 8 } }, 'is [4,4], but config.json implies [8,4]'],
    ['has heads that do not fit', { 'llama.attention.head_count': { uint: 3 } }, 'no multiple of 3 heads'],
    [
      'has more tokens than rows',
      { 'tokenizer.ggml.tokens': ['a', 'b', 'c', 'd', 'e'] },
      'has 5 tokens, and token_embd.weight has 4 rows',
    ],
    [
      'has fewer types than tokens',
      { 'tokenizer.ggml.token_type': Int32Array.of(1) },
      'token_type has 1 values for 4 tokens',
    ],
    [
      'has fewer scores than tokens',
      { 'tokenizer.ggml.scores': Float32Array.of(1) },
      'scores has 1 values for 4 tokens',
    ],
    [
      'has an id beyond the tokens',
      { 'tokenizer.ggml.eos_token_id': { uint: 9 } },
      'eos_token_id is 9, and there are 4 tokens',
    ],
    ['has no tokens', { 'tokenizer.ggml.tokens': [] }, 'a tokenizer without tokens'],
    ['has numbers for tokens', { 'tokenizer.ggml.tokens': Int32Array.of(1, 2, 3, 4) }, 'should be a list of texts'],
    ['has another kind of tokenizer', { 'tokenizer.ggml.model': 'bert' }, 'a tokenizer of the kind "bert"'],
    [
      'has an unknown pre-tokenizer',
      { 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.merges': ['a b'], 'tokenizer.ggml.pre': 'xyz' },
      'the pre-tokenizer "xyz"; attune knows gpt-2',
    ],
    [
      'names no pre-tokenizer',
      { 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.merges': ['a b'] },
      'names no pre-tokenizer',
    ],
    [
      'has merges of other tokens',
      { 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.merges': ['a b'], 'tokenizer.ggml.pre': 'gpt-2' },
      'merges',
    ],
    [
      'has a token that is a book',
      { 'tokenizer.ggml.tokens': ['<unk>', '<s>', '</s>', 'x'.repeat(70_000)] },
      'too long for a vocabulary',
    ],
    ['names a template by a path', { 'tokenizer.chat_template.../x': 'y' }, 'a chat template with the name "../x"'],
    [
      'scales its rotation otherwise',
      { 'llama.rope.scaling.type': 'ntk-by-parts' },
      'rope type "ntk-by-parts" is not supported',
    ],
  ])('that %s is refused', async (_, changes, message) => {
    const fault = await withMetadata(changes).catch((error) => error)
    expect(fault.message).toContain(message)
    expect([fault.name, fault.exitCode]).toEqual(['Fault', 2])
  })
})
