/** What Gemma 4 has of its own: its two forms of config.json, checkpoints that see and hear, weights that are not trained. */
import { afterAll, describe, expect, it } from 'vitest'
import { collect } from '../../test/support/collect.ts'
import { fixture, fixtureJson } from '../../test/support/golden.ts'
import { goldenModel } from '../../test/support/model.ts'
import { openSafetensors } from '../checkpoint/safetensors.ts'
import { lazyTensor, type StoredTensor } from '../checkpoint/stored.ts'
import { completions } from '../generate/completions.ts'
import { generate } from '../generate/generate.ts'
import { openBackend } from '../runtime/open.node.ts'
import { fileSource } from '../util/files.node.ts'
import { parseConfig } from './config.ts'
import { ggufModel } from './gguf.ts'
import { loadPretrained } from './load.node.ts'
import { joinCheckpoint } from './load.ts'
import { loraModules } from './loraModules.ts'
import { trainedWeights } from './merge.ts'
import { architectureOf } from './registry.ts'
import { modelFiles } from './save.ts'

const base = await loadPretrained(fixture('models/gemma4'))
const raw = await fixtureJson('models/gemma4/config.json')
const { per_layer_config, ...plain } = raw

const read = (given: object) => {
  const config = parseConfig(given, 'config.json')
  return { config, architecture: architectureOf(config, 'config.json') }
}

describe('config.json', () => {
  it('says of full layers the same in both forms', () => {
    const hub = read({ ...plain, global_head_dim: 16 })
    expect({ ...hub.config, raw: 0 }).toEqual({ ...base.config, raw: 0 })
    expect(hub.architecture.shapes(hub.config)).toEqual(base.architecture.shapes(base.config))
  })

  it('that is silent has the values of the class', () => {
    const { config, architecture } = read({
      model_type: 'gemma4_text',
      vocab_size: 8,
      hidden_size: 64,
      num_attention_heads: 8,
      num_hidden_layers: 6,
    })
    expect(config).toMatchObject({ head_dim: 512, num_key_value_heads: 4, tie_word_embeddings: true })
    expect(config.rope).toEqual({
      full_attention: { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 1e6 },
      sliding_attention: { rope_type: 'default', rope_theta: 10_000 },
    })
    const kinds = [4, 5].map((layer) => architecture.layerKind(config, layer))
    expect(kinds).toEqual([
      { rope: 'sliding_attention', window: 512 },
      { rope: 'full_attention', window: undefined },
    ])
    expect(['full_attention', 'sliding_attention'].map((type) => architecture.rotary(config, type))).toEqual([512, 256])
  })

  it('may claim more layers than there can be', () => {
    const { architecture } = read({ ...plain, num_hidden_layers: 2 ** 31 - 1, layer_types: null })
    expect(architecture.name).toBe('Gemma4ForCausalLM')
  })

  it('says which layers share keys and values', () => {
    const kinds = [1, 2, 3, 4].map((layer) => base.architecture.layerKind(base.config, layer))
    expect(kinds.map(({ givesKeys, keysOf }) => keysOf ?? givesKeys)).toEqual([true, true, 1, 2])
  })

  it.each<[object, RegExp]>([
    [{ enable_moe_block: true, num_experts: 4, top_k_experts: 5 }, /5 does not fit 4 experts/],
    [{ enable_moe_block: true }, /0 does not fit 0 experts/],
    [{ use_bidirectional_attention: 'all' }, /use_bidirectional_attention "all" is not supported/],
    [{ num_kv_shared_layers: 5 }, /num_kv_shared_layers 5, which leaves a type of layers without keys/],
    [{ num_kv_shared_layers: 3 }, /num_kv_shared_layers 3, which leaves/],
    [{ attention_k_eq_v: true, num_global_key_value_heads: 3 }, /num_global_key_value_heads 3/],
    [
      { rope_parameters: { full_attention: { rope_type: 'default' } } },
      /rope_parameters without sliding_attention is not supported/,
    ],
    [
      { model_type: 'gemma4', text_config: plain, quantization_config: { quant_method: 'gptq' } },
      /quantized with "gptq"/,
    ],
    [{ per_layer_config: { 1: { head_dim: 16 } } }, /per_layer_config .* is not supported/],
    [{ per_layer_config: { 2: { head_dim: 16 }, 4: { head_dim: 24 } } }, /per_layer_config .* is not supported/],
  ])('%j is refused', (change, message) => {
    expect(() => read({ ...plain, ...change })).toThrow(message)
  })
})

it('is read of a checkpoint that sees and hears, whose other weights are named', async () => {
  const file = (await loadPretrained(fixture('models/gemma4'))).params
  const nested = [...file].map(([name, tensor]): [string, StoredTensor] => {
    const stored = name.replace('model.', 'model.language_model.')
    return [stored, { ...tensor, name: stored }]
  })
  const seeing = lazyTensor('model.vision_tower.patch.weight', [2, 2], () => new Float32Array(4))
  const config = { architectures: ['Gemma4ForConditionalGeneration'], model_type: 'gemma4', text_config: plain }
  const text_config = { ...plain, global_head_dim: 16, architectures: undefined }
  const joined = await joinCheckpoint({
    dir: 'm',
    config: { ...config, text_config },
    tensors: new Map([...nested, [seeing.name, seeing]]),
  })
  expect([joined.architecture.name, joined.unused]).toEqual(['Gemma4ForCausalLM', ['model.vision_tower.patch.weight']])
  expect([...joined.params.keys()].sort()).toEqual([...base.params.keys()].sort())
})

it('is saved as transformers reads it', async () => {
  const { texts, tensors } = modelFiles(base, 'F32')
  const saved = JSON.parse(texts['config.json'])
  expect(saved).toMatchObject({ model_type: 'gemma4_text', global_head_dim: 16, rope_parameters: raw.rope_parameters })
  expect(['rope_theta', 'rope_scaling', 'per_layer_config'].filter((key) => key in saved)).toEqual([])
  expect({ ...read(saved).config, raw: 0 }).toEqual({ ...base.config, raw: 0 })
  const stored = await openSafetensors(await fileSource(fixture('models/gemma4/model.safetensors')))
  expect(tensors.map(({ name }) => name).sort()).toEqual([...stored.tensors.keys()].sort())
})

it('has scalars that are not trained, and a projection outside the blocks that adapters know', () => {
  const fixed = [...base.params.keys()].filter((name) => !trainedWeights(base).has(name))
  expect(fixed).toEqual([0, 1, 2, 3, 4].map((layer) => `model.layers.${layer}.layer_scalar`))
  const modules = loraModules(base.architecture, base.config)
  expect(modules.get('model.per_layer_model_projection')).toMatchObject({ kind: 'linear', inner: 32, out: 60 })
  expect(modules.get('model.embed_tokens_per_layer')).toMatchObject({ kind: 'embedding' })
})

it('has no GGUF', () => {
  expect(() => ggufModel(base, 'm.gguf')).toThrow('there is no GGUF of Gemma4ForCausalLM')
})

describe('a completion', async () => {
  const backend = await openBackend({ inProcess: true, threads: 1 })
  afterAll(() => backend.close())
  const model = await goldenModel(backend, 'gemma4')
  const prompts = [[7], [1, 17, 5, 90, 33, 8, 41], [1, 60, 22], [9, 4]]
  const options = { temperature: 1, seed: 3, maxNewTokens: 10, eosIds: new Set<number>() }

  it.each([true, false])('is the same to the last bit whatever is decoded beside it, packed: %s', async (packed) => {
    const made = async (batchSize: number) => {
      const found = await collect(completions(generate(model, undefined, prompts, { ...options, packed, batchSize })))
      return found.sort((a, b) => a.row - b.row).map(({ ids, logps }) => [ids, logps])
    }
    expect(await made(4)).toEqual(await made(1))
  })
})
