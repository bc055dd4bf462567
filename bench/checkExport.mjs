/**
 * `npm run check:export -- [--llama DIR] [--transformers-js DIR] [--models DIR...]`: exports small models of every
 * architecture and holds them against the readers they are for. DIR is where node-llama-cpp or @huggingface/transformers
 * is installed. Of the reader's answers it says whether each greedy token is attune's, and how far log-probabilities
 * of attune's tokens are from attune's; of tokenizers, how many texts become the same ids.
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
import { exportGguf } from '../dist/recipes/exportGguf.js'
import { openMerged } from '../dist/recipes/merged.js'
import { writeModelFolder } from '../dist/recipes/modelFolder.js'
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

/** A package from where the reader is installed. */
const from = async (dir, name) => {
  const require = createRequire(join(resolve(dir), 'package.json'))
  return import(pathToFileURL(require.resolve(name)).href)
}

const work = mkdtempSync(join(tmpdir(), 'attune-export-'))

/** Models that no fixture has, from a fixture's config. */
const made = {
  gemma: ['gemma2', { architectures: ['GemmaForCausalLM'], model_type: 'gemma', layer_types: null, final_logit_softcapping: null }],
  'gemma3-long': ['gemma3', { num_hidden_layers: 7, layer_types: null, rope_parameters: null, rope_theta: 1e6, rope_scaling: { rope_type: 'linear', factor: 8 } }],
  'smollm3-nope': ['smollm3', { num_hidden_layers: 5, layer_types: null, no_rope_layers: null }],
  'mistral-full': ['mistral-sliding', { sliding_window: null }],
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

/** attune's own greedy tokens after a prompt, with their log-probabilities. */
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

/** Of each token after a prompt: the reader's own choice there, and what it gives to attune's. */
const agreement = (ids, logps, answers) => {
  const differing = ids.findIndex((id, i) => answers[i].best !== id)
  const far = Math.max(...logps.map((logp, i) => Math.abs(logp - answers[i].logp)))
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

/** Tokens within which llama.cpp is to agree. */
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

try {
  const llama = flags.llama && (await llamaReader(flags.llama))
  row(['model', ...types])
  row(['---', ...types.map(() => '---')])
  for (const dir of await modelFolders()) {
    const mine = await reference(dir, await sharedContext(dir))
    row([basename(dir), ...(llama ? await checkLlama(llama, dir, mine) : [])])
  }
  await llama?.close()
} finally {
  rmSync(work, { recursive: true })
}
