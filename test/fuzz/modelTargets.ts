/** Fuzz targets for readers of checkpoints: safetensors, torch files, config.json, adapter_config.json and listings of the hub. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { cardConfigs, globMatches, splitFiles } from '../../src/checkpoint/hubSplits.ts'
import { openSafetensors } from '../../src/checkpoint/safetensors.ts'
import { dtypeBytes, type TensorFile } from '../../src/checkpoint/stored.ts'
import { openTorch } from '../../src/checkpoint/torchFile.ts'
import { endIds } from '../../src/generate/generate.ts'
import { parseConfig } from '../../src/models/config.ts'
import { parseAdapter } from '../../src/models/lora.ts'
import { loraModules } from '../../src/models/loraModules.ts'
import { architectureOf } from '../../src/models/registry.ts'
import { bytesOf } from '../../src/util/bytes.ts'
import { jsonOf } from '../../src/util/json.ts'
import { changedJson, mutated, soup } from './mutate.ts'
import type { Random } from './random.ts'
import type { Input, Target } from './targets.ts'

const fixtures = new URL('../fixtures/', import.meta.url)
const inFolder = (folder: string, ending: string): Uint8Array[] =>
  readdirSync(new URL(folder, fixtures))
    .filter((name) => name.endsWith(ending))
    .map((name) => readFileSync(new URL(`${folder}/${name}`, fixtures)))
    .filter(({ length }) => length < 30_000)

const tensors = inFolder('checkpoint/safetensors', '.safetensors')
const torch = inFolder('checkpoint/pickle', '.bin')
const models = readdirSync(new URL('models', fixtures)).filter((name) =>
  existsSync(new URL(`models/${name}`, fixtures)),
)
const jsonFiles = (name: string): unknown[] =>
  models
    .map((model) => new URL(`models/${model}/${name}`, fixtures))
    .filter((url) => existsSync(url))
    .map((url) => JSON.parse(readFileSync(url, 'utf8')))
const configs = jsonFiles('config.json')
const adapters = jsonFiles('adapter_config.json')
const base = parseConfig(configs[0], 'config.json')
const architecture = architectureOf(base, 'config.json')

const headerWords = [
  '"dtype"',
  '"shape"',
  '"data_offsets"',
  '"__metadata__"',
  '"F32"',
  '"BF16"',
  '[',
  ']',
  '{',
  '}',
  ',',
  '0',
  '18446744073709551615',
  '"',
]
const globals = [
  'ctorch._utils\n_rebuild_tensor_v2\n',
  'ccollections\nOrderedDict\n',
  'ctorch\nFloatStorage\n',
  'cos\nsystem\n',
  '(',
  't',
  'R',
  'q\u0000',
  'h\u0000',
  '}',
  ']',
  's',
  'u',
  'Q',
  'X\u0004\u0000\u0000\u0000name',
  'K\u0001',
  'N',
  '.',
  '\u0085',
  '\u0086',
  '\u0087',
  '2',
  '0',
]

const bytesFrom = (input: Input): Uint8Array => (typeof input === 'string' ? Buffer.from(input) : input)
const changing =
  (seeds: readonly Uint8Array[], words: readonly string[]) =>
  (r: Random, found: readonly Input[]): Uint8Array =>
    mutated(found.length && r.once(2) ? bytesFrom(r.pick(found)) : r.pick(seeds), seeds, words, r)

/** Checks that every tensor has the bytes and the number of floats that its shape requires. */
const readTensors = async ({ tensors }: TensorFile): Promise<string> => {
  let n = 0
  for (const { shape, dtype, bytes, floats, name } of tensors.values()) {
    const count = shape.includes(0) ? 0 : shape.reduce((a, b) => a * b, 1)
    if ((await bytes()).length !== count * dtypeBytes[dtype]) throw new Error(`${name} has other bytes than its shape`)
    if (!dtype.startsWith('F8') && (await floats()).length !== count) throw new Error(`${name} has other floats`)
    if (++n > 50) break
  }
  return `${Math.min(n, 3)} tensors`
}

const changedText =
  (seeds: readonly unknown[], words: readonly string[] = []) =>
  (r: Random, found: readonly Input[]): string => {
    const from = found.length && r.once(2) ? JSON.parse(found[r.int(found.length)] as string) : r.pick(seeds)
    return JSON.stringify(changedJson(from, r, words)) ?? 'null'
  }

const paths = [
  'data/train-00000-of-00001.parquet',
  'train.jsonl',
  'test/a.json',
  'validation/b.csv',
  'x',
  '.hidden.json',
  'a/b/c.jsonl.gz',
]
const card = '---\nconfigs:\n- config_name: a\n  data_files:\n  - split: train\n    path: "data/*"\n---\n'
const cardWords = [
  'configs:',
  'config_name:',
  'data_files:',
  'split:',
  'path:',
  '- ',
  '\n',
  '  ',
  '"',
  '*',
  '**/',
  '?',
  '[a-z]',
  '{',
  '[',
  '&a',
  '*a',
  '---\n',
  'data_dir:',
  'default: true',
  '!!',
]
const globWords = ['*', '**', '**/', '?', '[', ']', 'a-z', '!', 'data', '/', 'train', '-', '.parquet', '\\', '{a,b}']

export const modelTargets: readonly Target[] = [
  {
    name: 'safetensors',
    weight: 10,
    make: changing(tensors, headerWords),
    run: async (input) => readTensors(await openSafetensors(bytesOf('x', bytesFrom(input)))),
  },
  {
    name: 'torch',
    weight: 10,
    make: changing(torch, globals),
    run: async (input) => readTensors(await openTorch(bytesOf('x', bytesFrom(input)))),
  },
  {
    name: 'config',
    weight: 3,
    isText: true,
    make: changedText(configs),
    run: (input) => {
      const config = parseConfig(jsonOf(input as string, { file: 'config.json' }), 'config.json')
      const { name, shapes } = architectureOf(config, 'config.json')
      endIds(config.raw, config.raw, undefined)
      if (config.num_hidden_layers < 100) shapes(config)
      return name
    },
  },
  {
    name: 'adapter',
    weight: 2,
    isText: true,
    make: changedText(adapters, [
      '.*',
      '(a+)+$',
      'q_proj',
      'all-linear',
      'LORA',
      '[',
      '\\d+',
      'model\\.layers\\.0\\..*',
    ]),
    run: (input) => {
      const { targets } = parseAdapter(jsonOf(input as string, { file: 'a' }), new Map(), architecture, base, 'a')
      if (targets.size > loraModules(architecture, base).size) throw new Error('more targets than modules')
    },
  },
  {
    name: 'hub',
    weight: 1,
    isText: true,
    make: (r) =>
      r.once(2)
        ? `---\n${soup(cardWords, 30, r)}\n---\n`
        : Buffer.from(mutated(Buffer.from(card), [Buffer.from(card)], cardWords, r)).toString(),
    run: (input) => {
      const configs = cardConfigs(input as string)
      for (const { config_name } of configs.slice(0, 2))
        splitFiles('x', paths, configs, { split: 'train', config: config_name })
      return splitFiles('x', paths, configs, { split: 'train' }).length
    },
  },
  {
    name: 'glob',
    weight: 6,
    isText: true,
    make: (r) => soup(globWords, 12, r),
    run: (input) => {
      const glob = input as string
      if (!/[*?[\]]/.test(glob) && !globMatches(glob, glob)) throw new Error('a plain path that does not match itself')
      for (const path of paths) globMatches(glob, path)
    },
  },
]
