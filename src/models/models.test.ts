import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import type { StoredTensor } from '../checkpoint/stored.ts'
import { parseConfig } from './config.ts'
import { loadPretrained } from './load.node.ts'
import { joinCheckpoint } from './load.ts'
import { architectureOf } from './registry.ts'

const raw = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 5,
  hidden_size: 4,
  intermediate_size: 6,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 16,
  tie_word_embeddings: true,
}

const read = (change: object) => {
  const config = parseConfig({ ...raw, ...change }, 'config.json')
  return { config, architecture: architectureOf(config, 'config.json') }
}

describe('settings that would change the numbers', () => {
  it.each([
    [{ hidden_act: 'xielu' }, /activation "xielu" is not supported; silu/],
    [{ hidden_act: 'constructor' }, /activation "constructor" is not supported/],
    [
      { rope_scaling: { rope_type: 'axial', factor: 4 } },
      /rope type "axial" is not supported; default,linear,dynamic,llama3,yarn,longrope,proportional/,
    ],
    [{ rope_scaling: { rope_type: 'yarn' } }, /rope type yarn needs factor/],
    [{ rope_parameters: { rope_type: 'longrope', rope_theta: 1e4 } }, /rope type longrope needs short_factor/],
    [{ rope_scaling: { type: 'longrope', short_factor: [1], long_factor: ['a'] } }, /rope parameters: long_factor/],
    [
      { rope_scaling: { type: 'longrope', short_factor: [1, 1], long_factor: [1, 1] } },
      /short_factor has 2 factors for 1 rotated pairs/,
    ],
    [{ rope_scaling: { type: 'dynamic', factor: 1, alpha: 1000 } }, /alpha 1000 of the rope parameters/],
    [{ rope_scaling: { type: 'linear' } }, /rope type linear needs factor/],
    [{ rope_scaling: { type: 'linear', factor: '2' } }, /rope parameters: factor/],
    [{ quantization_config: { quant_method: 'gptq' } }, /quantized/],
    [{ residual_multiplier: 0.22 }, /residual_multiplier 0.22/],
    [{ num_local_experts: 8 }, /num_local_experts 8/],
    [{ partial_rotary_factor: 0.5 }, /partial_rotary_factor 0.5 is not supported for LlamaForCausalLM/],
    [{ layer_types: ['chunked_attention'] }, /layer_types/],
    [{ layer_types: ['conv'] }, /layer_types: LlamaForCausalLM has no layer "conv"/],
    [{ layer_types: ['linear_attention'] }, /layer_types: LlamaForCausalLM has no layer "linear_attention"/],
    [{ layer_types: ['full_attention', 'full_attention'] }, /layer_types has 2 entries for 1 layers/],
    [{ num_key_value_heads: 3 }, /2 attention heads cannot share 3/],
    [{ hidden_size: 5 }, /hidden size 5 is no multiple of 2 heads/],
    [{ rms_norm_eps: 'small' }, /rms_norm_eps/],
    [{ num_hidden_layers: -1 }, /num_hidden_layers/],
    [
      { architectures: ['DeepseekV3ForCausalLM'] },
      /"DeepseekV3ForCausalLM" is not supported; attune knows LlamaForCausalLM, /,
    ],
    [
      { architectures: ['Gemma3ForSequenceClassification'] },
      /attune knows LlamaForSequenceClassification, .*Gemma3TextForSequenceClassification, .*GPT2ForSequenceClassification$/,
    ],
  ])('refuses %j', (change, message) => {
    expect(() => read(change)).toThrow(message)
  })

  it('takes what changes nothing', () => {
    const { config } = read({
      attention_dropout: 0.1,
      logits_scaling: 1,
      rope_scaling: null,
      quantization_config: null,
    })
    expect(config.rope).toEqual({ '': { rope_type: 'default', rope_theta: 10_000 } })
  })
})

describe('what a silent file means', () => {
  it('Gemma: tied, heads of 256, tanh GELU, two rotary bases, every sixth layer full', () => {
    const { config, architecture } = read({
      architectures: ['Gemma3ForCausalLM'],
      model_type: 'gemma3_text',
      hidden_act: 'gelu',
      tie_word_embeddings: undefined,
      num_hidden_layers: 6,
      rope_scaling: { rope_type: 'linear', factor: 8 },
    })
    expect(config).toMatchObject({ head_dim: 256, tie_word_embeddings: true, activation: 'gelu_pytorch_tanh' })
    expect(config.rope).toEqual({
      full_attention: { rope_type: 'linear', rope_theta: 1e6, factor: 8 },
      sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
    })
    expect([4, 5].map((layer) => architecture.layerKind(config, layer))).toEqual([
      { rope: 'sliding_attention', window: 4096 },
      { rope: 'full_attention', window: undefined },
    ])
  })

  it("Qwen's window is off unless use_sliding_window is set", () => {
    const qwen = { architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2', sliding_window: 7, max_window_layers: 0 }
    const window = (change: object) => {
      const { config, architecture } = read({ ...qwen, ...change })
      return architecture.layerKind(config, 0).window
    }
    expect(window({})).toBeUndefined()
    expect(window({ use_sliding_window: true })).toBe(7)
    expect(window({ use_sliding_window: true, layer_types: ['full_attention'] })).toBeUndefined()
  })
})

describe('weights that do not fit', () => {
  const { architecture, config } = read({})
  const tensor = (name: string, shape: readonly number[], fill = 0): StoredTensor => {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(fill)
    return { name, dtype: 'F32', shape, bytes: async () => new Uint8Array(values.buffer), floats: async () => values }
  }
  const all = () => new Map([...architecture.shapes(config)].map(([name, shape]) => [name, tensor(name, shape)]))
  const join = (tensors: Map<string, StoredTensor>, change = {}) =>
    joinCheckpoint({ dir: 'm', config: { ...raw, ...change }, tensors })

  it('names what is missing, misshapen or quantized', async () => {
    const tensors = all()
    tensors.delete('model.norm.weight')
    await expect(join(tensors)).rejects.toThrow(/m: holds no model.norm.weight, which LlamaForCausalLM/)
    await expect(join(all(), { vocab_size: 7 })).rejects.toThrow(
      /embed_tokens.weight is \[5,4\], but config.json implies \[7,4\]: vocab_size is 7, the weights have 5/,
    )
    const int8 = all().set('model.norm.weight', { ...tensor('model.norm.weight', [4]), dtype: 'I8' })
    await expect(join(int8)).rejects.toThrow(/model.norm.weight is I8; quantized/)
  })

  it('checks the depth before it makes tables for it', async () => {
    await expect(join(all(), { num_hidden_layers: 2 })).rejects.toThrow(/says 2 layers, but the weights hold none/)
    await expect(join(all(), { num_hidden_layers: 2 ** 31 - 1 })).rejects.toThrow(/says 2147483647 layers/)
  })

  it('returns what it does not know and ignores what is none of the weights', async () => {
    const tensors = all()
      .set('model.extra', tensor('model.extra', [1]))
      .set('model.layers.0.self_attn.rotary_emb.inv_freq', tensor('x', [2]))
    expect((await join(tensors)).unused).toEqual(['model.extra'])
  })

  it('ties embeddings when the weights are equal, and only then', async () => {
    const equal = await join(all().set('lm_head.weight', tensor('lm_head.weight', [5, 4])))
    expect([equal.config.tie_word_embeddings, equal.params.has('lm_head.weight')]).toEqual([true, false])
    const unequal = await join(all().set('lm_head.weight', tensor('lm_head.weight', [5, 4], 1)))
    expect([unequal.config.tie_word_embeddings, unequal.params.has('lm_head.weight')]).toEqual([false, true])
    const tensors = all().set('lm_head.weight', tensor('lm_head.weight', [5, 4], 2))
    tensors.delete('model.embed_tokens.weight')
    const swapped = await join(tensors)
    expect((await swapped.params.get('model.embed_tokens.weight')!.floats())[0]).toBe(2)
  })
})

describe('folders', () => {
  let dir: string
  const source = fixture('models/llama-tied')
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'attune-models-'))
  })
  afterAll(() => rm(dir, { recursive: true }))

  const write = async (config: string | object, cutTo?: number) => {
    await writeFile(join(dir, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config))
    await writeFile(join(dir, 'model.safetensors'), (await readFile(`${source}/model.safetensors`)).subarray(0, cutTo))
  }
  const config = async () => JSON.parse(await readFile(`${source}/config.json`, 'utf8'))

  it('faults on broken JSON, cut weights and a config of another model', async () => {
    await write('{"architectures"')
    await expect(loadPretrained(dir)).rejects.toMatchObject({ name: 'Fault', exitCode: 2 })
    await write(await config(), 40_000)
    await expect(loadPretrained(dir)).rejects.toMatchObject({ name: 'Fault', exitCode: 2 })
    await write({ ...(await config()), hidden_size: 64 })
    await expect(loadPretrained(dir)).rejects.toThrow(/config.json implies \[128,64\]/)
    await expect(loadPretrained(join(dir, 'nowhere'))).rejects.toMatchObject({ code: 'no-folder' })
  })

  it('opens a whole one', async () => {
    await write(await config())
    const { params, architecture } = await loadPretrained(dir)
    expect([architecture.name, params.size]).toEqual(['LlamaForCausalLM', 20])
  })
})

it('reads the text model of Qwen3.5 out of one of pictures and text', async () => {
  const { config, params } = await loadPretrained(fixture('models/qwen3.5'))
  const inside = [...params].map(
    ([name, tensor]) => [name.replace(/^model\./, 'model.language_model.'), tensor] as const,
  )
  const more = ['model.visual.patch_embed.proj.weight', 'mtp.layers.0.input_layernorm.weight']
  const [, norm] = inside.find(([name]) => name === 'model.language_model.norm.weight')!
  const { architectures: _, tie_word_embeddings, ...text_config } = config.raw
  const whole = {
    architectures: ['Qwen3_5ForConditionalGeneration'],
    model_type: 'qwen3_5',
    tie_word_embeddings,
    text_config,
  }
  const tensors = new Map([...inside, ...more.map((name) => [name, norm] as const)])
  const found = await joinCheckpoint({ dir: 'd', config: whole, tensors })
  expect(found.architecture.name).toBe('Qwen3_5ForCausalLM')
  expect(found.config).toMatchObject({ ...config, raw: { architectures: ['Qwen3_5ForCausalLM'] } })
  expect([[...found.params].sort(), found.unused]).toEqual([[...params].sort(), []])
  const quantized = { ...whole, quantization_config: { quant_method: 'fp8' } }
  await expect(joinCheckpoint({ dir: 'd', config: quantized, tensors })).rejects.toThrow('quantized with "fp8"')
})
