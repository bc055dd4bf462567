/** Exports a model and its tokenizer as one GGUF file for llama.cpp, whole or not at all, with one tensor in memory at a time. */
import { basename, resolve } from 'node:path'
import { type GgufTensor, type GgufValue, ggufBytes, ggufChunks } from '../checkpoint/gguf.ts'
import { repoOfPath } from '../checkpoint/hubRepo.node.ts'
import { requireSpace } from '../checkpoint/space.node.ts'
import { ggufModel } from '../models/gguf.ts'
import { type LlamaCppTokenizer, llamaCppTokenizer } from '../text/llamaCpp.ts'
import { tokenizerFiles } from '../text/tokenizer.node.ts'
import { writeWhole } from '../util/files.node.ts'
import { fileTypes, type GgufFormat, storedType } from './ggufFormats.ts'
import type { MergedModel } from './mergedModel.ts'

/** What `exportGguf` wrote. */
export type GgufReport = {
  /** How many tensors the file has. */
  tensors: number
  /** Of these tensors. */
  bytes: number
  /** The tokenizer's algorithm as llama.cpp calls it, or none. */
  tokenizer: string
  /** The positions that the file is limited to, where the model has more. */
  shortened?: number
  /** Ids that end a text and that the file has no place for: it holds three. */
  unplacedEos: number[]
}

/** Throws Faults 'gguf' for what llama.cpp cannot do, before anything is written, and 'disk'. */
export const exportGguf = async (model: MergedModel, type: GgufFormat, output: string): Promise<GgufReport> => {
  const { metadata, tensors, shortened } = ggufModel(model, model.dir)
  const files = await tokenizerFiles({ dir: model.dir, adapter: model.adapterDir })
  const rows = model.config.vocab_size
  const tokenizer = files ? await llamaCppTokenizer(files, rows) : idTokenizer(rows, model)
  const name = nameFor(repoOfPath(model.dir) ?? basename(resolve(model.dir)), tokenizer)
  const typed = tensors.map((tensor): GgufTensor => ({ ...tensor, type: storedType(type, tensor, tensors) }))
  const all = new Map<string, GgufValue>([...metadata, ...general(name, type), ...tokenizerMetadata(tokenizer, model)])
  const bytes = ggufBytes(typed)
  await requireSpace(output, bytes)
  await writeWhole(output, ggufChunks(all, typed))
  const { unplaced: unplacedEos } = endings(tokenizer, model)
  return { tensors: typed.length, bytes, tokenizer: files ? tokenizer.algorithm : 'none', shortened, unplacedEos }
}

/** The name in the file. llama.cpp does not load a file named like Phi-3 whose tokenizer lacks Phi-3's tokens. */
const nameFor = (name: string, { tokens }: LlamaCppTokenizer): string => {
  const expects =
    /phi-?3/i.test(name) && ['</s>', '<unk>', '<s>', '<|endoftext|>'].some((token) => !tokens.includes(token))
  return expects ? 'model' : name
}

const general = (name: string, type: GgufFormat): [string, GgufValue][] => [
  ['general.type', 'model'],
  ['general.name', name],
  ['general.file_type', { uint: fileTypes[type] }],
  ['general.quantization_version', { uint: 2 }],
]

/** llama.cpp's types of tokens. */
const [normal, control] = [1, 3]

/**
 * For models without a tokenizer: the text of id 12 is [12]. Programs that use llama.cpp crash on a file without a vocabulary, and
 * node-llama-cpp begins and ends at control tokens alone.
 */
const idTokenizer = (rows: number, model: MergedModel): LlamaCppTokenizer => {
  const bos = model.config.raw.bos_token_id
  const marks = new Set<unknown>([bos, ...stopsOf(model)])
  return {
    algorithm: 'gpt2',
    pre: 'gpt-2',
    tokens: Array.from({ length: rows }, (_, id) => `[${id}]`),
    types: Array.from({ length: rows }, (_, id) => (marks.has(id) ? control : normal)),
    merges: [],
    addsSpace: false,
    addsBos: false,
    addsEos: false,
    bosId: typeof bos === 'number' ? bos : undefined,
    templates: {},
  }
}

const tokenizerMetadata = (tokenizer: LlamaCppTokenizer, model: MergedModel): [string, GgufValue][] => {
  const { templates } = tokenizer
  const names = Object.keys(templates).filter((name) => name !== 'default')
  const { eosId, eotId, eomId } = endings(tokenizer, model)
  const values: Record<string, GgufValue | undefined> = {
    model: tokenizer.algorithm,
    pre: tokenizer.pre,
    tokens: tokenizer.tokens,
    token_type: Int32Array.from(tokenizer.types),
    scores: tokenizer.scores && Float32Array.from(tokenizer.scores),
    merges: tokenizer.merges,
    add_space_prefix: tokenizer.algorithm === 'gpt2' ? undefined : tokenizer.addsSpace,
    bos_token_id: id(tokenizer.bosId),
    eos_token_id: id(eosId),
    eot_token_id: id(eotId),
    eom_token_id: id(eomId),
    unknown_token_id: id(tokenizer.unkId),
    padding_token_id: id(tokenizer.padId),
    add_bos_token: tokenizer.addsBos,
    add_eos_token: tokenizer.addsEos,
  }
  return [
    ...(tokenizer.spacePrefix ? [['attune.tokenizer.space_prefix', tokenizer.spacePrefix] as [string, GgufValue]] : []),
    ...Object.entries(values).flatMap(([key, value]): [string, GgufValue][] =>
      value === undefined ? [] : [[`tokenizer.ggml.${key}`, value]],
    ),
    ...(templates.default ? [['tokenizer.chat_template', templates.default.source] as [string, GgufValue]] : []),
    ...(names.length ? [['tokenizer.chat_templates', names] as [string, GgufValue]] : []),
    ...names.map((name): [string, GgufValue] => [`tokenizer.chat_template.${name}`, templates[name].source]),
  ]
}

const id = (value: number | undefined): GgufValue | undefined => (value === undefined ? undefined : { uint: value })

/** llama.cpp has three ids that end generation (text, turn, message): the tokenizer's, and two more of generation_config.json. */
const endings = ({ eosId }: LlamaCppTokenizer, model: MergedModel) => {
  const stops = stopsOf(model)
  const eos = eosId !== undefined && (stops.length === 0 || stops.includes(eosId)) ? eosId : stops[0]
  const [eotId, eomId, ...unplaced] = [...new Set(stops)].filter((stop) => stop !== eos)
  return { eosId: eos, eotId, eomId, unplaced }
}

const stopsOf = ({ generationConfig, config }: MergedModel): number[] => {
  const given = (generationConfig as { eos_token_id?: unknown } | undefined)?.eos_token_id ?? config.raw.eos_token_id
  return [given].flat().filter((stop): stop is number => Number.isInteger(stop) && (stop as number) >= 0)
}
