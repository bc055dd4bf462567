import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { openAdapter, openCheckpoint, writeTensors } from './folder.node.ts'
import type { NewTensor } from './safetensorsWrite.ts'
import type { StoredTensor } from './stored.ts'

const fixture = (name: string) => join(import.meta.dirname, '../../test/fixtures/checkpoint', name)

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'attune-folder-'))
  return () => rmSync(dir, { recursive: true })
})

const copy = (name: string): string => {
  cpSync(fixture(name), join(dir, name), { recursive: true })
  return join(dir, name)
}

const edit = (path: string, change: (text: string) => string) => writeFileSync(path, change(readFileSync(path, 'utf8')))

const again = (tensor: StoredTensor): NewTensor => ({ ...tensor, data: tensor.bytes })

describe('openCheckpoint', () => {
  it('reads shards and torch files of one model alike, strided, shared and tied tensors included', async () => {
    const sharded = await openCheckpoint(fixture('storage-sharded'))
    const torch = await openCheckpoint(fixture('storage-bin'))
    expect(sharded.config).toMatchObject({ model_type: 'llama', vocab_size: 128 })
    expect(sharded.generationConfig).toMatchObject({ eos_token_id: expect.anything() })
    expect(sharded.files.map((file) => basename(file))).toContain('model-00003-of-00003.safetensors')
    expect(torch.generationConfig).toBeUndefined()
    expect(sharded.tensors.size).toBeGreaterThan(15)
    for (const [name, tensor] of sharded.tensors) {
      const twin = torch.tensors.get(name)!
      expect(twin.shape).toEqual(tensor.shape)
      expect(await twin.floats()).toEqual(await tensor.floats())
    }
    const tied = [torch.tensors.get('lm_head.weight')!, torch.tensors.get('model.embed_tokens.weight')!]
    expect(await tied[0].bytes()).toEqual(await tied[1].bytes())
  })

  it('suggests a folder with a similar name', async () => {
    mkdirSync(join(dir, 'SmolLM2-135M'))
    const missing = openCheckpoint(join(dir, 'SmolLM-135M'))
    await expect(missing).rejects.toThrow(`did you mean ${join(dir, 'SmolLM2-135M')}?`)
  })

  it.each([
    [
      'a missing shard',
      'names model-00002-of-00003.safetensors, which is missing',
      (path: string) => rmSync(join(path, 'model-00002-of-00003.safetensors')),
    ],
    [
      'a truncated shard',
      'model-00002-of-00003.safetensors',
      (path: string) => truncateSync(join(path, 'model-00002-of-00003.safetensors'), 20_000),
    ],
    [
      'a tensor that is not in its shard',
      'says that "model.norm.weights" is in',
      (path: string) =>
        edit(join(path, 'model.safetensors.index.json'), (text) =>
          text.replace('model.norm.weight"', 'model.norm.weights"'),
        ),
    ],
    [
      'a shard outside of the folder',
      'which is not in its folder',
      (path: string) =>
        edit(join(path, 'model.safetensors.index.json'), (text) => text.replaceAll('model-00001', '../model-00001')),
    ],
    [
      'an index without a map',
      'has no weight_map',
      (path: string) => writeFileSync(join(path, 'model.safetensors.index.json'), '{"weight_map": {"a": 1}}'),
    ],
    [
      'a damaged config',
      'is not valid JSON: it ends too early',
      (path: string) => truncateSync(join(path, 'config.json'), 30),
    ],
    [
      'a config that is a list',
      'config.json: is not a JSON object',
      (path: string) => writeFileSync(join(path, 'config.json'), '[]'),
    ],
    [
      'a config nested too deep',
      'config.json, line 1: is nested deeper than',
      (path: string) => writeFileSync(join(path, 'config.json'), `{"a": ${'['.repeat(1e5)}${']'.repeat(1e5)}}`),
    ],
    [
      'a config of many megabytes',
      'config.json: has 34603009 bytes, more than',
      (path: string) => truncateSync(join(path, 'config.json'), 33 * 2 ** 20 + 1),
    ],
    ['no config', 'holds no config.json', (path: string) => rmSync(join(path, 'config.json'))],
    [
      'no weights',
      'holds no weights: none of model.safetensors',
      (path: string) => rmSync(join(path, 'model.safetensors.index.json')),
    ],
  ])('refuses %s', async (_, message, damage) => {
    const path = copy('storage-sharded')
    damage(path)
    await expect(openCheckpoint(path)).rejects.toMatchObject({
      name: 'Fault',
      exitCode: 2,
      message: expect.stringContaining(message),
    })
  })

  it('refuses an adapter and says what to do with it', async () => {
    await expect(openCheckpoint(fixture('lora-qv'))).rejects.toThrow('give it as --adapter')
  })
})

describe('openAdapter', () => {
  it('reads a PEFT folder', async () => {
    const { config, tensors } = await openAdapter(fixture('lora-qv'))
    expect(config).toMatchObject({ peft_type: 'LORA', r: 4, lora_alpha: 8 })
    expect(tensors.size).toBe(8)
    expect(tensors.get('base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight')?.shape).toEqual([4, 32])
  })

  it('refuses a model', async () => {
    await expect(openAdapter(fixture('storage-bin'))).rejects.toThrow('no adapter_config.json')
  })
})

describe('writeTensors', () => {
  it('writes shards and an index that open to the same tensors, then one file in their place', async () => {
    const original = await openCheckpoint(fixture('storage-sharded'))
    const path = join(dir, 'out')
    mkdirSync(path)
    cpSync(join(fixture('storage-sharded'), 'config.json'), join(path, 'config.json'))
    const tensors = [...original.tensors.values()].map(again)
    const same = async () => {
      const opened = await openCheckpoint(path)
      expect(new Set(opened.tensors.keys())).toEqual(new Set(original.tensors.keys()))
      for (const [name, tensor] of opened.tensors)
        expect(await tensor.bytes()).toEqual(await original.tensors.get(name)!.bytes())
    }
    await writeTensors(path, tensors, 'model', 30_000)
    expect(readdirSync(path)).toContain('model-00001-of-00003.safetensors')
    await same()
    await writeTensors(path, tensors, 'model')
    expect(readdirSync(path).sort()).toEqual(['config.json', 'model.safetensors'])
    await same()
  })
})
