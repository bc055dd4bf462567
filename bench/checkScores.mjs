/**
 * Compares reward models of every architecture with transformers and PEFT: `npm run check:scores -- --peer PYTHON [--only NAME]`.
 * PYTHON has transformers, PEFT and torch. attune trains each model with 1 and 10 outputs, full and with LoRA, and transformers
 * loads what was saved; transformers and PEFT write models of their own, and attune loads those. Scores of single texts and
 * of batches padded right and left are compared. A line shows the largest differences and the weights that did not fit.
 * 'texts' in the column "how": the saved tokenizer makes and pads the batch. 'refused': it has no padding token.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { reward } from '../dist/index.js'
import { parseConfig } from '../dist/models/config.js'
import { initWeights } from '../dist/models/init.js'
import { architectures, architectureOf } from '../dist/models/registry.js'
import { modelFiles } from '../dist/models/save.js'
import { scoresOf } from '../dist/passes/scores.js'
import { openMerged } from '../dist/publish/mergedModel.js'
import { writeModelFolder } from '../dist/publish/modelFolder.js'
import { openRewardModel } from '../dist/rewards/modelReward.js'
import { loadTokenizerFolder } from '../dist/text/tokenizer.node.js'

/** The largest difference allowed. Differences of fp32 arithmetic stay below 1e-5. */
const tolerance = 1e-4

const here = dirname(new URL(import.meta.url).pathname)
const fixtures = join(here, '..', 'test', 'fixtures', 'models')
const { values: flags } = parseArgs({ options: { peer: { type: 'string' }, only: { type: 'string' } } })
if (!flags.peer) throw new Error('--peer PYTHON names a Python with torch, transformers and peft')

const work = mkdtempSync(join(tmpdir(), 'attune-scores-'))

const folders = ['llama-gqa-untied', 'llama-tied', 'mistral-sliding', 'qwen2', 'qwen3', 'smollm3', 'gemma2', 'gemma3', 'phi3', 'gpt2']

/** Models that no fixture has, from a fixture's config, most of them in the spelling of transformers 4. */
const made = {
  gemma: ['gemma2/config.json', { architectures: ['GemmaForCausalLM'], model_type: 'gemma', layer_types: null, final_logit_softcapping: null, attn_logit_softcapping: null }],
  'llama-biased': ['llama-rope-scaled/config.v4.json', { attention_bias: true, mlp_bias: true }],
  'mistral-full': ['mistral-sliding/config.v4.json', { sliding_window: null }],
  'qwen2-sliding': ['qwen2/config.v4.json', { use_sliding_window: true, sliding_window: 5, max_window_layers: 1, layer_types: null }],
  'qwen3-old': ['qwen3/config.v4.json', {}],
  'smollm3-nope': ['smollm3/config.v4.json', { num_hidden_layers: 5, layer_types: null, no_rope_layers: null }],
  'gemma2-old': ['gemma2/config.v4.json', {}],
  'gemma3-long': ['gemma3/config.v4.json', { num_hidden_layers: 7, layer_types: null, rope_scaling: { rope_type: 'linear', factor: 8 } }],
  'phi3-sliding': ['phi3/config.v4.json', { sliding_window: 5 }],
  'gpt2-gelu': ['gpt2/config.json', { activation_function: 'gelu', n_inner: 40 }],
}

/** A folder written by attune. Its config.json has the keys of transformers 4 and 5, so that both load the same base model. */
const makeModel = async (name) => {
  const model = made[name] ? await freshModel(name) : await openMerged(join(fixtures, name))
  await writeModelFolder(join(work, name), modelFiles(model, 'F32'), { stem: 'model' })
  return join(work, name)
}

const freshModel = (name) => {
  const [source, changes] = made[name]
  const config = parseConfig({ ...JSON.parse(readFileSync(join(fixtures, source), 'utf8')), ...changes, initializer_range: 0.3 }, name)
  const architecture = architectureOf(config, name)
  return { architecture, config, params: initWeights(architecture, config, 7) }
}

/** Tokenizer fixtures, each with a small model that pads with its end-of-text id, as many models do. */
const textModels = { 'bpe-gpt2': 'gpt2', 'bpe-llama3': 'llama-gqa-untied', 'bpe-qwen': 'qwen2', 'bpe-smollm': 'smollm3', 'spm-gemma': 'gemma3', 'spm-llama2': 'phi3' }
const texts = ['Once upon a time, there was a little girl.', 'No.', "I'll say 'hello'; you're NOT 12345!"]

/** Trains a reward model on texts and scores texts with it through the command line. */
const trainedOnTexts = async (tokenizer, source) => {
  const [base, output, data] = ['base', 'run', 'texts.jsonl'].map((part) => join(work, `${tokenizer}-${part}`))
  const bundle = JSON.parse(gunzipSync(readFileSync(join(fixtures, '..', 'text', 'tokenizers', `${tokenizer}.json.gz`))))
  const write = (dir) => ['tokenizer.json', 'tokenizer_config.json'].forEach((part) => writeFileSync(join(dir, part), typeof bundle[part] === 'string' ? bundle[part] : JSON.stringify(bundle[part])))
  const alone = mkdtempSync(join(work, 'tokenizer-'))
  write(alone)
  const { eosId } = await loadTokenizerFolder(alone)
  made[tokenizer] = [`${source}/config.json`, { vocab_size: 1280, max_position_embeddings: 128, n_positions: 128, pad_token_id: eosId, eos_token_id: eosId }]
  await writeModelFolder(base, modelFiles(freshModel(tokenizer), 'F32'), { stem: 'model' })
  write(base)
  const pairs = [{ prompt: 'Say it. ', chosen: texts[0], rejected: texts[1] }, { prompt: 'Go on: ', chosen: texts[1], rejected: texts[2] }]
  for await (const _ of reward({ model: base, data: pairs, output, maxSteps: 2, batchSize: 2, learningRate: 0.03, device: 'cpu', threads: 1 }));
  writeFileSync(data, texts.map((text) => `${JSON.stringify({ text })}\n`).join(''))
  const { stdout } = spawnSync(process.execPath, [join(here, '..', 'bin', 'attune.js'), 'score', '--model', output, '--data', data, '--json', '--threads', '1'], { encoding: 'utf8' })
  const mine = stdout.trim().split('\n').map((line) => [JSON.parse(line).reward])
  return { name: `${source}, ${tokenizer}`, how: 'texts', labels: 1, dir: join(output, 'model'), mine }
}

/** Token ids within the smallest vocabulary, without the padding id. */
const ids = (from, length) => Array.from({ length }, (_, i) => 3 + ((from * 13 + 7 * i + i * i) % 90))
const rows = [ids(1, 14), ids(2, 6), ids(3, 9), ids(4, 1)]
const pairs = Array.from({ length: 4 }, (_, i) => ({ prompt_input_ids: ids(i, 4), chosen_input_ids: ids(i + 5, 5), rejected_input_ids: ids(i + 9, 7) }))

const scoresWith = async (options) => {
  const opened = await openRewardModel({ ...options, device: 'cpu', threads: 1, inProcess: true })
  try {
    return (await scoresOf(opened.model, rows.map((row) => ({ trunk: [], branches: [row] })))).flat()
  } finally {
    await opened.close()
  }
}

/** Trains two steps, far enough for the scores to differ, and saves. 'merged': with the adapter merged into the weights. */
const trained = async (name, base, how, labels) => {
  const output = join(work, `attune-${name}-${how}-${labels}`)
  const settings = { model: base, data: pairs, output, maxSteps: 2, batchSize: 2, learningRate: 0.03, device: 'cpu', threads: 1, ...(labels > 1 && { kind: 'probabilistic', numScores: labels }) }
  for await (const _ of reward({ ...settings, ...(how !== 'full' && { loraR: 2, loraDropout: 0 }) }));
  const mine = await scoresWith({ model: output })
  if (how === 'merged') await writeModelFolder(join(output, 'model'), modelFiles(await openMerged(output), 'F32'), { stem: 'model' })
  return { name, how, labels, dir: join(output, how === 'lora' ? 'adapter' : 'model'), base, mine }
}

const far = (a, b) => (a.length === b.length ? Math.max(...a.flat().map((x, i) => Math.abs(x - b.flat()[i]))) : Number.POSITIVE_INFINITY)
const row = (cells) => console.log(`| ${cells.join(' | ')} |`)

/** Prints a line of the table. @returns whether scores and weights agree */
const report = (who, { name, how, labels, misfits = [], error, ...their }, mine) => {
  if (error) row([who, name, how, labels, error])
  else {
    const answered = ['single', 'right', 'left'].filter((as) => their[as])
    const distances = answered.map((as) => far(their[as], mine))
    row([who, name, how, labels, Math.max(...mine.flat().map(Math.abs)).toFixed(2), ...distances.map((d) => d.toExponential(1)), ...Array(3 - answered.length).fill('refused'), misfits.join(', ') || 'none'])
    return distances.every((d) => d < tolerance) && !misfits.length
  }
  return false
}

/** How a model is saved, and its number of outputs. */
const kinds = [['full', 1], ['full', 10], ['lora', 1], ['lora', 10], ['merged', 1]]

const main = async () => {
  const names = [...folders, ...Object.keys(made)].filter((name) => !flags.only || name.includes(flags.only))
  const models = {}
  for (const name of names) models[name] = await makeModel(name)
  const shown = Object.values(models).map((dir) => JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')).architectures[0])
  const left = architectures.filter(({ name }) => !shown.includes(name)).map(({ name }) => name)
  if (left.length && !flags.only) throw new Error(`no model here has ${left.join(', ')}`)
  const saved = []
  for (const [name, base] of Object.entries(models))
    for (const [how, labels] of kinds) saved.push(await trained(name, base, how, labels))
  if (!flags.only) for (const [tokenizer, source] of Object.entries(textModels)) saved.push(await trainedOnTexts(tokenizer, source))
  writeFileSync(join(work, 'plan.json'), JSON.stringify({ pad: 0, rows, texts, models, saved }))
  const { status } = spawnSync(flags.peer, [join(here, 'checkScores.py'), work], { stdio: 'inherit' })
  if (status !== 0) throw new Error(`${flags.peer} ended with ${status}`)
  const { versions, read, written } = JSON.parse(readFileSync(join(work, 'theirs.json'), 'utf8'))
  console.log(JSON.stringify(versions))
  row(['written by', 'model', 'how', 'outputs', 'largest score', 'single', 'padded right', 'padded left', 'weights that did not fit'])
  row(Array(9).fill('---'))
  let failures = 0
  for (const their of read) failures += Number(!report('attune', their, their.mine))
  for (const their of written) {
    const given = their.how === 'lora' ? { model: their.base, adapter: their.dir } : { model: their.dir }
    try {
      failures += Number(!report('transformers', their, await scoresWith(given)))
    } catch (error) {
      failures++
      row(['transformers', their.name, their.how, their.labels, error.message])
    }
  }
  console.log(`${read.length + written.length - failures} of ${read.length + written.length} agree`)
  process.exitCode = failures ? 1 : 0
}

try {
  await main()
} finally {
  rmSync(work, { recursive: true })
}
