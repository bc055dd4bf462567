/**
 * Runs one QLoRA DPO step on a model of Mistral-7B's shape: `npm run check:7b -- [--quantize nf4] [--work FOLDER] [--layers 32] [--threads N]`.
 * Writes a sharded bf16 checkpoint of random weights (14.5 GB, deleted at the end), runs `attune dpo --quantize` on it through
 * the command line, and prints seconds and peak memory.
 */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { availableParallelism, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseConfig } from '../dist/models/config.js'
import { mistral } from '../dist/models/llama.js'
import { fillNormal } from '../dist/util/rng.js'

const { values: options } = parseArgs({
  options: {
    quantize: { type: 'string', default: 'nf4' },
    work: { type: 'string', default: tmpdir() },
    layers: { type: 'string', default: '32' },
    threads: { type: 'string', default: String(availableParallelism()) },
  },
})

/** Mistral-7B-v0.1. */
const config = {
  architectures: ['MistralForCausalLM'],
  model_type: 'mistral',
  vocab_size: 32_000,
  hidden_size: 4096,
  intermediate_size: 14_336,
  num_hidden_layers: Number(options.layers),
  num_attention_heads: 32,
  num_key_value_heads: 8,
  head_dim: 128,
  max_position_embeddings: 32_768,
  sliding_window: 4096,
  rms_norm_eps: 1e-5,
  rope_theta: 10_000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  initializer_range: 0.02,
  bos_token_id: 1,
  eos_token_id: 2,
}

/** bf16 bits of normal weights. Each tensor is a window of this pool, starting at another place. */
const normalPool = () => {
  const values = new Float32Array(2 ** 24)
  fillNormal(values, { seed: 7, stream: 0, substream: 0 }, config.initializer_range)
  const bits = new Uint32Array(values.buffer)
  return Uint16Array.from(bits, (u) => u >>> 16)
}

const shardOf = (name) => /layers\.(\d+)\./.exec(name)?.[1] ?? 'outer'

/** Writes one safetensors file per layer and one for the other weights. Tensors are written in pieces, to save memory. */
const writeModel = (folder) => {
  const pool = normalPool()
  const shapes = [...mistral.shapes(parseConfig(config, 'config.json'))]
  const shards = grouped(shapes)
  const weight_map = {}
  let start = 0
  for (const [shard, entries] of shards) {
    const file = `model-${shard.padStart(5, '0')}.safetensors`
    let at = 0
    const header = {}
    for (const [name, shape] of entries) {
      const bytes = 2 * shape.reduce((a, b) => a * b, 1)
      header[name] = { dtype: 'BF16', shape, data_offsets: [at, (at += bytes)] }
      weight_map[name] = file
    }
    const text = Buffer.from(JSON.stringify(header))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(text.length))
    const out = openSync(join(folder, file), 'w')
    writeSync(out, length)
    writeSync(out, text)
    for (const [, shape] of entries) {
      if (shape.length === 1) writeSync(out, new Uint16Array(shape[0]).fill(0x3f80))
      else start = writeWindow(out, pool, start, shape[0] * shape[1])
    }
    closeSync(out)
  }
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map }))
}

const grouped = (shapes) => {
  const shards = new Map()
  for (const entry of shapes) shards.set(shardOf(entry[0]), [...(shards.get(shardOf(entry[0])) ?? []), entry])
  return shards
}

/** Writes a tensor from the pool. @returns where the next tensor starts in the pool */
const writeWindow = (out, pool, start, count) => {
  for (let left = count; left > 0; ) {
    const part = pool.subarray(start, Math.min(pool.length, start + left))
    writeSync(out, part)
    left -= part.length
    start = (start + part.length) % pool.length
  }
  return (start + 1_000_003) % pool.length
}

const ids = (length, seed) => Array.from({ length }, (_, i) => (Math.imul(i + 1, 2_654_435_761 + seed * 40_503) >>> 8) % config.vocab_size)

const row = { prompt_input_ids: ids(64, 1), chosen_input_ids: ids(64, 2), rejected_input_ids: ids(64, 3) }

/** Runs a command; @returns its lines of JSON, seconds, and the peak of its resident memory */
const run = (args) =>
  new Promise((resolve, reject) => {
    const from = performance.now()
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    let peak = 0
    child.stdout.on('data', (chunk) => {
      text += chunk
    })
    const timer = setInterval(() => {
      try {
        const line = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))
        peak = Math.max(peak, Number(line?.[1] ?? 0) * 1024)
      } catch {
        // Without /proc the peak that the run reports is used
      }
    }, 200)
    child.on('exit', (code) => {
      clearInterval(timer)
      if (code !== 0) return reject(new Error(`attune dpo ended with code ${code}`))
      const events = text.split('\n').filter(Boolean).map((line) => JSON.parse(line))
      resolve({ events, peak, seconds: (performance.now() - from) / 1000 })
    })
  })

const work = mkdtempSync(join(options.work, 'attune-7b-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true }))
const model = join(work, 'model')
mkdirSync(model)
console.log(`writing ${config.num_hidden_layers} layers of Mistral-7B's shape, bf16, random, into ${work}`)
writeModel(model)
writeFileSync(join(work, 'pairs.jsonl'), `${JSON.stringify(row)}\n`)
const cli = join(dirname(new URL(import.meta.url).pathname), '..', 'bin', 'attune.js')
const { events, peak, seconds } = await run([
  cli,
  'dpo',
  ...['--model', model, '--data', join(work, 'pairs.jsonl'), '--quantize', options.quantize, '--memory', 'low'],
  ...['--lora-r', '16', '--max-steps', '1', '--batch-size', '1', '--learning-rate', '1e-5', '--threads', options.threads],
  ...['--output', join(work, 'run'), '--json'],
])
const start = events.find(({ event }) => event === 'start')
const step = events.find(({ event }) => event === 'step')
const end = events.find(({ event }) => event === 'end')
const GiB = (bytes) => (bytes / 2 ** 30).toFixed(1)
console.log(`${options.quantize}: ${start.parameters} parameters, ${start.trainable} trained, ${step.num_tokens} tokens, plan ${start.plan}`)
console.log(`loss ${step.loss}, grad_norm ${step.grad_norm}, step ${step.seconds?.toFixed(1)} s, whole command ${seconds.toFixed(0)} s`)
console.log(`peak memory ${GiB(Math.max(peak, end.peak_memory))} GiB of this machine's ${GiB(totalmem())}`)
