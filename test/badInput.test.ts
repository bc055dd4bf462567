/**
 * Bad input to a training command is reported before the run starts, with one message, exit code 2 and no run folder.
 * The command line runs inside this process; two cases run as a process of their own.
 */
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fixture } from './support/golden.ts'
import { commandLine } from './support/inProcess.ts'
import { errorOf, hh, start, stories } from './support/runs.ts'

const root = mkdtempSync(join(tmpdir(), 'attune-bad-'))
const at = (name: string) => join(root, name)
const output = at('parent/run')
const attune = commandLine(at('cache'))
afterAll(() => rmSync(root, { recursive: true }))

/** Writes a file. @returns its path */
const file = (name: string, content: string | Uint8Array) => {
  writeFileSync(at(name), content)
  return at(name)
}
const lines = (...rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('')
/** A copy of the stories model with some files replaced; undefined removes one. */
const model = (name: string, files: Record<string, string | Uint8Array | undefined>) => {
  cpSync(stories, at(name), { recursive: true })
  for (const [path, content] of Object.entries(files))
    if (content === undefined) rmSync(at(`${name}/${path}`))
    else writeFileSync(at(`${name}/${path}`), content)
  return at(name)
}
const config = (changes: object) =>
  JSON.stringify({ ...JSON.parse(readFileSync(join(stories, 'config.json'), 'utf8')), ...changes })
const hostile = (name: string) => readFileSync(fixture(`checkpoint/${name}`))
const pair = { prompt: 'Once', chosen: ' upon a time', rejected: ' more' }

type Flags = Record<string, string | undefined>
/** What is wrong, the command, its flags besides --model, --data and --output, and the expected message. */
const cases: [string, 'sft' | 'dpo' | 'kto', () => Flags, RegExp][] = [
  // the model
  [
    'a model folder that does not exist',
    'dpo',
    () => ({ model: `${stories}X` }),
    /stories260KX: .*did you mean \S+stories260K\?/,
  ],
  [
    'a model folder without config.json',
    'dpo',
    () => ({ model: model('a', { 'config.json': undefined }) }),
    /\/a: holds no config\.json/,
  ],
  [
    'a config.json that is not valid JSON',
    'dpo',
    () => ({ model: model('b', { 'config.json': '{"a":' }) }),
    /b\/config\.json, line 1: is not valid JSON/,
  ],
  [
    'an unknown architecture',
    'dpo',
    () => ({
      model: model('c', { 'config.json': config({ architectures: ['MambaForCausalLM'], model_type: 'mamba' }) }),
    }),
    /c\/config\.json: "MambaForCausalLM" is not supported; attune knows LlamaForCausalLM/,
  ],
  [
    'a config.json whose sizes do not fit the weights',
    'dpo',
    () => ({ model: model('d', { 'config.json': config({ intermediate_size: 176 }) }) }),
    /\/d.*mlp\.\w+_proj\.weight.*172.*176|\/d.*176.*172/,
  ],
  [
    'a model folder without weights',
    'dpo',
    () => ({ model: model('e', { 'model.safetensors': undefined }) }),
    /\/e: holds no weights/,
  ],
  [
    'truncated weights',
    'dpo',
    () => ({
      model: model('f', { 'model.safetensors': readFileSync(join(stories, 'model.safetensors')).subarray(0, 500_000) }),
    }),
    /f\/model\.safetensors, byte \d+: tensor "\S+" ends at \d+ of \d+ data bytes; .*truncated/,
  ],
  [
    'a safetensors header of 9 EB',
    'dpo',
    () => ({ model: model('g', { 'model.safetensors': hostile('safetensors/bad-header-huge.safetensors') }) }),
    /g\/model\.safetensors, byte 0: a header of 9223372036854775808 bytes/,
  ],
  [
    'tensors that overlap',
    'dpo',
    () => ({ model: model('h', { 'model.safetensors': hostile('safetensors/bad-overlap.safetensors') }) }),
    /h\/model\.safetensors, byte 140: tensor "b" overlaps/,
  ],
  [
    'a pickle that calls os.system',
    'dpo',
    () => ({
      model: model('i', {
        'model.safetensors': undefined,
        'pytorch_model.bin': hostile('pickle/bad-global-os-system.bin'),
      }),
    }),
    /i\/pytorch_model\.bin, byte \d+: the global "os\.system" is forbidden/,
  ],
  [
    'an adapter as a model, whose base is not there',
    'dpo',
    () => ({
      model: model('alone', {
        'config.json': undefined,
        'model.safetensors': undefined,
        'adapter_config.json': '{"base_model_name_or_path": "./gone/base"}',
        'adapter_model.safetensors': '',
      }),
    }),
    /alone: is a PEFT adapter of the base model ".\/gone\/base", which cannot be opened .*--adapter/,
  ],
  [
    'an adapter of another model',
    'dpo',
    () => ({ adapter: fixture('models/lora-qv') }),
    /lora-qv: .*made for another model/,
  ],
  ['a model as an adapter', 'dpo', () => ({ adapter: stories }), /stories260K: holds no adapter_config\.json/],
  // the tokenizer
  [
    'a truncated tokenizer.json',
    'sft',
    () => ({ model: model('j', { 'tokenizer.json': '{"version":' }) }),
    /j\/tokenizer\.json, line 1: is not valid JSON/,
  ],
  [
    'a tokenizer whose ids exceed the vocabulary of the model',
    'sft',
    () => {
      cpSync(fixture('models/llama-tied'), at('k'), { recursive: true })
      for (const name of ['tokenizer.json', 'tokenizer_config.json']) copyFileSync(join(stories, name), at(`k/${name}`))
      return { model: at('k') }
    },
    /hh-excerpt\.jsonl\.gz, line 1, row 0: the tokenizer gives this row the id \d{3}, but the model's ids end at 127; the tokenizer is another model's/,
  ],
  [
    'text rows for a model without a tokenizer',
    'dpo',
    () => ({ model: fixture('models/llama-tied') }),
    /hh-excerpt\.jsonl\.gz, line 1, row 0: holds text, and \S+llama-tied has no tokenizer\.json/,
  ],
  // the rows
  [
    'a data file that does not exist',
    'dpo',
    () => ({ data: at('training-data.jsonl') }),
    /training-data\.jsonl: cannot be read \(ENOENT\); check the path/,
  ],
  ['a data file without rows', 'dpo', () => ({ data: file('empty.jsonl', '') }), /empty\.jsonl: holds no rows/],
  [
    'a truncated last row',
    'dpo',
    () => ({ data: file('half.jsonl', `${lines(pair)}{"prompt":`) }),
    /half\.jsonl, line 2, row 1: is not valid JSON/,
  ],
  [
    'a number in a text column',
    'dpo',
    () => ({ data: file('number.jsonl', lines(pair, { ...pair, chosen: 3 })) }),
    /number\.jsonl, line 2, row 1, column "chosen": must be text.*not number/,
  ],
  [
    'text rows for kto',
    'kto',
    () => ({ data: file('text.jsonl', lines({ text: 'a' })) }),
    /rows of the kind "text" cannot be read as unpaired/,
  ],
  [
    'a .gz file that is not gzip',
    'dpo',
    () => ({ data: file('no.jsonl.gz', lines(pair)) }),
    /no\.jsonl\.gz: is damaged or cut off/,
  ],
  [
    'a .parquet file that is not parquet',
    'dpo',
    () => ({ data: file('no.parquet', lines(pair)) }),
    /no\.parquet: cannot be read/,
  ],
  [
    'a token id beyond the vocabulary',
    'sft',
    () => ({ data: file('ids.jsonl', lines({ input_ids: [1, 2] }, { input_ids: [1, 512] })) }),
    /ids\.jsonl, line 2, row 1: holds the token id 512, but the model's ids end at 511/,
  ],
  [
    'a token id beyond the vocabulary, in --eval-data',
    'dpo',
    () => ({ 'eval-data': file('evalids.jsonl', lines({ prompt: [1], chosen: [2], rejected: [900] })) }),
    /evalids\.jsonl, line 1, row 0: holds the token id 900/,
  ],
  [
    'rows that all exceed --max-length',
    'dpo',
    () => ({ 'max-length': '2' }),
    /no row is left \(no-reply-left: \d+\); raise --max-length/,
  ],
  [
    'conversations without a chat template',
    'sft',
    () => ({
      data: file(
        'chat.jsonl',
        lines({
          messages: [
            { role: 'user', content: 'a' },
            { role: 'assistant', content: 'b' },
          ],
        }),
      ),
    }),
    /no chat template/,
  ],
  // the output
  [
    'an --output folder that is not empty',
    'dpo',
    () => ({ output: model('l', {}) }),
    /\/l: holds \S+ and is no run; choose another --output/,
  ],
  ['an --output that is a file', 'dpo', () => ({ output: file('m', '') }), /\/m: is a file, or below one/],
  ['an --output below a file', 'dpo', () => ({ output: `${file('n', '')}/run` }), /n\/run: is a file, or below one/],
  ['an --output that cannot be created', 'dpo', () => ({ output: '/proc/run' }), /\/proc\/run: /],
  // flags
  [
    'an unknown flag',
    'dpo',
    () => ({ 'lerning-rate': '1' }),
    /--lerning-rate: is not a flag of attune dpo; did you mean --learning-rate\?/,
  ],
  [
    'an unknown choice of a flag',
    'dpo',
    () => ({ optimizer: 'adan' }),
    /--optimizer: "adan" is none of .*did you mean adam\?/,
  ],
  [
    'quantized weights without LoRA',
    'sft',
    () => ({ quantize: 'int4' }),
    /--quantize: int4 weights cannot be trained; add --lora-r/,
  ],
  [
    'an unknown module in --lora-target',
    'dpo',
    () => ({ 'lora-r': '4', 'lora-target': 'query' }),
    /no module "query"; it has q_proj/,
  ],
  [
    '--device cuda without CUDA',
    'dpo',
    () => ({ device: 'cuda' }),
    /--device: cuda needs .* CUDA library of onnxruntime.*use --device cpu/,
  ],
]

/** Cases that do not fail on this machine. */
const skipped = (what: string) =>
  (what === 'an --output that cannot be created' && process.platform !== 'linux') ||
  (what === '--device cuda without CUDA' &&
    existsSync(
      new URL(
        '../node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime_providers_cuda.so',
        import.meta.url,
      ),
    ))

const given = (flags: Flags) => {
  const all: Flags = {
    model: stories,
    data: hh,
    output,
    'max-length': '64',
    'max-samples': '8',
    threads: '1',
    ...flags,
  }
  return Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]))
}

describe('bad input is one error with exit code 2, and no run folder is made', () => {
  it.each(cases.filter(([what]) => !skipped(what)))('%s', async (_, command, flags, message) => {
    const made = flags()
    const before = readdirSync(root)
    const { code, errors } = await attune([command, ...given(made)])
    expect(errors).toEqual([expect.stringMatching(message)])
    expect(code).toBe(2)
    expect(readdirSync(root)).toEqual(before)
  })

  it.each([
    ['an unknown flag', { 'lerning-rate': '1' }, /did you mean --learning-rate/],
    [
      'a token id beyond the vocabulary',
      { data: file('ids2.jsonl', lines({ prompt: [1], chosen: [2], rejected: [900] })) },
      /id 900/,
    ],
  ])('%s, as a process', async (_, flags, message) => {
    const ended = await start(['dpo', ...given(flags)], { cache: at('cache') })
    expect(errorOf(ended)).toEqual([expect.stringMatching(message)])
    expect([ended.code, ended.stdout, existsSync(at('parent'))]).toEqual([2, '', false])
  })
})

describe('a folder with a run is refused and left unchanged', () => {
  const run = at('run')
  const resume = (flags: Flags = {}) => attune(['sft', ...given({ output: run, ...flags }), '--resume'])
  beforeAll(async () => {
    file('own.jsonl', lines({ text: 'Once upon a time' }, { text: 'The end' }))
    const argv = given({ output: run, data: at('own.jsonl'), 'max-steps': '1' })
    expect(await attune(['sft', ...argv])).toEqual({ code: undefined, errors: [] })
  })
  const own = { data: at('own.jsonl'), 'max-steps': '2' }

  it.each<[string, () => ReturnType<typeof attune>, RegExp]>([
    [
      'by a new run',
      () => attune(['sft', ...given({ output: run })]),
      /run: already holds a run \(sft\); go on with --resume, choose another --output, or remove it/,
    ],
    [
      'by --resume with another method',
      () => attune(['dpo', ...given({ output: run }), '--resume']),
      /run: holds a run of sft, not dpo/,
    ],
    [
      'by --resume with other settings',
      () => resume({ ...own, seed: '3' }),
      /--seed: was 42 in the run that is resumed and is 3 now/,
    ],
    [
      'by --resume where there is no run',
      () => attune(['sft', '--output', at('nothing'), '--resume']),
      /nothing: is not a run folder/,
    ],
    [
      'by --resume after a data file changed',
      () => {
        file('own.jsonl', lines({ text: 'Once upon a time' }, { text: 'Another end' }))
        return resume(own)
      },
      /own\.jsonl: is not what it was when the run began; put it back, or begin a new run/,
    ],
  ])('%s', async (_, call, message) => {
    const log = readFileSync(join(run, 'events.jsonl'), 'utf8')
    const { code, errors } = await call()
    expect(errors).toEqual([expect.stringMatching(message)])
    expect(code).toBe(2)
    expect(readFileSync(join(run, 'events.jsonl'), 'utf8')).toBe(log)
    expect(existsSync(at('nothing'))).toBe(false)
  })
})

it('rows that are too long are truncated or dropped, with a warning that counts them', async () => {
  const ids = (n: number) => Array.from({ length: n }, (_, i) => 3 + (i % 500))
  const rows = [ids(20), ids(600), ids(700)].map((chosen) => ({ prompt: [1, 2], chosen, rejected: [5, 6] }))
  const data = file('long.jsonl', lines(...rows, { prompt: ids(600), chosen: [7], rejected: [8] }))
  // The model has 512 positions, fewer than --max-length
  const argv = ['dpo', ...given({ data, output: at('long'), 'max-length': '1024', epochs: '1' }), '--json']
  const ended = await start(argv, { cache: at('cache') })
  expect(ended.code, ended.stderr).toBe(0)
  const warnings = ended.stdout.split('\n').filter((line) => line.includes('"warning"'))
  expect(warnings.map((line) => JSON.parse(line))).toMatchObject([
    { code: 'epoch-below-step' },
    { code: 'truncated', count: 2 },
    { code: 'no-reply-left', count: 1 },
  ])
})
