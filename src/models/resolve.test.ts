/** What `--model` and `--adapter` may name: folders, runs, and adapters whose base is looked up. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { resolveAdapter, resolveModel } from './resolve.node.ts'

let root = ''
const at = (...parts: string[]) => join(root, ...parts)

const write = async (path: string, files: Record<string, unknown>) => {
  await mkdir(at(path), { recursive: true })
  for (const [name, value] of Object.entries(files)) await writeFile(at(path, name), JSON.stringify(value))
}
const model = (path: string) => write(path, { 'config.json': {}, 'model.safetensors': 0 })
const adapter = (path: string, config: object) =>
  write(path, { 'adapter_config.json': config, 'adapter_model.safetensors': 0 })
const run = (path: string, typed: string, place: string) =>
  write(path, {
    'run.json': {
      format: 1,
      method: 'sft',
      created: '2025-01-01',
      command: [],
      config: { model: typed },
      places: { model: place },
      versions: {},
      machine: {},
      resumes: [],
    },
  })

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'attune-resolve-'))
  vi.stubEnv('HF_HUB_OFFLINE', '1')
  vi.stubEnv('HF_HUB_CACHE', at('cache'))
  await model('base')
  await run('lora', 'base', at('base'))
  await adapter('lora/adapter', { base_model_name_or_path: 'gone' })
  await run('full', 'base', at('base'))
  await model('full/model')
  await adapter('peft', { base_model_name_or_path: at('base') })
  await adapter('beside', { base_model_name_or_path: '../base' })
  await run('further', 'peft', at('peft'))
  await adapter('further/adapter', { base_model_name_or_path: at('base') })
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await rm(root, { recursive: true })
})

it.each([
  ['a folder', { model: 'base' }, { dir: 'base' }],
  ['a run of all weights', { model: 'full' }, { dir: 'full/model' }],
  ['a run of an adapter', { model: 'lora' }, { dir: 'base', adapter: 'lora/adapter' }],
  ['a folder and a run', { model: 'base', adapter: 'lora' }, { dir: 'base', adapter: 'lora/adapter' }],
  ['a folder and an adapter', { model: 'base', adapter: 'peft' }, { dir: 'base', adapter: 'peft' }],
  ['an adapter', { model: 'peft' }, { dir: 'base', adapter: 'peft' }],
  ['an adapter whose base lies beside it', { model: 'beside' }, { dir: 'beside/../base', adapter: 'beside' }],
  ['the adapter of a run, whose base moved', { model: 'lora/adapter' }, { dir: 'base', adapter: 'lora/adapter' }],
  ['a run that began with an adapter', { model: 'further' }, { dir: 'base', adapter: 'further/adapter' }],
])('%s', async (_, names, found) => {
  const paths = (each: { [key: string]: string }) =>
    Object.fromEntries(Object.entries(each).map(([k, v]) => [k, at(v)]))
  const { dir, adapter } = await resolveModel(paths(names) as { model: string })
  const expected = Object.fromEntries(Object.entries(found).map(([key, path]) => [key, join(root, path)]))
  expect({ dir: join(dir), ...(adapter && { adapter }) }).toEqual(expected)
})

it('says what is missing, and what to do', async () => {
  await adapter('nameless', { base_model_name_or_path: null })
  await expect(resolveModel({ model: at('nameless') })).rejects.toThrow(
    /nameless: is a PEFT adapter whose adapter_config.json names no base model; give the base as --model/,
  )
  await adapter('stray', { base_model_name_or_path: 'owner/base', revision: 'v1' })
  await expect(resolveModel({ model: at('stray') })).rejects.toThrow(
    /stray: is a PEFT adapter of the base model "owner\/base", which cannot be opened \(owner\/base@v1: .*; give the base as --model and this folder as --adapter/,
  )
  await adapter('circle', { base_model_name_or_path: at('circle') })
  await expect(resolveModel({ model: at('circle') })).rejects.toThrow(/base is an adapter, and so on/)
  await expect(resolveModel({ model: at('peft'), adapter: at('beside') })).rejects.toThrow(
    /^--adapter: cannot be given beside .*peft, which is an adapter itself/,
  )
  await expect(resolveAdapter(at('full'))).rejects.toThrow(/^--adapter: .*full is a run that trained the whole model/)
})
