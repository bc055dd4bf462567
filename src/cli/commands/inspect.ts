/** `attune inspect`: what a model is, by its files. No weights are read. */
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { openAdapter } from '../../checkpoint/folder.node.ts'
import type { StoredTensor } from '../../checkpoint/stored.ts'
import type { Config, EncoderParts } from '../../models/architecture.ts'
import { loadPretrained } from '../../models/load.node.ts'
import { resolveModel } from '../../models/resolve.node.ts'
import { loadTokenizerFolder } from '../../text/tokenizer.node.ts'
import { whole } from '../../util/format.ts'
import { countParameters } from '../../util/shape.ts'
import { command } from '../command.ts'
import { bytes, columns } from '../format.ts'
import { adapterFlag, modelFlag } from '../modelFlags.ts'

const schema = z.object({
  model: modelFlag,
  adapter: adapterFlag,
})

export default command({
  summary: 'Show what a model is: architecture, parameters, data types, tokenizer, files',
  example: 'inspect HuggingFaceTB/SmolLM2-135M',
  schema,
  operands: ['model'],
  async run(options, { out }) {
    const { dir, adapter } = await resolveModel(options)
    const facts = await describe(dir, adapter)
    if (out.json) await out.jsonLine(facts)
    else await out.text(factsText(facts))
  },
})

type Facts = Awaited<ReturnType<typeof describe>>

const describe = async (dir: string, adapterDir?: string) => {
  const { architecture, config, params, unused } = await loadPretrained(dir)
  const adapter = adapterDir === undefined ? undefined : await openAdapter(adapterDir)
  const total = countParameters(params.values())
  const embeddings = [...params].filter(([name]) => name === architecture.embedding || isPositions(name))
  return {
    model: dir,
    architecture: architecture.name,
    model_type: config.model_type,
    parameters: {
      total,
      without_embeddings: total - countParameters(embeddings.map(([, tensor]) => tensor)),
      trainable: adapter ? countParameters(adapter.tensors.values()) : total,
    },
    dtype: dtypes(params.values()),
    layers: config.num_hidden_layers,
    hidden_size: config.hidden_size,
    heads: config.num_attention_heads,
    kv_heads: config.num_key_value_heads,
    vocab_size: config.vocab_size,
    context: architecture.encoder ? textLimit(architecture.encoder, config) : config.max_position_embeddings,
    ...(architecture.encoder
      ? { encoder: architecture.pairs ? 'pair ranker' : 'encoder' }
      : { tied_embeddings: config.tie_word_embeddings }),
    ...(adapter && { adapter: { path: adapterDir, r: adapter.config.r, alpha: adapter.config.lora_alpha } }),
    ...(await describeTokenizer(dir, adapterDir)),
    unused_tensors: unused,
    files: await filesOf(dir),
  }
}

const describeTokenizer = async (dir: string, adapter?: string) => {
  const tokenizer = await loadTokenizerFolder(dir, adapter)
  return {
    tokenizer: tokenizer ? { size: tokenizer.size, special_tokens: tokenizer.specialTokens } : null,
    chat_templates: tokenizer?.chat?.names ?? [],
  }
}

/** Tokens that a text may have; null where only relative positions are read. */
const textLimit = ({ longestText }: EncoderParts, config: Config): number | null => {
  const longest = longestText(config)
  return Number.isFinite(longest) ? longest : null
}

const isPositions = (name: string) => /(^|\.)(wpe|position_embeddings)\.weight$/.test(name)

const names: Readonly<Record<string, string>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16', F64: 'float64' }

/** float32, or all types if they are mixed. */
const dtypes = (tensors: Iterable<StoredTensor>): string =>
  [...new Set([...tensors].map(({ dtype, blocks }) => blocks ?? names[dtype] ?? dtype))].join(', ')

const filesOf = async (dir: string): Promise<{ name: string; bytes: number }[]> => {
  // a GGUF file is all there is
  const isFile = (await stat(dir)).isFile()
  const [folder, inside] = isFile ? [dirname(dir), [basename(dir)]] : [dir, await readdir(dir)]
  const files = await Promise.all(inside.sort().map(async (name) => ({ name, info: await stat(join(folder, name)) })))
  return files.flatMap(({ name, info }) => (info.isFile() ? [{ name, bytes: info.size }] : []))
}

const tokenizerText = ({ size, special_tokens }: NonNullable<Facts['tokenizer']>): string =>
  [`${whole(size)} tokens`, ...Object.entries(special_tokens).map(([name, text]) => `${name} ${text}`)].join(', ')

const factsText = (facts: Facts): string => {
  const { total, without_embeddings, trainable } = facts.parameters
  const heads =
    facts.heads === facts.kv_heads ? `${facts.heads}` : `${facts.heads}, ${facts.kv_heads} of keys and values`
  return [
    columns([
      ['model', facts.model],
      ['architecture', `${facts.architecture}${'encoder' in facts ? `, ${facts.encoder}` : ''}`],
      ['parameters', `${whole(total)}, ${whole(without_embeddings)} without embeddings, ${whole(trainable)} trainable`],
      ['type', facts.dtype],
      ['layers', `${facts.layers} of width ${facts.hidden_size}`],
      ['heads', heads],
      [
        'vocabulary',
        `${whole(facts.vocab_size)}${'tied_embeddings' in facts && facts.tied_embeddings ? ', tied embeddings' : ''}`,
      ],
      ['context', facts.context === null ? 'no limit' : `${whole(facts.context)} tokens`],
      ['tokenizer', facts.tokenizer ? tokenizerText(facts.tokenizer) : 'none: rows must hold input_ids'],
      ['template', facts.chat_templates.join(', ') || 'none'],
      ...(facts.adapter
        ? [['adapter', `${facts.adapter.path}, r ${facts.adapter.r}, alpha ${facts.adapter.alpha}`]]
        : []),
      ...(facts.unused_tensors.length ? [['not used', facts.unused_tensors.join(', ')]] : []),
    ]),
    columns(
      facts.files.map(({ name, bytes: size }) => [`  ${name}`, bytes(size)]),
      [1],
    ),
  ].join('\n\n')
}
