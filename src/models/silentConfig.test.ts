/** Defaults of transformers' config classes where config.json has no value, and models named by model_type only. */
import { describe, expect, it } from 'vitest'
import { parseConfig } from './config.ts'
import { architectureOf } from './registry.ts'

const sizes = {
  vocab_size: 8,
  hidden_size: 64,
  intermediate_size: 6,
  num_hidden_layers: 2,
  num_attention_heads: 32,
  head_dim: 2,
}

const read = (raw: object) => {
  const config = parseConfig({ ...sizes, ...raw }, 'config.json')
  return { config, architecture: architectureOf(config, 'config.json') }
}

describe('a config without an architecture, or with the bare model', () => {
  it.each<[string, string[] | undefined, string]>([
    ['llama', undefined, 'LlamaForCausalLM'],
    ['llama', [], 'LlamaForCausalLM'],
    ['llama', ['LlamaModel'], 'LlamaForCausalLM'],
    ['gemma3_text', ['Gemma3TextModel'], 'Gemma3ForCausalLM'],
    ['gpt2', ['GPT2Model'], 'GPT2LMHeadModel'],
    ['qwen3', undefined, 'Qwen3ForCausalLM'],
  ])('%s %j is %s', (model_type, architectures, name) => {
    expect(read({ model_type, architectures }).architecture.name).toBe(name)
  })

  it('of a kind that attune does not know is refused by its model_type', () => {
    expect(() => read({ model_type: 'deepseek_v3', max_position_embeddings: 8 })).toThrow(
      /names no architecture, and of model_type "deepseek_v3" .*llama, /,
    )
    expect(() => read({ model_type: 'llama', architectures: ['LlamaForTokenClassification'] })).toThrow(/not supported/)
  })
})

describe('a config that is silent', () => {
  it.each<[string, number, number]>([
    ['llama', 2048, 32],
    ['mistral', 131_072, 8],
    ['qwen2', 32_768, 32],
    ['qwen3', 32_768, 32],
    ['gemma', 8192, 16],
    ['gemma2', 8192, 4],
    ['gemma3_text', 131_072, 4],
    ['phi3', 4096, 32],
    ['smollm3', 32_768, 4],
    ['qwen3_5_text', 32_768, 4],
  ])('%s has %s positions and %s heads of keys and values', (model_type, positions, kvHeads) => {
    const { config } = read({ model_type })
    expect(config).toMatchObject({ max_position_embeddings: positions, num_key_value_heads: kvHeads })
    expect(read({ model_type, num_key_value_heads: null }).config.num_key_value_heads).toBe(32)
  })

  it('of Qwen3.5 has attention in every fourth layer, and rotates a quarter of each head', () => {
    const { architecture, config } = read({ model_type: 'qwen3_5_text', num_hidden_layers: 5, head_dim: 16 })
    const kinds = Array.from({ length: 5 }, (_, layer) => architecture.layerKind(config, layer))
    const delta = { recent: { count: 3, width: 8192 }, state: [32, 128, 128] }
    expect(kinds).toEqual([delta, delta, delta, { rope: '' }, delta])
    expect(architecture.rotary(config)).toBe(4)
  })

  it('has Mistral’s window, which null turns off', () => {
    const window = (raw: object) => {
      const { architecture, config } = read({ model_type: 'mistral', ...raw })
      return architecture.layerKind(config, 0).window
    }
    expect([window({}), window({ sliding_window: null }), window({ sliding_window: 16 })]).toEqual([
      4096,
      undefined,
      16,
    ])
  })
})

it.each<[object, string]>([
  [{ quant_method: 'gptq' }, 'quantized with "gptq"'],
  [{ quant_method: 'fp8' }, 'quantized with "fp8"'],
  [{ quant_method: 'mxfp4' }, 'quantized with "mxfp4"'],
  [{ quant_method: 'bitsandbytes', load_in_4bit: true }, 'quantized with "bitsandbytes", 4 bits'],
  [{ load_in_8bit: true }, 'quantized with "bitsandbytes", 8 bits'],
  [{}, 'quantized with an unnamed method'],
])('quantized weights are refused with their method: %j', (quantization_config, message) => {
  expect(() => read({ model_type: 'llama', quantization_config })).toThrow(message)
})
