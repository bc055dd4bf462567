/**
 * Compares exported models with the programs that read them: `npm run check:export -- [--llama DIR] [--transformers-js DIR] [--models DIR...]`.
 * Exports small models of every architecture to GGUF and ONNX. DIR is where node-llama-cpp or @huggingface/transformers is
 * installed. For each model it prints whether the reader's greedy tokens are attune's, and the largest difference between
 * their log-probs of attune's tokens; for each tokenizer, how many texts have the same ids.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { generate } from '../dist/generate/generate.js'
import { initWeights } from '../dist/models/init.js'
import { parseConfig } from '../dist/models/config.js'
import { ggufModel } from '../dist/models/gguf.js'
import { architectureOf } from '../dist/models/registry.js'
import { modelFiles } from '../dist/models/save.js'
import { openModel } from '../dist/passes/open.node.js'
import { exportGguf } from '../dist/publish/exportGguf.js'
import { exportOnnx } from '../dist/publish/exportOnnx.js'
import { openMerged } from '../dist/publish/mergedModel.js'
import { writeModelFolder } from '../dist/publish/modelFolder.js'
import { loadTokenizerFolder } from '../dist/text/tokenizer.node.js'

const fixtures = join(dirname(new URL(import.meta.url).pathname), '..', 'test', 'fixtures')
const { values: flags } = parseArgs({
  options: {
    llama: { type: 'string' },
    'transformers-js': { type: 'string' },
    models: { type: 'string', multiple: true },
    only: { type: 'string' },
  },
})

/** Imports a package from the folder where the reader is installed. */
const from = async (dir, name) => {
  const require = createRequire(join(resolve(dir), 'package.json'))
  return import(pathToFileURL(require.resolve(name)).href)
}

const work = mkdtempSync(join(tmpdir(), 'attune-export-'))

/** Models without a fixture, each made from the config of a fixture with changes. */
const made = {
  gemma: ['gemma2', { architectures: ['GemmaForCausalLM'], model_type: 'gemma', layer_types: null, final_logit_softcapping: null }],
  'gemma3-long': ['gemma3', { num_hidden_layers: 7, layer_types: null, rope_parameters: null, rope_theta: 1e6, rope_scaling: { rope_type: 'linear', factor: 8 } }],
  'smollm3-nope': ['smollm3', { num_hidden_layers: 5, layer_types: null, no_rope_layers: null }],
  'mistral-full': ['mistral-sliding', { sliding_window: null }],
  // llama.cpp takes LongRoPE's factors by the size of its own context, which is 256 at least
  'phi4-mini-long': ['phi4-mini', { original_max_position_embeddings: 4096, max_position_embeddings: 16384 }],
  'mixtral-full': ['mixtral', { sliding_window: null }],
  'qwen3-moe-all': ['qwen3-moe', { mlp_only_layers: [], norm_topk_prob: true }],
  'qwen3.5-even': ['qwen3.5', { linear_value_head_dim: 8, rms_norm_eps: 1e-6 }],
  'olmo3-period': ['olmo3', { num_hidden_layers: 5, layer_types: null }],
  'llama-biased': ['llama-tied', { attention_bias: true, mlp_bias: true }],
}

const makeModel = async (name, [source, changes]) => {
  const raw = { ...JSON.parse(readFileSync(join(fixtures, 'models', source, 'config.json'), 'utf8')), ...changes, initializer_range: 0.3 }
  const config = parseConfig(raw, name)
  const architecture = architectureOf(config, name)
  const model = { architecture, config, params: initWeights(architecture, config, 7) }
  await writeModelFolder(join(work, name), modelFiles(model, 'F32'), { stem: 'model' })
  return join(work, name)
}

const causal = (dir) =>
  existsSync(join(dir, 'config.json')) && /ForCausalLM|LMHeadModel/.test(readFileSync(join(dir, 'config.json'), 'utf8')) && !basename(dir).startsWith('lora')

const modelFolders = async () => {
  const roots = [join(fixtures, 'models'), ...(flags.models ?? [])]
  const found = roots.flatMap((root) => readdirSync(root).map((name) => join(root, name)).filter(causal))
  const folders = [...found, ...(await Promise.all(Object.entries(made).map(([name, recipe]) => makeModel(name, recipe))))]
  return folders.filter((dir) => !flags.only || basename(dir).includes(flags.only))
}

/** attune's greedy tokens after a prompt, with their log-probs. */
const reference = async (dir, context) => {
  const opened = await openModel({ model: dir, device: 'cpu', threads: 1, inProcess: true })
  try {
    const { vocab_size, max_position_embeddings } = opened.model.config
    const length = Math.min(32, max_position_embeddings, context)
    const prompt = [1, ...Array.from({ length: Math.ceil(length / 4) - 1 }, (_, i) => 3 + ((11 * i + 5) % (vocab_size - 3)))]
    const maxNewTokens = length - prompt.length
    const [ids, logps] = [[], []]
    const options = { maxNewTokens, temperature: 0, eosIds: new Set(), samples: 1, batchSize: 1, seed: 1 }
    for await (const piece of generate(opened.model, undefined, [prompt], options)) {
      ids.push(...piece.ids)
      logps.push(...piece.logps)
    }
    return { prompt, ids, logps }
  } finally {
    await opened.close()
  }
}

/** Compares attune's tokens and log-probs with the reader's greedy token and log-prob at each position. */
const agreement = (ids, logps, theirs) => {
  const differing = ids.findIndex((id, i) => theirs[i].best !== id)
  const far = Math.max(...logps.map((logp, i) => Math.abs(logp - theirs[i].logp)))
  return { greedy: differing < 0 ? 'same' : `${differing} of ${ids.length}`, far: far.toExponential(1) }
}

const llamaReader = async (dir) => {
  const { getLlama } = await from(dir, 'node-llama-cpp')
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' })
  const open = async (path, use) => {
    const model = await llama.loadModel({ modelPath: path })
    try {
      return await use(model)
    } finally {
      await model.dispose()
    }
  }
  const follow = (path, { prompt, ids }) =>
    open(path, async (model) => {
      const kv = { experimentalKvCacheKeyType: 'F32', experimentalKvCacheValueType: 'F32' }
      const context = await model.createContext({ contextSize: prompt.length + ids.length + 1, threads: 1, flashAttention: false, ...kv })
      const asked = [...prompt, ...ids].map((id) => [id, { generateNext: { probabilities: true, options: { temperature: 1, topK: 0, topP: 1, minP: 0 } } }])
      const outputs = await context.getSequence().controlledEvaluate(asked)
      return ids.map((id, i) => {
        const { probabilities } = outputs[prompt.length - 1 + i].next
        const best = [...probabilities].reduce((a, b) => (b[1] > a[1] ? b : a))[0]
        return { best, logp: Math.log(probabilities.get(id)) }
      })
    })
  const tokenize = (path, texts) => open(path, async (model) => texts.map((text) => model.tokenize(text, false)))
  return { follow, tokenize, close: () => llama.dispose() }
}

const types = ['F32', 'F16', 'Q8_0', 'Q4_0']
const row = (cells) => console.log(`| ${cells.join(' | ')} |`)
const oneLine = (error) => String(error.message ?? error).split('\n')[0].slice(0, 90)

/** The context within which llama.cpp must agree. */
const sharedContext = async (dir) => {
  try {
    return ggufModel(await openMerged(dir), dir).shortened ?? Number.POSITIVE_INFINITY
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

const checkLlama = async (reader, dir, mine) => {
  const cells = []
  for (const type of types) {
    const path = join(work, `${basename(dir)}-${type}.gguf`)
    try {
      await exportGguf(await openMerged(dir), type, path)
      const { greedy, far } = agreement(mine.ids, mine.logps, await reader.follow(path, mine))
      cells.push(`${greedy}, ${far}`)
    } catch (error) {
      cells.push(oneLine(error))
    }
    rmSync(path, { force: true })
  }
  return cells
}

const transformersReader = async (dir) => {
  const { AutoModelForCausalLM, Tensor, env } = await from(dir, '@huggingface/transformers')
  Object.assign(env, { allowRemoteModels: false, localModelPath: work })
  const tensor = (values) => new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length])
  /** Greedy tokens by its own generation loop, log-probs by one pass over all tokens. */
  return async (name, { prompt, ids }) => {
    const model = await AutoModelForCausalLM.from_pretrained(name)
    const given = (tokens) => ({ input_ids: tensor(tokens), attention_mask: tensor(tokens.map(() => 1)) })
    const made = await model.generate({ ...given(prompt), max_new_tokens: ids.length, do_sample: false, eos_token_id: -1 })
    const { logits } = await model(given([...prompt, ...ids]))
    const [, , V] = logits.dims
    await model.dispose()
    return ids.map((id, i) => {
      const scores = logits.data.subarray((prompt.length - 1 + i) * V, (prompt.length + i) * V)
      const top = scores.reduce((a, b) => Math.max(a, b))
      const logp = scores[id] - top - Math.log(scores.reduce((sum, score) => sum + Math.exp(score - top), 0))
      return { best: Number(made.data[prompt.length + i]), logp }
    })
  }
}

const checkTransformers = async (follow, dir, mine) => {
  const name = `${basename(dir)}-onnx`
  try {
    await exportOnnx(await openMerged(dir), join(work, name))
    const { greedy, far } = agreement(mine.ids, mine.logps, await follow(name, mine))
    return [`${greedy}, ${far}`]
  } catch (error) {
    return [oneLine(error)]
  } finally {
    rmSync(join(work, name), { recursive: true, force: true })
  }
}

/** For each tokenizer fixture, exported with a small model: how many texts have the same ids in llama.cpp. */
const checkTokenizers = async (reader) => {
  const texts = [
    'Once upon a time, there was a little girl named Lily.',
    "I'll say 'hello'; you're NOT 12345 or 3.14!",
    'Déjà vu: naïve façade, Straße, niño. Привет, мир! 你好，世界 こんにちは 🙂👍🏽',
    'def f(x):\n    return {"a": x ** 2}\n\n\tif True:  pass',
    '  two  spaces   and a tab\t, trailing ',
    'a',
    'https://example.org/a?b=c&d=%20 e-mail@x.com C++ C# $5.00 50%',
  ]
  const folder = join(fixtures, 'text', 'tokenizers')
  for (const file of readdirSync(folder)) {
    const name = file.replace('.json.gz', '')
    const dir = join(work, name)
    const bundle = JSON.parse(gunzipSync(readFileSync(join(folder, file))))
    mkdirSync(dir)
    for (const part of ['tokenizer.json', 'tokenizer_config.json'])
      if (bundle[part]) writeFileSync(join(dir, part), typeof bundle[part] === 'string' ? bundle[part] : JSON.stringify(bundle[part]))
    const tokenizer = await loadTokenizerFolder(dir)
    const raw = { ...JSON.parse(readFileSync(join(fixtures, 'models', 'llama-tied', 'config.json'), 'utf8')), vocab_size: tokenizer.size + 3 }
    const config = parseConfig(raw, name)
    const architecture = architectureOf(config, name)
    await writeModelFolder(join(work, `${name}-model`), modelFiles({ architecture, config, params: initWeights(architecture, config, 7) }, 'F32'), { stem: 'model', tokenizerFrom: dir })
    const path = join(work, `${name}.gguf`)
    try {
      await exportGguf(await openMerged(join(work, `${name}-model`)), 'F32', path)
      const theirs = await reader.tokenize(path, texts)
      const differ = texts.filter((text, i) => tokenizer.encode(text, { specialTokens: false }).ids.join() !== theirs[i].join())
      row([name, `${texts.length - differ.length} of ${texts.length}`, differ.map((text) => JSON.stringify(text.slice(0, 30))).join(' ')])
    } catch (error) {
      row([name, oneLine(error), ''])
    }
  }
}

try {
  const llama = flags.llama && (await llamaReader(flags.llama))
  const follow = flags['transformers-js'] && (await transformersReader(flags['transformers-js']))
  const readers = [...(llama ? types : []), ...(follow ? ['transformers.js'] : [])]
  row(['model', ...readers])
  row(['---', ...readers.map(() => '---')])
  for (const dir of await modelFolders()) {
    const mine = await reference(dir, llama ? await sharedContext(dir) : Number.POSITIVE_INFINITY)
    const theirs = [...(llama ? await checkLlama(llama, dir, mine) : []), ...(follow ? await checkTransformers(follow, dir, mine) : [])]
    row([basename(dir), ...theirs])
  }
  if (llama && !flags.only) {
    row(['tokenizer', 'texts with the same ids', 'others'])
    row(['---', '---', '---'])
    await checkTokenizers(llama)
  }
  await llama?.close()
} finally {
  rmSync(work, { recursive: true })
}
