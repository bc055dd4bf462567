/**
 * Plants five drifts in exports of a model, one at a time, and sees that `attune export --verify` refuses each:
 * `npm run check:drifts -- --model M [--gguf Q4_K_M] [--llama DIR] [--transformers-js DIR]`. M is a folder, a run or a GGUF file with a
 * tokenizer and a chat template; DIR is where node-llama-cpp or @huggingface/transformers is installed. Another end token, the beginning token
 * the other way, a space in the chat template, another pre-tokenizer, and a weight that is 5 % larger. Exit code 1 where one passes.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openGguf } from '../dist/checkpoint/ggufFile.js'
import { toGguf } from '../dist/checkpoint/ggufBlocks.js'
import { onnxWeights } from '../dist/onnx/weights.js'
import { fileSource } from '../dist/util/files.node.js'
import { readGgufHeader } from '../dist/util/ggufHeader.js'

const attune = join(import.meta.dirname, '..', 'bin', 'attune.js')
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string' },
    gguf: { type: 'string', default: 'Q4_K_M' },
    llama: { type: 'string' },
    'transformers-js': { type: 'string' },
  },
})
const work = mkdtempSync(join(tmpdir(), 'attune-drifts-'))

/** The checks that found something wrong, and the first line that says what. */
const verify = (output, engine) => {
  const args = [attune, 'export', '--model', flags.model, '--output', output, '--verify', '--engine', engine, '--json']
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  const line = stdout.split('\n').find((text) => text.includes('"checks"'))
  if (!line) throw new Error(stderr)
  const wrong = JSON.parse(line).checks.filter((check) => check.wrong.length)
  return { status, names: wrong.map(({ name }) => name).join(', '), first: wrong[0]?.wrong[0] ?? '' }
}

let passed = 0
const report = (program, drift, due, { status, names, first }) => {
  const good = due === undefined ? status === 0 : status === 1 && names.split(', ').includes(due)
  if (!good) passed++
  console.log(`| ${[program, drift, status, names || 'none', first.replaceAll('|', '\\|').slice(0, 110)].join(' | ')} |`)
}

/** A text of the template before its last part: it stands in every prompt. As long as before, since Jinja needs no space in its tags. */
const spaced = (template) => {
  const found = /\{% ?(-? ?if add_generation_prompt)/.exec(template)
  if (!found) throw new Error('the chat template has no {% if add_generation_prompt')
  return `${template.slice(0, found.index)} {%${found[1]}${template.slice(found.index + found[0].length)}`
}

/** For each pre-tokenizer of llama.cpp one that splits otherwise and has a name as long. */
const others = { 'gpt-2': 'qwen2', qwen2: 'gpt-2', smollm: 'tekken', tekken: 'smollm', 'llama-bpe': 'stablelm2' }

const ggufDrifts = async () => {
  const path = join(work, 'model.gguf')
  execFileSync(process.execPath, [attune, 'export', '--model', flags.model, '--gguf', flags.gguf, '--output', path])
  const sound = readFileSync(path)
  const { metadata, tensors } = await openGguf(await fileSource(path))
  const { entries, start } = await readGgufHeader(await fileSource(path))
  const behind = (key) => sound.indexOf(`tokenizer.ggml.${key}`) + `tokenizer.ggml.${key}`.length + 4
  const drifts = [
    ['another end token', 'end tokens', (copy) => copy.writeUInt32LE(copy.readUInt32LE(behind('eos_token_id')) + 1, behind('eos_token_id'))],
    ['the BOS flag the other way', 'beginning token', (copy) => (copy[behind('add_bos_token')] ^= 1)],
    ['a space in the template', 'chat template', (copy) => {
      const template = metadata.get('tokenizer.chat_template')
      copy.write(spaced(template), copy.indexOf(template))
    }],
    ['another pre-tokenizer', 'tokens', (copy) => copy.write(others[metadata.get('tokenizer.ggml.pre')], behind('pre') + 8)],
    ['a weight 5 % larger', 'weights', async (copy) => {
      const tensor = tensors.get('blk.1.ffn_down.weight')
      const type = tensor.blocks ?? tensor.dtype
      const larger = (await tensor.floats()).map((x) => 1.05 * x)
      copy.set(toGguf(type, larger, tensor.name), start + entries.find(({ name }) => name === tensor.name).offset)
    }],
  ]
  report('llama.cpp', 'none', undefined, verify(path, flags.llama))
  for (const [drift, due, plant] of drifts) {
    const copy = Buffer.from(sound)
    await plant(copy)
    writeFileSync(path, copy)
    report('llama.cpp', drift, due, verify(path, flags.llama))
  }
}

const onnxDrifts = async () => {
  const [sound, folder] = [join(work, 'sound'), join(work, 'model')]
  execFileSync(process.execPath, [attune, 'export', '--model', flags.model, '--onnx', '--output', sound])
  const change = (name, edit) => {
    const json = JSON.parse(readFileSync(join(folder, name), 'utf8'))
    edit(json)
    writeFileSync(join(folder, name), JSON.stringify(json))
  }
  const bos = ({ tokenizer, config }) => {
    const id = tokenizer.added_tokens.find(({ content }) => content === (config.bos_token.content ?? config.bos_token)).id
    return { id: config.bos_token, ids: [id], tokens: [config.bos_token] }
  }
  const drifts = [
    ['another end token', 'end tokens', () => change('generation_config.json', (json) => (json.eos_token_id = [json.eos_token_id].flat().map((id) => id + 1)))],
    ['a beginning token before prompts', 'beginning token', () => {
      const config = JSON.parse(readFileSync(join(folder, 'tokenizer_config.json'), 'utf8'))
      change('tokenizer.json', (tokenizer) => {
        const token = bos({ tokenizer, config })
        tokenizer.post_processor = {
          type: 'TemplateProcessing',
          single: [{ SpecialToken: { id: token.id, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
          pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
          special_tokens: { [token.id]: token },
        }
      })
    }],
    ['a space in the template', 'chat template', () => change('tokenizer_config.json', (json) => (json.chat_template = spaced(json.chat_template)))],
    ['another pre-tokenizer', 'tokens', () =>
      change('tokenizer.json', (json) => {
        const vowels = { type: 'Split', pattern: { Regex: '[aeiou]' }, behavior: 'Isolated', invert: false }
        json.pre_tokenizer = { type: 'Sequence', pretokenizers: [vowels, json.pre_tokenizer] }
      })],
    ['a weight 5 % larger', 'weights', async () => {
      const path = join(folder, 'onnx', 'model.onnx')
      const weight = (await onnxWeights(await fileSource(path), (name) => fileSource(join(folder, 'onnx', name)))).get('model.layers.1.mlp.down_proj.weight')
      const [values, copy] = [await weight.floats(), readFileSync(path)]
      copy.set(new Uint8Array(values.map((x) => 1.05 * x).buffer), copy.indexOf(new Uint8Array(values.slice(0, 64).buffer)))
      writeFileSync(path, copy)
    }],
  ]
  cpSync(sound, folder, { recursive: true })
  report('transformers.js', 'none', undefined, verify(folder, flags['transformers-js']))
  for (const [drift, due, plant] of drifts) {
    rmSync(folder, { recursive: true })
    cpSync(sound, folder, { recursive: true })
    await plant()
    report('transformers.js', drift, due, verify(folder, flags['transformers-js']))
  }
}

try {
  console.log('| program | drift | exit | found by | what it says |\n| --- | --- | --- | --- | --- |')
  if (flags.llama) await ggufDrifts()
  if (flags['transformers-js']) await onnxDrifts()
  process.exitCode = passed ? 1 : 0
} finally {
  rmSync(work, { recursive: true })
}
