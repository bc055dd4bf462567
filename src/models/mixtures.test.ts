/** Mixtures of experts: what does not fit is refused by name; tensors and adapters of all experts go in and out. */
import { describe, expect, it } from 'vitest'
import { fixture, fixtureJson, fixtureTensors, largestDifference } from '../../test/support/golden.ts'
import { openAdapter } from '../checkpoint/folder.node.ts'
import { openSafetensors } from '../checkpoint/safetensors.ts'
import { lazyTensor, type StoredTensor } from '../checkpoint/stored.ts'
import { fileSource } from '../util/files.node.ts'
import { loadPretrained } from './load.node.ts'
import { joinCheckpoint } from './load.ts'
import { parseAdapter } from './lora.ts'
import { adapterFiles, newAdapter } from './loraNew.ts'
import { mergeAdapter } from './merge.ts'
import { modelFiles } from './save.ts'

const names = ['mixtral', 'qwen3-moe', 'granite-moe', 'gpt-oss', 'gemma4-moe'] as const
const bases = new Map(
  await Promise.all(names.map(async (name) => [name, await loadPretrained(fixture(`models/${name}`))] as const)),
)
const [mixtral, granite] = [bases.get('mixtral')!, bases.get('granite-moe')!]

/** Written tensors as if they had been read. */
const asStored = (tensors: ReturnType<typeof modelFiles>['tensors']) =>
  new Map(
    tensors.map(({ name, shape, data }): [string, StoredTensor] => [
      name,
      lazyTensor(name, shape, async () => (await data()) as Float32Array),
    ]),
  )

describe.each(names)('%s', (name) => {
  it('is written as it was read', async () => {
    const { tensors } = modelFiles(bases.get(name)!, 'F32')
    const golden = await fixtureTensors(`models/${name}/model.safetensors`)
    expect(tensors.map((tensor) => tensor.name).sort()).toEqual([...golden.names].sort())
    for (const tensor of tensors) {
      expect(tensor.shape).toEqual(golden.shape(tensor.name))
      expect(await tensor.data()).toEqual(await golden.floats(tensor.name))
    }
  })
})

describe('refused', () => {
  const join = async (
    name: (typeof names)[number],
    change: object,
    edit: (all: Map<string, StoredTensor>) => void = () => {},
  ) => {
    const tensors = asStored(modelFiles(bases.get(name)!, 'F32').tensors)
    edit(tensors)
    const config = { ...(await fixtureJson(`models/${name}/config.json`)), ...change }
    return joinCheckpoint({ dir: 'm', config, tensors })
  }
  const expert = 'model.layers.1.block_sparse_moe.experts.2.w2.weight'

  it('an expert that is missing or has another shape', async () => {
    await expect(join('mixtral', {}, (all) => all.delete(expert))).rejects.toThrow(
      `m: holds no ${expert}, which Mixtral`,
    )
    const wide = (all: Map<string, StoredTensor>) =>
      all.set(
        expert,
        lazyTensor(expert, [3, 4], () => new Float32Array(12)),
      )
    await expect(join('mixtral', {}, wide)).rejects.toThrow(`${expert} is [3,4], but config.json implies [32,24]`)
    await expect(join('mixtral', { num_local_experts: 5 })).rejects.toThrow(
      /block_sparse_moe.gate.weight is \[4,32\], but config.json implies \[5,32\]/,
    )
    await expect(join('granite-moe', { num_local_experts: 4 })).rejects.toThrow(
      /block_sparse_moe.router.layer.weight is \[5,32\]|input_linear.weight is \[5,48,32\], but config.json says 4 experts/,
    )
  })

  it('more experts for a token than there are, and what is not computed', async () => {
    await expect(join('mixtral', { num_experts_per_tok: 5 })).rejects.toThrow(
      'num_experts_per_tok 5 does not fit 4 experts',
    )
    await expect(join('mixtral', { num_local_experts: 1e9 })).rejects.toThrow(/num_local_experts/)
    await expect(join('mixtral', { router_jitter_noise: 0.1 })).rejects.toThrow(
      /router_jitter_noise 0.1 is not supported/,
    )
    await expect(join('qwen3-moe', { output_router_logits: true })).rejects.toThrow(/output_router_logits true/)
  })

  it('an adapter of some experts of a layer', () => {
    const { architecture, config } = mixtral
    const only = { r: 2, alpha: 4, dropout: 0, targets: ['experts.1.w2'] }
    expect(() => newAdapter(only, architecture, config, 1)).toThrow(
      /adapts model.layers.0.block_sparse_moe.experts.0.w2 otherwise than model.layers.0.block_sparse_moe.experts.1.w2/,
    )
  })

  it('an adapter of a parameter that the model does not have, or of another number of experts', async () => {
    const folder = await openAdapter(fixture('models/lora-granite-moe'))
    const parse = (change: object, { architecture, config } = granite) =>
      parseAdapter({ ...(folder.config as object), ...change }, folder.tensors, architecture, config, 'a')
    expect(() => parse({ target_parameters: ['experts.up_proj'] })).toThrow(
      /targets "experts.up_proj", which GraniteMoe/,
    )
    const fewer = { ...granite.config, raw: { ...granite.config.raw, num_local_experts: 4 } }
    expect(() => parse({}, { ...granite, config: fewer })).toThrow(
      /LoRA weights \[15,32\] and \[48,15\] do not fit 4 experts/,
    )
  })
})

describe('MXFP4', () => {
  const name = 'model.layers.0.mlp.experts.gate_up_proj'
  const join = async (edit: (all: Map<string, StoredTensor>) => void = () => {}, method = 'mxfp4') => {
    const { tensors: packed } = await openSafetensors(await fileSource(fixture('models/mxfp4.safetensors')))
    const tensors = asStored(modelFiles(bases.get('gpt-oss')!, 'F32').tensors)
    tensors.delete(name)
    for (const part of ['blocks', 'scales']) tensors.set(`${name}_${part}`, packed.get(part)!)
    edit(tensors)
    const config = {
      ...(await fixtureJson('models/gpt-oss/config.json')),
      quantization_config: { quant_method: method },
    }
    return joinCheckpoint({ dir: 'm', config, tensors })
  }

  it('is unpacked as transformers does it, and written as plain weights', async () => {
    const golden = await fixtureTensors('models/mxfp4.safetensors')
    const files = modelFiles(await join(), 'F32')
    expect(await files.tensors.find((tensor) => tensor.name === name)!.data()).toEqual(await golden.floats('values'))
    expect(JSON.parse(files.texts['config.json'])).not.toHaveProperty('quantization_config')
  })

  it('is refused where it does not fit, or is another method', async () => {
    await expect(join((all) => all.delete(`${name}_scales`))).rejects.toThrow(
      /holds no model.layers.0.mlp.experts.0.gate_up_proj.weight/,
    )
    const long = lazyTensor('scales', [4, 48, 2], () => new Float32Array(384))
    await expect(join((all) => all.set(`${name}_scales`, long))).rejects.toThrow(/which is not MXFP4/)
    await expect(join(undefined, 'awq')).rejects.toThrow(/quantized with "awq"/)
  })
})

describe('adapters', () => {
  it("of Granite-MoE are written with PEFT's parameters of all experts, and read back", async () => {
    const { architecture, config } = granite
    const folder = await openAdapter(fixture('models/lora-granite-moe'))
    const adapter = parseAdapter(folder.config, folder.tensors, architecture, config, 'a')
    const read = async (key: string) => adapter.params.get(key)!.floats()
    const written = adapterFiles(adapter, architecture, config, read, 'base')
    const json = JSON.parse(written.config)
    expect(json.target_modules).toEqual(['k_proj', 'o_proj', 'q_proj', 'v_proj'])
    expect(json.target_parameters).toEqual([
      'block_sparse_moe.experts.gate_up_proj',
      'block_sparse_moe.experts.down_proj',
      'block_sparse_moe.router.weight',
    ])
    expect(written.tensors.map(({ name }) => name).sort()).toEqual([...folder.tensors.keys()].sort())
    for (const { name, shape, data } of written.tensors) {
      const expected = folder.tensors.get(name)!
      expect([name, shape]).toEqual([name, expected.shape])
      expect(await data()).toEqual(await expected.floats())
    }
  })

  it('of one parameter of Mixtral, as PEFT trains it with transformers 5, change gate and up alike', async () => {
    const { architecture, config, params } = mixtral
    const [E, F, C, r] = [4, 24, 32, 2]
    const random = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * i + n))
    const [A, B] = [random(E * r * C), random(2 * F * r * E)]
    const holder = (layer: number) => `base_model.model.model.layers.${layer}.mlp.experts`
    const tensors = new Map(
      [0, 1].flatMap((layer) => [
        [`${holder(layer)}.lora_A.weight`, lazyTensor('A', [E * r, C], () => A)] as const,
        [`${holder(layer)}.lora_B.weight`, lazyTensor('B', [2 * F, r * E], () => B)] as const,
      ]),
    )
    const json = {
      peft_type: 'LORA',
      r: 1,
      lora_alpha: 3,
      target_modules: [],
      target_parameters: ['mlp.experts.gate_up_proj'],
      rank_pattern: { '.*\\.gate_up_proj': r },
      alpha_pattern: { '.*\\.gate_up_proj': 6 },
    }
    const merged = mergeAdapter(mixtral, parseAdapter(json, tensors, architecture, config, 'a'))
    // W[e, o, i] + 6/2 sum_k B[o, k*E + e] A[e*r + k, i]
    for (const [part, module] of ['w1', 'w3'].entries()) {
      const name = `model.layers.1.block_sparse_moe.experts.3.${module}.weight`
      const W = await params.get(name)!.floats()
      const expected = W.map((w, at) => {
        const [o, i] = [Math.floor(at / C) + part * F, at % C]
        return w + 3 * [0, 1].reduce((sum, k) => sum + B[o * r * E + k * E + 3] * A[(3 * r + k) * C + i], 0)
      })
      expect(largestDifference(await merged.params.get(name)!.floats(), expected)).toBeLessThan(1e-5)
    }
  })
})
