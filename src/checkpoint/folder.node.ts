/**
 * Model and adapter folders in Hugging Face and PEFT layout: finds the files that hold the weights, checks that they
 * agree, and writes them. As in transformers, safetensors or their index are preferred to torch's .bin or its index.
 */
import { readdir, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { badInput } from '../util/fault.ts'
import { fileSource, jsonFile, writeWhole } from '../util/files.node.ts'
import { nearest } from '../util/nearest.ts'
import { quoted } from '../util/quote.ts'
import { openSafetensors } from './safetensors.ts'
import { type NewTensor, safetensorsChunks, shardsOf } from './safetensorsWrite.ts'
import type { StoredTensor } from './stored.ts'
import { openTorch } from './torchFile.ts'

/** An object of a JSON file. */
export type Json = { [key: string]: unknown }

/** A model folder, opened: its configuration, and its tensors, which are read when they are asked for. */
export type Checkpoint = {
  /** The folder, or the GGUF file. */
  dir: string
  /** The content of config.json, or of an adapter's adapter_config.json. */
  config: Json
  /** generation_config.json, where there is one. */
  generationConfig?: Json
  /** The weights by their names in the files. */
  tensors: Map<string, StoredTensor>
  /** Paths of the files that hold the weights, and of their index. */
  files: string[]
}

const modelWeights = layoutsOf('model', 'pytorch_model')

/** Opens a model folder. Faults: no-folder, no-file, bad-json, bad-index, and those of the weights formats. */
export const openCheckpoint = async (dir: string): Promise<Checkpoint> => {
  const names = await namesIn(dir)
  if (!names.includes('config.json'))
    throw badInput(
      'no-file',
      names.includes('adapter_config.json')
        ? adapterAdvice
        : `holds no config.json, so it is no model${ggufAdvice(names)}`,
      { file: dir },
    )
  const config = await jsonFile(join(dir, 'config.json'))
  const generationFile = 'generation_config.json'
  const generationConfig = names.includes(generationFile) ? await jsonFile(join(dir, generationFile)) : undefined
  return { dir, config, generationConfig, ...(await openWeights(dir, 'model', 'pytorch_model')) }
}

const adapterAdvice = 'is a PEFT adapter, not a model; give it as --adapter and its base model as --model'

const ggufAdvice = (names: readonly string[]): string => {
  const file = names.find((name) => name.endsWith('.gguf'))
  return file ? `; of a GGUF file give the file itself: ${file}` : ''
}

/** Whether a folder holds an adapter and no model; a GGUF file does not. */
export const isAdapterFolder = async (dir: string): Promise<boolean> => {
  if (await isThere(dir)) return false
  const names = await namesIn(dir)
  return names.includes('adapter_config.json') && !names.some((name) => modelWeights.includes(name))
}

/** Opens a PEFT folder: adapter_config.json and adapter_model.safetensors (or .bin). Faults as `openCheckpoint`. */
export const openAdapter = async (dir: string): Promise<Checkpoint> => {
  const names = await namesIn(dir)
  if (!names.includes('adapter_config.json'))
    throw badInput('no-file', 'holds no adapter_config.json, so it is no PEFT adapter', { file: dir })
  const config = await jsonFile(join(dir, 'adapter_config.json'))
  return { dir, config, ...(await openWeights(dir, 'adapter_model', 'adapter_model')) }
}

/** Files beside the weights that are read, and copied into folders made from this one. */
const besideWeights =
  /^((config|generation_config|adapter_config|reward|special_tokens_map|added_tokens|vocab)\.json|tokenizer.*|vocab\.txt|merges\.txt|chat_template\..*)$/

/** Paths of those files in a folder, and of the chat templates in its subfolder; none of a GGUF file, which holds everything. */
export const sideFiles = async (dir: string): Promise<string[]> => {
  if (await isThere(dir)) return []
  const templates = await readdir(join(dir, templateFolder)).catch(() => [])
  const names = [
    ...(await namesIn(dir)).filter((name) => besideWeights.test(name)),
    ...templates.filter((name) => name.endsWith('.jinja')).map((name) => join(templateFolder, name)),
  ]
  const paths = names.sort().map((name) => join(dir, name))
  const there = await Promise.all(paths.map(isThere))
  return paths.filter((_, i) => there[i])
}

const templateFolder = 'additional_chat_templates'

/**
 * All files of a model, and of its adapter, that results depend on.
 * @param places their folders
 * @param weights files of the model's weights and their index
 */
export const filesOf = async (
  places: {
    /** The model's folder. */
    dir: string
    /** The adapter's. */
    adapter?: string
  },
  weights: readonly string[],
): Promise<string[]> => {
  const { dir, adapter } = places
  const ofAdapter = adapter === undefined ? [] : [...(await sideFiles(adapter)), ...(await openAdapter(adapter)).files]
  return [...(await sideFiles(dir)), ...weights, ...ofAdapter]
}

type Weights = Pick<Checkpoint, 'tensors' | 'files'>

/** Files that hold weights or their index, in the order in which they are preferred. */
function layoutsOf(safe: string, torch: string): string[] {
  return [`${safe}.safetensors`, `${safe}.safetensors.index.json`, `${torch}.bin`, `${torch}.bin.index.json`]
}

const openWeights = async (dir: string, safe: string, torch: string): Promise<Weights> => {
  const names = await namesIn(dir)
  const layouts = layoutsOf(safe, torch)
  const found = layouts.find((name) => names.includes(name))
  if (!found) throw badInput('no-file', `holds no weights: none of ${layouts.join(', ')}`, { file: dir })
  const path = join(dir, found)
  return found.endsWith('.json') ? openIndexed(path) : { tensors: (await openFile(path)).tensors, files: [path] }
}

const openFile = async (path: string) => (path.endsWith('.bin') ? openTorch : openSafetensors)(await fileSource(path))

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) })

/** Opens the shards of an index; each tensor that it names must be in one of them. */
const openIndexed = async (index: string): Promise<Weights> => {
  const parsed = indexSchema.safeParse(await jsonFile(index))
  const fail = (what: string) => badInput('bad-index', `${what}; fetch the folder again`, { file: index })
  if (!parsed.success) throw fail('has no weight_map of texts')
  const { weight_map } = parsed.data
  const shards = new Map<string, Map<string, StoredTensor>>()
  for (const shard of new Set(Object.values(weight_map))) {
    if (!/^\w[\w.-]*$/.test(shard)) throw fail(`names the file ${quoted(shard)}, which is not in its folder`)
    const path = join(dirname(index), shard)
    if (!(await isThere(path))) throw fail(`names ${shard}, which is missing`)
    shards.set(shard, (await openFile(path)).tensors)
  }
  const tensors = new Map<string, StoredTensor>()
  for (const [name, shard] of Object.entries(weight_map)) {
    const tensor = shards.get(shard)!.get(name) ?? [...shards.values()].find((each) => each.has(name))?.get(name)
    if (!tensor) throw fail(`says that ${quoted(name)} is in ${shard}, which does not hold it`)
    tensors.set(name, tensor)
  }
  // as in transformers, tensors of a shard that the index does not name belong to the model too
  for (const shard of shards.values())
    for (const [name, tensor] of shard) if (!tensors.has(name)) tensors.set(name, tensor)
  return { tensors, files: [index, ...[...shards.keys()].map((shard) => join(dirname(index), shard))] }
}

/** Whether it is a file. */
export const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    (info) => info.isFile(),
    () => false,
  )

/** Names of the entries of a folder. Throws a Fault 'no-folder' that suggests a folder with a similar name. */
export const namesIn = async (dir: string): Promise<string[]> =>
  readdir(dir).catch(async () => {
    throw badInput('no-folder', `is not a folder that can be read${await nearestFolder(dir)}`, { file: dir })
  })

/** "; did you mean X?" for a folder with a similar name, or an empty text. */
export const nearestFolder = async (path: string): Promise<string> => {
  const parent = dirname(resolve(path))
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => [])
  const name = nearest(
    basename(path),
    entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name),
  )
  return name ? `; did you mean ${join(dirname(path), name)}?` : ''
}

/**
 * Writes `stem`.safetensors into a folder, or shards of at most `limit` bytes and then their index, and removes other
 * files of an earlier save with this stem. Each file appears only when it is complete. Throws Faults 'disk'.
 */
export const writeTensors = async (
  dir: string,
  tensors: readonly NewTensor[],
  stem: string,
  limit?: number,
): Promise<string[]> => {
  const { files, index } = shardsOf(tensors, stem, limit)
  const indexName = `${stem}.safetensors.index.json`
  for (const file of files) await writeWhole(join(dir, file.name), safetensorsChunks(file.tensors))
  if (index) await writeWhole(join(dir, indexName), [new TextEncoder().encode(index)])
  const written = [...files.map((file) => file.name), ...(index ? [indexName] : [])]
  for (const name of await readdir(dir)) {
    const ours =
      name.startsWith(stem) && /^(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?$/.test(name.slice(stem.length))
    if (ours && !written.includes(name)) await rm(join(dir, name))
  }
  return written
}
