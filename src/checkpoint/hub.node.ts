/**
 * Models and data sets by name: a local folder, or a repository of the Hugging Face hub (`owner/name`,
 * `owner/name@revision`), of which only the files that attune reads are fetched. No code from a repository is run.
 */
import { readFile, stat } from 'node:fs/promises'
import { badInput, Fault, runFailure } from '../util/fault.ts'
import { fileSource } from '../util/files.node.ts'
import { nearestFolder } from './folder.node.ts'
import { type OnProgress, openRepo, parseRepoId } from './hubRepo.node.ts'

/**
 * Files of weights in the order in which `openCheckpoint` prefers them; the first kind that a repository has is
 * fetched.
 */
const weights = [
  /^model\.safetensors$/,
  /^model(-\d{5}-of-\d{5}\.safetensors|\.safetensors\.index\.json)$/,
  /^pytorch_model\.bin$/,
  /^pytorch_model(-\d{5}-of-\d{5}\.bin|\.bin\.index\.json)$/,
  /^adapter_model\.safetensors$/,
  /^adapter_model\.bin$/,
]

/** Configuration, tokenizer and chat template: the small files beside the weights, without indexes of weights. */
const smallFiles = /^(?!.*\.index\.json$)[^/]+\.(json|txt|model|jinja)$/

/**
 * The folder of a model or adapter, or a model's GGUF file: an existing one, else the hub's files in its cache.
 * Faults: no-model (neither), no-repo, hub-access, offline, hub, bad-token, disk.
 */
export const resolveHubModel = async (
  idOrPath: string,
  { onProgress }: { onProgress?: OnProgress } = {},
): Promise<string> => {
  const info = await stat(idOrPath).catch(() => undefined)
  if (info?.isDirectory()) return idOrPath
  if (info?.isFile() && (await isGguf(idOrPath))) return idOrPath
  if (info) throw badInput('no-model', 'is a file and no GGUF; give the folder that holds it', { file: idOrPath })
  const id = parseRepoId('model', idOrPath)
  const near = await nearestFolder(idOrPath)
  if (!id)
    throw badInput('no-model', `is neither a folder, nor a GGUF file, nor a hub id such as owner/name${near}`, {
      file: idOrPath,
    })
  try {
    const repo = await openRepo(id)
    const kind = weights.find((pattern) => repo.paths.some((path) => pattern.test(path)))
    if (!kind)
      throw badInput('no-model', 'holds no weights that attune reads (safetensors or .bin)', { file: idOrPath })
    const wanted = repo.paths.filter((path) => kind.test(path) || smallFiles.test(path))
    refuseMissingParts(idOrPath, wanted)
    await repo.get(wanted, onProgress)
    await repo.keep()
    return repo.dir
  } catch (error) {
    throw withHint(error, near)
  }
}

/** By its name or its first bytes: Ollama names its files by their hash. */
const isGguf = async (path: string): Promise<boolean> => {
  if (path.endsWith('.gguf')) return true
  const source = await fileSource(path)
  return source.size > 4 && Buffer.from(await source.read(0, 4)).toString('latin1') === 'GGUF'
}

/** Adds the suggestion of a local folder, since a mistyped path with one slash looks like a hub id. */
const withHint = (error: unknown, near: string): unknown => {
  if (!near || !(error instanceof Fault) || !['no-repo', 'hub-access', 'offline'].includes(error.code)) return error
  return new Fault(error.code, error.message + near, {}, error.exitCode)
}

/** Checks that all parts of `x-00001-of-00003` are there; an interrupted download leaves fewer in the cache. */
const refuseMissingParts = (name: string, paths: readonly string[]) => {
  for (const path of paths) {
    const [, stem, count, rest] = /^(.*-)\d{5}-of-(\d{5})(.*)$/.exec(path) ?? []
    const parts = paths.filter((other) => stem && other.startsWith(stem) && other.endsWith(`-of-${count}${rest}`))
    if (stem && parts.length !== Number(count))
      throw runFailure(
        'offline',
        `only ${parts.length} of ${Number(count)} parts of ${path} are there; run again with a network`,
        { file: name },
      )
  }
}

/**
 * The files of one split of a data set on the hub, in order: parquet, jsonl, json, csv or tsv.
 * @param id owner/name, perhaps @revision
 * @param options.config a configuration of the data set's card, or a folder in it
 * Faults: no-data (no such split or configuration; lists those there are), and those of `resolveHubModel`.
 */
export const resolveDataset = async (
  id: string,
  { split = 'train', config, onProgress }: { split?: string; config?: string; onProgress?: OnProgress } = {},
): Promise<string[]> => {
  const name = parseRepoId('dataset', id)
  if (!name) throw badInput('no-data', 'is neither a file nor a data set of the hub such as owner/name', { file: id })
  const repo = await openRepo(name)
  const card = repo.paths.includes('README.md') ? await repo.get(['README.md']) : []
  const { cardConfigs, splitFiles } = await import('./hubSplits.ts')
  const configs = card.length ? cardConfigs(await readFile(card[0], 'utf8')) : []
  const wanted = splitFiles(id, repo.paths, configs, { split, config })
  refuseMissingParts(id, wanted)
  const files = await repo.get(wanted, onProgress)
  await repo.keep()
  return files
}
