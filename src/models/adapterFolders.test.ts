/** Adapters that contain more than LoRA matrices: new tokens, a tokenizer, chat templates; weights beyond float16. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixture } from '../../test/support/golden.ts'
import { openCheckpoint, writeTensors } from '../checkpoint/folder.node.ts'
import { ggufChunks } from '../checkpoint/gguf.ts'
import { copyTokenizer } from '../publish/modelFolder.ts'
import { loadTokenizerFolder } from '../text/tokenizer.node.ts'
import { loadAdapted, loadPretrained } from './load.node.ts'
import { applyAdapter, mergeAdapter } from './merge.ts'

let root = ''
const at = (...parts: string[]) => join(root, ...parts)
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-adapters-'))
})
afterAll(() => rm(root, { recursive: true }))

const prefix = 'base_model.model.'

/** A PEFT folder with embeddings (and a head) of so many rows, as PEFT saves them of a model whose vocabulary was grown. */
const grownAdapter = async (name: string, base: string, { rows, head }: { rows: number; head: boolean }) => {
  const { config, params } = await loadPretrained(fixture(`models/${base}`))
  const [C, dir] = [config.hidden_size, at(name)]
  const filled = (shape: number[], value: number) => ({
    dtype: 'F32' as const,
    shape,
    data: () => new Float32Array(shape.reduce((a, b) => a * b)).fill(value),
  })
  const Q = params.get('model.layers.0.self_attn.q_proj.weight')!.shape[0]
  const layers = Array.from({ length: config.num_hidden_layers }, (_, i) => `model.layers.${i}.self_attn.q_proj`)
  await mkdir(dir)
  await writeTensors(
    dir,
    [
      ...layers.flatMap((module) => [
        { name: `${prefix}${module}.lora_A.weight`, ...filled([2, C], 0.1) },
        { name: `${prefix}${module}.lora_B.weight`, ...filled([Q, 2], 0.1) },
      ]),
      { name: `${prefix}model.embed_tokens.weight`, ...filled([rows, C], 0.5) },
      ...(head ? [{ name: `${prefix}lm_head.weight`, ...filled([rows, C], 0.25) }] : []),
    ],
    'adapter_model',
  )
  const peft = { peft_type: 'LORA', r: 2, lora_alpha: 4, target_modules: ['q_proj'], modules_to_save: null }
  await writeFile(join(dir, 'adapter_config.json'), JSON.stringify(peft))
  return { dir, base: await loadPretrained(fixture(`models/${base}`)), rows, C }
}

describe('an adapter with more tokens than its base', () => {
  it('makes the base as large, tied or not', async () => {
    for (const [name, model] of [
      ['tied', 'llama-tied'],
      ['untied', 'llama-gqa-untied'],
    ]) {
      const { config } = await loadPretrained(fixture(`models/${model}`))
      const rows = config.vocab_size + 3
      const made = await grownAdapter(name, model, { rows, head: name === 'untied' })
      const { base, adapter } = await loadAdapted(made.dir, made.base)
      expect(base.config.vocab_size).toBe(rows)
      expect(base.config.raw.vocab_size).toBe(rows)
      for (const whole of [applyAdapter(base, adapter), mergeAdapter(base, adapter)]) {
        const embedding = whole.params.get('model.embed_tokens.weight')!
        expect(embedding.shape).toEqual([rows, made.C])
        expect((await embedding.floats()).every((value) => value === 0.5)).toBe(true)
        expect(whole.params.get('lm_head.weight')?.shape ?? [rows, made.C]).toEqual([rows, made.C])
      }
    }
  })

  it('is refused where the head has not grown with it', async () => {
    const { config } = await loadPretrained(fixture('models/llama-gqa-untied'))
    const made = await grownAdapter('headless', 'llama-gqa-untied', { rows: config.vocab_size + 3, head: false })
    await expect(loadAdapted(made.dir, made.base)).rejects.toThrow(/no lm_head of that size/)
  })
})

describe('the tokenizer of an adapter', () => {
  const template = (word: string) => `{% for m in messages %}${word} {{ m.content }}{% endfor %}`
  const rendered = async (dir: string, adapter?: string) =>
    (await loadTokenizerFolder(dir, adapter))!.chat!.render([{ role: 'user', content: 'hi' }]).text

  it('takes the place of the base’s, templates too, and goes into what is made of both', async () => {
    await cp(fixture('models/stories260K'), at('base'), { recursive: true })
    await writeFile(at('base/chat_template.jinja'), template('base'))
    await mkdir(at('base/additional_chat_templates'))
    await writeFile(at('base/additional_chat_templates/tools.jinja'), template('tools'))
    await mkdir(at('templates-only'))
    await writeFile(at('templates-only/chat_template.jinja'), template('adapter'))
    await mkdir(at('whole'))
    for (const name of ['tokenizer.json', 'tokenizer_config.json']) await cp(at('base', name), at('whole', name))
    const config = JSON.parse(await readFile(at('whole/tokenizer_config.json'), 'utf8'))
    await writeFile(at('whole/tokenizer_config.json'), JSON.stringify({ ...config, chat_template: template('own') }))

    expect(await rendered(at('base'))).toContain('base hi')
    expect(await rendered(at('base'), at('templates-only'))).toContain('adapter hi')
    expect(await rendered(at('base'), at('whole'))).toContain('own hi')

    for (const [adapter, word] of [
      [undefined, 'base'],
      ['templates-only', 'adapter'],
      ['whole', 'own'],
    ]) {
      const made = at(`made-${word}`)
      await mkdir(made)
      await copyTokenizer({ dir: at('base'), adapter: adapter && at(adapter) }, made)
      expect(await rendered(made)).toContain(`${word} hi`)
      const extra = await readdir(join(made, 'additional_chat_templates')).catch(() => [])
      expect(extra).toEqual(adapter === undefined ? ['tools.jinja'] : [])
    }
  })
})

describe('weights beyond float16', () => {
  const tensor = (dtype: 'F16' | 'BF16' | 'F32', data: number[]) => ({
    name: 'w',
    dtype,
    shape: [data.length],
    data: () => Float32Array.from(data),
  })

  it('are not written as infinity', async () => {
    await mkdir(at('half'))
    await expect(writeTensors(at('half'), [tensor('F16', [1, -65520])], 'model')).rejects.toThrow(
      /w holds -65520, and float16 ends at 65504; save in bfloat16/,
    )
    expect(await readdir(at('half'))).toEqual([])
    for (const held of [
      tensor('F16', [65504, -65519, Number.POSITIVE_INFINITY]),
      tensor('BF16', [1e30]),
      tensor('F32', [1e38]),
    ])
      await writeTensors(at('half'), [held], 'model')
  })

  it.each(['F16', 'Q8_0', 'Q4_0'] as const)('are not written into GGUF as infinity: %s', async (type) => {
    const values = new Float32Array(32).fill(type === 'F16' ? 70_000 : 1e9)
    const all = async () => {
      for await (const _ of ggufChunks(new Map(), [{ name: 'w', type, shape: [32], data: async () => values }])) {
      }
    }
    await expect(all()).rejects.toThrow(/w needs .*float16 ends at 65504; use --gguf F32/)
  })
})

it('reads a tensor of a shard that the index does not name, and one that it places in another shard', async () => {
  await cp(fixture('models/storage-sharded'), at('sharded'), { recursive: true })
  const index = JSON.parse(await readFile(at('sharded/model.safetensors.index.json'), 'utf8'))
  const entries = Object.entries<string>(index.weight_map)
  const shards = [...new Set(entries.map(([, shard]) => shard))]
  const [dropped, [moved, place]] = [entries[0][0], entries[1]]
  delete index.weight_map[dropped]
  index.weight_map[moved] = shards.find((shard) => shard !== place)
  await writeFile(at('sharded/model.safetensors.index.json'), JSON.stringify(index))
  const { tensors } = await openCheckpoint(at('sharded'))
  expect(tensors.has(dropped)).toBe(true)
  expect(tensors.has(moved)).toBe(true)
  expect(tensors.size).toBe(entries.length)
})
