/**
 * The tables of docs/models.md: `node docs/memory.mjs` (after `npm run build`) works out how much memory training takes for models of
 * usual shapes, and writes what fits in 8, 16 and 32 GB. No weights are needed. `node docs/memory.mjs --speed MODEL` times generation and
 * LoRA of a model through the command line instead (on a quiet machine, minutes) and fills that table: MODEL is a folder with a chat model.
 *
 * Counted are the weights (fp32, or rounded as `--quantize` stores them), of what is trained also gradients and AdamW's two moments, what the
 * plan `low` keeps of a row of 1,024 tokens between forward and backward pass (`keptBytes`, as `--memory auto` counts it), three
 * layers' working memory, a tile of the head, and the process itself.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseConfig } from '../dist/models/config.js'
import { architectureOf } from '../dist/models/registry.js'
import { makeModel } from '../dist/passes/model.js'
import { linearWeights } from '../dist/passes/quantize.js'
import { keptBytes } from '../dist/passes/stack.js'
import { quantization, storedShapes } from '../dist/tensor/quantization.js'

const root = join(import.meta.dirname, '..')
const page = join(root, 'docs', 'models.md')
const { values: flags } = parseArgs({ options: { speed: { type: 'string' } } })

const llama = (sizes) => ({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_act: 'silu',
  rms_norm_eps: 1e-5,
  max_position_embeddings: 8192,
  rope_theta: 1e5,
  tie_word_embeddings: true,
  ...sizes,
})
const shape = (
  hidden_size,
  intermediate_size,
  num_hidden_layers,
  num_attention_heads,
  num_key_value_heads,
  vocab_size,
) => ({ hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, vocab_size })

/** Shapes of public models, by the sizes in their config.json. */
const models = {
  'SmolLM2-135M': llama(shape(576, 1536, 30, 9, 3, 49_152)),
  'Qwen2.5-0.5B': {
    ...llama(shape(896, 4864, 24, 14, 2, 151_936)),
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
  },
  'SmolLM2-1.7B': llama(shape(2048, 8192, 24, 32, 32, 49_152)),
  'Llama-3.2-3B': llama({ ...shape(3072, 8192, 28, 24, 8, 128_256), head_dim: 128 }),
  'Llama-3.1-8B': llama({ ...shape(4096, 14_336, 32, 32, 8, 128_256), tie_word_embeddings: false }),
  'Granite-3.1-1B-A400M': {
    ...llama(shape(1024, 512, 24, 16, 8, 49_155)),
    architectures: ['GraniteMoeForCausalLM'],
    model_type: 'granitemoe',
    num_local_experts: 32,
    num_experts_per_tok: 8,
    attention_multiplier: 1,
    embedding_multiplier: 1,
    residual_multiplier: 1,
    logits_scaling: 1,
  },
  'gpt-oss-20b': {
    ...llama(shape(2880, 2880, 24, 64, 8, 201_088)),
    architectures: ['GptOssForCausalLM'],
    model_type: 'gpt_oss',
    head_dim: 64,
    attention_bias: true,
    num_local_experts: 32,
    num_experts_per_tok: 4,
    sliding_window: 128,
    tie_word_embeddings: false,
    rope_theta: null,
    rope_parameters: { rope_type: 'default', rope_theta: 1e5 },
  },
  'Qwen3-30B-A3B': {
    ...llama(shape(2048, 6144, 48, 32, 4, 151_936)),
    architectures: ['Qwen3MoeForCausalLM'],
    model_type: 'qwen3_moe',
    head_dim: 128,
    num_experts: 128,
    num_experts_per_tok: 8,
    moe_intermediate_size: 768,
    tie_word_embeddings: false,
  },
}

const tokens = 1024
const rank = 16
/** Of Node, ONNX Runtime and a tokenizer. */
const processBytes = 300e6

const size = (dims) => dims.reduce((a, b) => a * b, 1)
const total = (shapes) => shapes.reduce((sum, dims) => sum + size(dims), 0)

/** Bytes of training with `plan`: all weights, or LoRA of rank `r` on weights in `format`. @param B texts of T tokens in a batch */
const bytesOf = (raw, { lora, format = 'none', plan = 'low', r = rank, only = '', B = 1, T = tokens }) => {
  const config = parseConfig(raw, 'config.json')
  const architecture = architectureOf(config, 'config.json')
  const shapes = architecture.shapes(config)
  const linears = linearWeights(architecture, config)
  const rounded = ([name, dims]) => {
    if (format === 'none' || !linears.has(name)) return 4 * size(dims)
    const { codes, scales } = storedShapes(quantization(format, dims))
    return size(codes) + 4 * size(scales)
  }
  const frozen = [...shapes].reduce((sum, entry) => sum + rounded(entry), 0)
  const handle = (dims) => ({ id: 0, shape: dims, dtype: 'f32' })
  const params = new Map([...shapes].map(([name, dims]) => [name, handle(dims)]))
  const [scalings, gradients] = [new Map(), new Map()]
  let trained = 0
  if (lora)
    for (const name of linears) {
      // the experts of a mixture stay as they are
      if (!name.includes(architecture.experts ? 'self_attn' : '') || !new RegExp(only).test(name)) continue
      const [module, [out, inner]] = [name.slice(0, -'.weight'.length), shapes.get(name)]
      for (const [end, dims] of [
        ['A', [r, inner]],
        ['B', [out, r]],
      ]) {
        params.set(`${module}.lora_${end}.weight`, handle(dims))
        gradients.set(`${module}.lora_${end}.weight`, handle(dims))
        trained += size(dims)
      }
      scalings.set(module, 2)
    }
  else
    for (const [name, dims] of shapes) {
      gradients.set(name, handle(dims))
      trained += size(dims)
    }
  const model = makeModel({
    architecture,
    config,
    params,
    scalings,
    backend: { load: (program) => ({ id: 0, program }) },
  })
  const sizes = { N: B * T, B, T }
  const kept = keptBytes(model, plan, gradients, sizes)
  const working = (3 * keptBytes(model, 'fast', gradients, sizes)) / config.num_hidden_layers
  const head = 2 * 4 * 256 * config.vocab_size
  const adapter = lora ? 4 * trained : 0
  return {
    parameters: total([...shapes.values()]),
    bytes: frozen + adapter + 12 * trained + kept + working + head + processBytes,
  }
}

const ways = {
  'all weights': { lora: false },
  LoRA: { lora: true },
  'LoRA, int8': { lora: true, format: 'int8' },
  'LoRA, nf4': { lora: true, format: 'nf4' },
}

const row = (cells) => `| ${cells.join(' | ')} |`
const gigabytes = (bytes) => (bytes / 1e9).toFixed(bytes < 1e10 ? 1 : 0)

/** Peaks measured on SmolLM2-135M (docs/benchmarks.md), in GB. */
const measured = [
  [
    'LoRA r 32 on queries and values, 4 x 256, `--memory fast`',
    1.3,
    { lora: true, r: 32, only: '[qv]_proj', plan: 'fast' },
  ],
  ['the same, `--memory low`', 0.9, { lora: true, r: 32, only: '[qv]_proj' }],
  ['all weights, 4 x 256, `--memory fast`', 4.0, { lora: false, plan: 'fast' }],
]

const memoryTables = () => {
  const lines = [
    row(['model', 'weights', ...Object.keys(ways)]),
    row(['---', '---', ...Object.keys(ways).map(() => '---')]),
  ]
  const found = Object.entries(models).map(([name, raw]) => ({
    name,
    results: Object.values(ways).map((way) => bytesOf(raw, way)),
  }))
  for (const { name, results } of found)
    lines.push(
      row([name, `${gigabytes(results[0].parameters)} B`, ...results.map(({ bytes }) => `${gigabytes(bytes)} GB`)]),
    )
  lines.push('', row(['memory', ...Object.keys(ways)]), row(['---', ...Object.keys(ways).map(() => '---')]))
  for (const memory of [8, 16, 32]) {
    // a quarter is for the system and other programs
    const fits = (i) => found.filter(({ results }) => results[i].bytes <= 0.75 * memory * 1e9).map(({ name }) => name)
    lines.push(row([`${memory} GB`, ...Object.keys(ways).map((_, i) => fits(i).join(', ') || 'none')]))
  }
  lines.push('', row(['SmolLM2-135M', 'worked out', 'measured']), row(['---', '---', '---']))
  for (const [what, peak, way] of measured)
    lines.push(
      row([
        what,
        `${gigabytes(bytesOf(models['SmolLM2-135M'], { ...way, B: 4, T: 256 }).bytes)} GB`,
        `${peak.toFixed(1)} GB`,
      ]),
    )
  return lines.join('\n')
}

// ---- speed -----------------------------------------------------------------------------------------------------------

const attune = (...args) => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(root, 'bin', 'attune.js'), ...args, '--json'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  if (status !== 0) throw new Error(stderr)
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

const speedTable = (model) => {
  const work = mkdtempSync(join(tmpdir(), 'attune-speed-'))
  try {
    const lines = [row(['what', 'fp32', 'int8', 'int4']), row(['---', '---', '---', '---'])]
    const formats = ['none', 'int8', 'int4']
    const generated = formats.map((format) => {
      const perToken = (length) => {
        const begun = performance.now()
        const [{ ids }] = attune(
          'generate',
          '--model',
          model,
          '--quantize',
          format,
          '--prompt',
          'Once upon a time',
          '--max-new-tokens',
          String(length),
          '--temperature',
          '1',
          '--seed',
          '1',
        )
        return { seconds: (performance.now() - begun) / 1000, tokens: ids.length }
      }
      // the difference of two lengths leaves out what loading takes
      const pace = () => {
        const [short, long] = [perToken(32), perToken(288)]
        return (long.tokens - short.tokens) / (long.seconds - short.seconds)
      }
      return median([pace(), pace(), pace()]).toFixed(0)
    })
    lines.push(row(['generation, one at a time', ...generated]))
    const text = 'The harbour was quiet when the last ferry came in, and nobody was waiting on the road. '.repeat(60)
    const data = join(work, 'rows.jsonl')
    writeFileSync(
      data,
      `${Array.from({ length: 32 }, (_, i) => JSON.stringify({ text: `${i} ${text}` })).join('\n')}\n`,
    )
    const trained = formats.map((format) => {
      const events = attune(
        'sft',
        '--model',
        model,
        '--data',
        data,
        '--max-length',
        '256',
        '--batch-size',
        '4',
        '--lora-r',
        '32',
        '--lora-target',
        'q_proj,v_proj',
        '--quantize',
        format,
        '--max-steps',
        '8',
        '--output',
        join(work, format),
      )
      const steps = events.filter(({ event }) => event === 'step').slice(2)
      return (1024 / median(steps.map(({ seconds }) => seconds))).toFixed(0)
    })
    lines.push(row(['LoRA r 32 on queries and values, 4 x 256 tokens a step', ...trained]))
    return `${lines.join('\n')}\n\n${cpus()[0].model.trim()}, ${cpus().length} cores.`
  } finally {
    rmSync(work, { recursive: true })
  }
}

/** Puts a table between its marks in the page. */
const fill = (name, text) => {
  const marks = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(\n<!-- end of ${name} -->)`)
  const before = readFileSync(page, 'utf8')
  if (!marks.test(before)) throw new Error(`docs/models.md has no marks of ${name}`)
  writeFileSync(
    page,
    before.replace(marks, (_, start, end) => `${start}\n${text}\n${end}`),
  )
  console.log(text)
}

if (flags.speed) fill('speed', speedTable(flags.speed))
else fill('memory', memoryTables())
