/**
 * Checks every ONNX program that attune makes with onnx.checker: `npm run check:onnx -- --peer PYTHON [--keep DIR]`.
 * PYTHON has the `onnx` package. The programs come from training, scoring and generating with tiny models; DIR keeps them.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'

const here = dirname(new URL(import.meta.url).pathname)
const models = join(here, '..', 'test', 'fixtures', 'models')
const { values: flags } = parseArgs({ options: { peer: { type: 'string' }, keep: { type: 'string' } } })
if (!flags.peer) throw new Error('--peer PYTHON names a Python with the onnx package')

const work = mkdtempSync(join(tmpdir(), 'attune-onnx-'))
const dump = flags.keep ?? join(work, 'programs')
mkdirSync(dump, { recursive: true })

/** Token ids within the smallest vocabulary. */
const ids = (from, length) => Array.from({ length }, (_, i) => 3 + ((from + 7 * i) % 90))
const data = (name, rows) => {
  writeFileSync(join(work, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  return ['--data', join(work, name)]
}
const prompt = { prompt_input_ids: ids(1, 4) }
const texts = data('texts.jsonl', [{ input_ids: ids(1, 12) }, { input_ids: ids(2, 7) }])
const pairs = data('pairs.jsonl', [{ ...prompt, chosen_input_ids: ids(3, 5), rejected_input_ids: ids(4, 6) }])
const thumbs = data('thumbs.jsonl', [
  { ...prompt, completion_input_ids: ids(3, 5), label: true },
  { ...prompt, completion_input_ids: ids(4, 6), label: false },
])
const once = ['--max-steps', '1', '--learning-rate', '1e-3', '--threads', '1']
const lora = ['--lora-r', '2', '--lora-dropout', '0.1']

let count = 0
const attune = (method, model, ...args) => {
  const output = ['sft', 'dpo', 'kto'].includes(method) ? [...once, '--output', join(work, `run${count++}`)] : ['--json']
  const given = [method, '--model', join(models, model), ...args.flat(), ...output]
  const env = { ...process.env, ONNX_DUMP: dump, ATTUNE_CACHE: join(work, 'cache') }
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--import', join(here, 'onnxDump.mjs'), join(here, '..', 'bin', 'attune.js'), ...given],
    { env, encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`attune ${given.join(' ')}: ${stderr}`)
}

try {
  for (const model of ['llama-tied', 'gpt2']) {
    attune('sft', model, texts)
    attune('sft', model, texts, lora, '--memory', 'low', '--loss', 'dft', '--optimizer', 'rmsprop')
    attune('dpo', model, pairs, lora, '--memory', 'fast')
    attune('dpo', model, pairs, '--loss', 'simpo:1,orpo:0.5')
    attune('dpo', model, pairs, '--loss', 'sigmoid', '--f-divergence', 'js_divergence')
    attune('dpo', model, pairs, '--loss', 'exo_pair:1,bco_pair:0.5,aot:1,discopop:0.1,robust:1', '--label-smoothing', '0.1', '--ld-alpha', '0.5')
    attune('dpo', model, pairs, '--loss', 'plackett-luce', '--wpo', '--optimizer', 'sgd')
    attune('kto', model, thumbs, '--batch-size', '2')
    attune('score', model, texts)
    attune('generate', model, texts, '--max-new-tokens', '3')
  }
  for (const model of ['llama-gqa-untied', 'llama-rope-scaled', 'mistral-sliding', 'qwen2', 'qwen3', 'smollm3', 'gemma2', 'gemma3', 'phi3'])
    attune('sft', model, texts)
  const { status } = spawnSync(flags.peer, [join(here, 'checkOnnx.py'), dump], { stdio: 'inherit' })
  process.exitCode = status ?? 1
} finally {
  rmSync(work, { recursive: true })
}
