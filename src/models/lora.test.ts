import { describe, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { lazyTensor, type StoredTensor } from '../checkpoint/stored.ts'
import { loadPretrained } from './load.node.ts'
import { type Adapter, parseAdapter, scalingsOf } from './lora.ts'
import { adapterFiles, newAdapter } from './loraNew.ts'
import { applyAdapter, mergeAdapter } from './merge.ts'

const llama = await loadPretrained(fixture('models/llama-tied'))
const gpt2 = await loadPretrained(fixture('models/gpt2'))
const { architecture, config } = llama

const settings = { r: 2, alpha: 6, dropout: 0.1 }

/** The folder of an adapter, as adapterFiles writes it, with changes. */
const folder = (adapter: Adapter, base = llama, change: object = {}) => {
  const read = async (name: string) => adapter.params.get(name)!.floats()
  const files = adapterFiles(adapter, base.architecture, base.config, read, 'base')
  const tensors = files.tensors.map(({ name, shape, data }): [string, StoredTensor] => [
    name,
    lazyTensor(name, shape, async () => (await data()) as Float32Array),
  ])
  return { config: { ...JSON.parse(files.config), ...change }, tensors: new Map(tensors) }
}

const parse = ({ config: json, tensors }: ReturnType<typeof folder>, base = llama) =>
  parseAdapter(json, tensors, base.architecture, base.config, 'adapter')

const fresh = (change: Partial<Parameters<typeof newAdapter>[0]> = {}, base = llama) =>
  newAdapter({ ...settings, ...change }, base.architecture, base.config, 5)

describe('new adapters', () => {
  it("have PEFT's targets, shapes and first values", async () => {
    const adapter = fresh()
    expect([...adapter.targets.keys()]).toEqual(
      [0, 1].flatMap((i) => ['q_proj', 'v_proj'].map((m) => `model.layers.${i}.self_attn.${m}`)),
    )
    expect([...scalingsOf(adapter).values()]).toEqual([3, 3, 3, 3])
    const A = await adapter.params.get('model.layers.0.self_attn.q_proj.lora_A.weight')!.floats()
    expect(Math.max(...A.map(Math.abs))).toBeLessThanOrEqual(1 / Math.sqrt(32))
    expect(Math.max(...A.map(Math.abs))).toBeGreaterThan(0.9 / Math.sqrt(32))
    const B = adapter.params.get('model.layers.0.self_attn.q_proj.lora_B.weight')!
    expect([B.shape, (await B.floats()).every((v) => v === 0)]).toEqual([[32, 2], true])
    expect([...fresh({}, gpt2).targets.keys()]).toEqual([0, 1].map((i) => `transformer.h.${i}.attn.c_attn`))
  })

  it('change nothing, whatever they target', async () => {
    const adapter = fresh({ targets: ['embed_tokens', 'lm_head', 'down_proj'] })
    const merged = mergeAdapter(llama, adapter)
    for (const name of ['model.embed_tokens.weight', 'lm_head.weight', 'model.layers.1.mlp.down_proj.weight']) {
      const own = name === 'lm_head.weight' ? 'model.embed_tokens.weight' : name
      expect(await merged.params.get(name)!.floats()).toEqual(await llama.params.get(own)!.floats())
    }
  })

  it('draw a module alike whatever else is targeted', async () => {
    const name = 'model.layers.1.self_attn.v_proj.lora_A.weight'
    const all = fresh({ targets: 'all-linear' })
    expect(all.targets.size).toBe(14)
    expect(await all.params.get(name)!.floats()).toEqual(await fresh().params.get(name)!.floats())
  })

  it('refuse a module that is not there, with the nearest', () => {
    expect(() => fresh({ targets: ['q_porj'] })).toThrow(/no module "q_porj"; did you mean q_proj\?/)
    expect(() => fresh({ modulesToSave: ['score_of_reward'] })).toThrow(/no module "score_of_reward"/)
  })
})

describe('folders', () => {
  it.each([
    ['plain', {}],
    ['all, rank-stabilised', { targets: 'all-linear' as const, rsLora: true }],
    ['embedding and head', { targets: ['embed_tokens', 'lm_head'] }],
    ['full names', { targets: ['layers.1.mlp.up_proj', 'layers.0.self_attn.q_proj'] }],
  ])('%s come back as they were', (_, change) => {
    const adapter = fresh(change)
    const again = parse(folder(adapter))
    expect({ ...again, params: [...again.params.keys()].sort() }).toEqual({
      ...adapter,
      params: [...adapter.params.keys()].sort(),
    })
  })

  it('keep ranks and alphas of single modules', async () => {
    const adapter = fresh()
    const module = 'model.layers.1.self_attn.q_proj'
    adapter.targets.set(module, { r: 1, alpha: 4, scaling: 4 })
    adapter.params.set(
      `${module}.lora_A.weight`,
      lazyTensor('A', [1, 32], () => new Float32Array(32)),
    )
    adapter.params.set(
      `${module}.lora_B.weight`,
      lazyTensor('B', [32, 1], () => new Float32Array(32)),
    )
    const written = folder(adapter)
    expect(written.config).toMatchObject({ rank_pattern: { [module]: 1 }, alpha_pattern: { [module]: 4 } })
    expect(parse(written).targets).toEqual(adapter.targets)
  })

  it("use PEFT's names", () => {
    const names = [...folder(fresh({ targets: ['embed_tokens', 'q_proj'] })).tensors.keys()]
    expect(names).toContain('base_model.model.model.embed_tokens.lora_embedding_A')
    expect(names).toContain('base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight')
    expect(folder(fresh({}, gpt2), gpt2).config).toMatchObject({ fan_in_fan_out: true, target_modules: ['c_attn'] })
  })
})

describe('which modules a config means', () => {
  const qv = fresh()
  it.each([
    [{ target_modules: '.*\\.(q_proj|v_proj)' }],
    [{ target_modules: '^(?!.*mlp).*(?:q_proj|v_proj)$' }],
    [{ target_modules: '(?P<any>.*)[qv]_proj' }],
    [{ target_modules: ['self_attn.q_proj', 'layers.0.self_attn.v_proj', 'model.layers.1.self_attn.v_proj'] }],
    [{ target_modules: ['q_proj', 'v_proj', 'o_proj'], exclude_modules: ['o_proj'] }],
    [{ target_modules: ['q_proj', 'v_proj'], layers_to_transform: [0, 1], layers_pattern: 'layers' }],
  ])('%j', (change) => {
    expect([...parse(folder(qv, llama, change)).targets.keys()]).toEqual([...qv.targets.keys()])
  })

  it('all-linear', () => {
    const adapter = fresh({ targets: 'all-linear' })
    expect(parse(folder(adapter, llama, { target_modules: 'all-linear' })).targets.size).toBe(14)
  })

  it('does not run patterns that could take for ever', () => {
    const start = performance.now()
    for (const pattern of ['(a+)+$', '(.*)*x', '.*.*.*.*.*.*.*.*x', '(?P<a>.)(?P=a)'])
      expect(() => parse(folder(qv, llama, { target_modules: pattern }))).toThrow(/is not run/)
    expect(() => parse(folder(qv, llama, { target_modules: '(' }))).toThrow(/is not understood/)
    expect(performance.now() - start).toBeLessThan(1000)
  })
})

describe('what is refused', () => {
  it.each([
    [{ peft_type: 'IA3' }, /peft_type "IA3" is not supported; LORA is/],
    [{ use_dora: true }, /has no LoRA weights for model.layers.0.self_attn.q_proj/],
    [{ bias: 'all' }, /bias "all"/],
    [{ layer_replication: [[0, 2]] }, /layer_replication/],
    [{ init_lora_weights: 'pissa' }, /init_lora_weights "pissa"/],
    [{ trainable_token_indices: [3] }, /trainable_token_indices/],
    [{ r: 0 }, /adapter_config.json: r: /],
    [{ r: 4 }, /q_proj: adapter_config.json says rank 4, the weights \[2,32\]/],
    [{ target_modules: ['q_proj'] }, /v_proj.lora_A.weight, which its adapter_config.json does not target/],
    [{ target_modules: ['q_proj', 'v_proj', 'k_proj'] }, /no LoRA weights for .*k_proj.*made for another model/],
  ])('%j', (change, message) => {
    expect(() => parse(folder(fresh(), llama, change))).toThrow(message)
  })

  it('adapters of other models and other kinds', () => {
    const wide = { ...llama, config: { ...config, hidden_size: 64, head_dim: 16 } }
    expect(() => parse(folder(fresh(), llama), wide)).toThrow(/lora_A.weight is \[2,32\], this model needs \[2,64\]/)
    const deep = { ...llama, config: { ...config, num_hidden_layers: 3 } }
    expect(() => parse(folder(fresh({}, deep), deep))).toThrow(/holds model.layers.2.*made for another model/)
    expect(() => parse(folder(fresh(), llama), deep)).toThrow(/no LoRA weights for model.layers.2/)
    expect(() => parse(folder(fresh({}, gpt2), gpt2))).toThrow(/holds transformer.h.0.*LlamaForCausalLM/)
    const dora = folder(fresh())
    const name = 'base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector'
    dora.tensors.set(
      name,
      lazyTensor(name, [32], () => new Float32Array(32)),
    )
    expect(() => parse(dora)).toThrow(/lora_magnitude_vector.weight, which its adapter_config.json does not target/)
  })
})

describe('tied embeddings', () => {
  const other = () => lazyTensor('x', [128, 32], () => new Float32Array(128 * 32).fill(0.25))

  it('come apart when one side is saved', async () => {
    const adapter = fresh({ modulesToSave: ['lm_head'] })
    adapter.params.set('lm_head.weight', other())
    for (const whole of [applyAdapter(llama, adapter), mergeAdapter(llama, adapter)]) {
      expect(whole.config.tie_word_embeddings).toBe(false)
      expect((await whole.params.get('lm_head.weight')!.floats())[0]).toBe(0.25)
      expect(whole.params.get('model.embed_tokens.weight')).toBe(llama.params.get('model.embed_tokens.weight'))
    }
    expect(parse(folder(adapter)).saved).toEqual(['lm_head.weight'])
  })

  it('stay tied beside a head with LoRA, and come apart when it is merged', () => {
    const adapter = fresh({ targets: ['lm_head'] })
    expect(applyAdapter(llama, adapter).config.tie_word_embeddings).toBe(true)
    expect(mergeAdapter(llama, adapter).config.tie_word_embeddings).toBe(false)
    expect(mergeAdapter(llama, fresh()).config.tie_word_embeddings).toBe(true)
    expect(architecture.name).toBe('LlamaForCausalLM')
  })
})
