import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { parseConfig } from './config.ts'
import { initWeights } from './init.ts'
import { loadPretrained } from './load.node.ts'
import { joinCheckpoint } from './load.ts'
import { architectureOf } from './registry.ts'
import { modelFiles } from './save.ts'

const base = (name: string) => loadPretrained(fixture(`models/${name}`))

describe('saved models', () => {
  const saved = [
    'llama-tied',
    'llama-rope-scaled',
    'gemma2',
    'gemma3',
    'phi3',
    'llama-yarn',
    'phi4-mini',
    'granite',
    'lfm2',
  ]

  it.each(saved)('%s in both spellings', async (name) => {
    const model = await base(name)
    const text = modelFiles(model, 'BF16').texts['config.json']
    const saved = JSON.parse(text)
    expect(saved).toMatchObject({
      dtype: 'bfloat16',
      torch_dtype: 'bfloat16',
      architectures: [model.architecture.name],
    })
    const old = JSON.parse(await readFile(fixture(`models/${name}/config.v4.json`), 'utf8'))
    for (const key of ['rope_theta', 'rope_local_base_freq', 'partial_rotary_factor'])
      expect(saved[key]).toEqual(old[key])
    for (const dropped of [
      ['rope_parameters'],
      ['rope_theta', 'rope_scaling', 'rope_local_base_freq', 'partial_rotary_factor'],
    ]) {
      const part = Object.fromEntries(Object.entries(saved).filter(([key]) => !dropped.includes(key)))
      expect({ ...parseConfig(part, 'saved'), raw: 0 }).toEqual({ ...model.config, raw: 0 })
    }
  })

  it('writes as floats what Python wants as floats', async () => {
    const text = modelFiles(await base('gemma2'), 'F32').texts['config.json']
    expect(text).toMatch(/"final_logit_softcapping": 6\.0,/)
    expect(text).toMatch(/^ {2}"rope_theta": 10000\.0,$/m)
    expect(text).toMatch(/"hidden_size": 32,/)
  })

  it('holds every tensor once and reads back as it was', async () => {
    const model = await base('llama-tied')
    const { tensors, texts } = modelFiles(model, 'F32', { eos_token_id: 2 })
    expect(texts['generation_config.json']).toBe('{\n  "eos_token_id": 2\n}\n')
    expect(tensors.map(({ name }) => name)).toEqual([...model.params.keys()].sort((a, b) => order(a) - order(b)))
    expect(tensors.some(({ name }) => name === 'lm_head.weight')).toBe(false)
    expect(await tensors[3].data()).toEqual(await model.params.get(tensors[3].name)!.floats())
    function order(name: string) {
      return [...model.architecture.shapes(model.config).keys()].indexOf(name)
    }
  })
})

describe('fresh weights', () => {
  const std = (x: Float32Array) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length)

  it.each(['gpt2', 'gemma3', 'llama-tied'])('%s as transformers draws them', async (name) => {
    const { architecture, config } = await base(name)
    const weights = initWeights(architecture, { ...config, initializer_range: 0.5 }, 7)
    for (const [key, { shape, floats }] of weights) {
      const values = await floats()
      if (key.endsWith('bias')) expect(values.every((v) => v === 0)).toBe(true)
      else if (shape.length === 1) expect(values.every((v) => v === (name === 'gemma3' ? 0 : 1))).toBe(true)
      else {
        const expected = key.endsWith('.c_proj.weight') ? 0.5 / 2 : 0.5
        expect(Math.abs(std(values) / expected - 1), key).toBeLessThan(4 / Math.sqrt(2 * values.length) + 0.01)
      }
    }
    const embedding = await weights.get(architecture.embedding)!.floats()
    expect(embedding.subarray(0, config.hidden_size).every((v) => v === 0)).toBe(name !== 'gpt2')
  })

  it('qwen3.5 as transformers draws what is no plain weight, bias or norm', async () => {
    const { architecture, config } = await base('qwen3.5')
    const weights = initWeights(architecture, config, 7)
    const of = (name: string) => weights.get(`model.layers.0.${name}`)!.floats()
    for (const name of ['linear_attn.dt_bias', 'linear_attn.norm.weight'])
      expect((await of(name)).every((v) => v === 1)).toBe(true)
    expect((await of('input_layernorm.weight')).every((v) => v === 0)).toBe(true)
    const decays = (await of('linear_attn.A_log')).map(Math.exp)
    expect(new Set(decays).size).toBe(4)
    expect(decays.every((v) => v > 0.01 && v < 16)).toBe(true)
  })

  it('depends on the seed alone, and no two tensors are alike', async () => {
    const { architecture, config } = await base('llama-tied')
    const draw = (seed: number, name: string) => initWeights(architecture, config, seed).get(name)!.floats()
    const q = 'model.layers.0.self_attn.q_proj.weight'
    expect(await draw(1, q)).toEqual(await draw(1, q))
    expect(await draw(1, q)).not.toEqual(await draw(2, q))
    expect(await draw(1, q)).not.toEqual(await draw(1, q.replace('q_proj', 'k_proj')))
  })

  it('makes a whole model of a config by hand', async () => {
    const config = parseConfig(
      {
        architectures: ['Qwen3ForCausalLM'],
        model_type: 'qwen3',
        vocab_size: 11,
        hidden_size: 8,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        max_position_embeddings: 32,
      },
      'c',
    )
    const architecture = architectureOf(config, 'c')
    const params = initWeights(architecture, config, 1)
    const files = modelFiles({ architecture, config, params }, 'F32')
    const tensors = new Map(params)
    const again = await joinCheckpoint({ dir: 'd', config: JSON.parse(files.texts['config.json']), tensors })
    expect(again.config.head_dim).toBe(128)
    expect(again.params.size).toBe(params.size)
  })
})
