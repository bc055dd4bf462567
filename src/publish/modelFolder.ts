/** Writes the folder of a model or adapter with its tokenizer, under another name first, so that it is whole or not there. */
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeTensors } from '../checkpoint/folder.node.ts'
import { storedBytes } from '../checkpoint/safetensorsWrite.ts'
import { requireSpace } from '../checkpoint/space.node.ts'
import type { ModelFiles, SaveDtype } from '../models/save.ts'
import { ggufTokenizerTexts, type TokenizerPlace, tokenizerFolders } from '../text/tokenizer.node.ts'
import { badInput } from '../util/fault.ts'
import { diskFault, makeFolders, syncFolder, writeWhole } from '../util/files.node.ts'

/** The values of --save-dtype, as safetensors calls them. */
export const storedAs = { float32: 'F32', bfloat16: 'BF16', float16: 'F16' } as const satisfies Record<
  string,
  SaveDtype
>

export type FolderOptions = {
  /** What the weights files are called before `.safetensors`. */
  stem: 'model' | 'adapter_model'
  /** A model, and perhaps its adapter, whose tokenizer and chat templates are copied. */
  tokenizerFrom?: TokenizerPlace
}

/** Writes safetensors files, and replaces what is at `path`. Throws Faults 'disk'. */
export const writeModelFolder = (
  path: string,
  { texts, tensors }: ModelFiles,
  { stem, tokenizerFrom }: FolderOptions,
): Promise<void> => {
  const bytes = tensors.reduce((sum, tensor) => sum + storedBytes(tensor), 0)
  return writeFolderWith(path, { texts, tokenizerFrom, bytes }, (folder) => writeTensors(folder, tensors, stem))
}

type FolderContents = {
  /** config.json and others, by name; they replace the tokenizer's files of those names. */
  texts: Readonly<Record<string, string>>
  tokenizerFrom?: TokenizerPlace
  /** Of the weights. */
  bytes: number
}

/** A model's folder with weights in any format. Replaces what is at `path`. Throws Faults 'disk'. */
export const writeFolderWith = (
  path: string,
  { texts, tokenizerFrom, bytes }: FolderContents,
  writeWeights: (folder: string) => Promise<unknown>,
): Promise<void> =>
  writeFolder(path, bytes, async (folder) => {
    if (tokenizerFrom !== undefined) await copyTokenizer(tokenizerFrom, folder)
    for (const [name, text] of Object.entries(texts))
      await writeWhole(join(folder, name), [new TextEncoder().encode(text)])
    await writeWeights(folder)
  })

/** A folder that `fill` makes under another name, which is then renamed. Throws Faults 'disk' with the bytes that it needs. */
export const writeFolder = async (path: string, bytes: number, fill: (temporary: string) => Promise<void>) => {
  const temporary = `${path}.tmp`
  try {
    await rm(temporary, { recursive: true, force: true })
    await makeFolders(dirname(temporary))
    await mkdir(temporary)
    await requireSpace(path, bytes)
    await fill(temporary)
    await syncFolder(temporary)
    await rm(path, { recursive: true, force: true })
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {})
    throw diskFault(error, path, bytes)
  }
}

const tokenizerFiles = /^(tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\.(json|txt)|merges\.txt)$/
const templateFiles = /^(chat_template\..*|additional_chat_templates)$/

/** Copies tokenizer and chat templates, each from the folder that it is read from: the adapter's where it has its own. */
export const copyTokenizer = async (place: TokenizerPlace, to: string) => {
  const { tokenizer, templates } = await tokenizerFolders(place)
  await copyMatching(tokenizer, to, (name) => tokenizerFiles.test(name))
  await copyMatching(templates, to, (name) => templateFiles.test(name))
}

const copyMatching = async (from: string, to: string, wanted: (name: string) => boolean) => {
  const texts = await ggufTokenizerTexts(from)
  if (texts) return writeTexts(texts, to, wanted)
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (!wanted(entry.name)) continue
    if ((await stat(source)).isFile()) await writeWhole(target, [await readFile(source)])
    else if (entry.name === 'additional_chat_templates') {
      await mkdir(target, { recursive: true })
      await copyMatching(source, target, (name) => name.endsWith('.jinja'))
    }
  }
}

/** The tokenizer and templates of a GGUF file become files. */
const writeTexts = async (
  texts: Readonly<Record<string, string>>,
  to: string,
  wanted: (name: string) => boolean,
): Promise<void> => {
  for (const [name, text] of Object.entries(texts)) {
    if (!wanted(name.split('/')[0])) continue
    await mkdir(dirname(join(to, name)), { recursive: true })
    await writeWhole(join(to, name), [new TextEncoder().encode(text)])
  }
}

/** Throws a Fault 'taken' where the folder holds something already. */
export const refuseTaken = async (path: string): Promise<void> => {
  const names = await readdir(path).catch((error) => (error.code === 'ENOENT' ? [] : [error.code]))
  if (names.length)
    throw badInput('taken', `is not an empty or a new folder (${names[0]}); choose another --output`, { file: path })
}
