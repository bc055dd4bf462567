/** Loads a tokenizer from a model folder in Hugging Face layout, or from a GGUF file, whose metadata holds one. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type ByteSource, bytesOf, textOf } from '../util/bytes.ts'
import type { Fault } from '../util/fault.ts'
import { badInput } from '../util/fault.ts'
import { fileSource } from '../util/files.node.ts'
import { readGgufHeader } from '../util/ggufHeader.ts'
import { ggufTokenizer } from './ggufTokenizer.ts'
import type { Tokenizer } from './tokenizer.ts'
import { loadTokenizer } from './tokenizer.ts'
import type { TokenizerFiles } from './tokenizerConfig.ts'

const configFile = 'tokenizer_config.json'
const extraFolder = 'additional_chat_templates'
const templateNames = ['chat_template.jinja', 'chat_template.json', extraFolder]

/** A model's folder and that of its adapter, which may have a tokenizer or chat templates of its own. */
export type TokenizerPlace = {
  /** The model's folder, or its GGUF file. */
  dir: string
  /** The adapter's. */
  adapter?: string
}

/** Undefined where there is no tokenizer.json: such a model works with ids alone. */
export const loadTokenizerFolder = async (dir: string, adapter?: string): Promise<Tokenizer | undefined> => {
  const files = await tokenizerFiles({ dir, adapter })
  return files && loadTokenizer(files)
}

/** Vocabularies in other formats, which transformers turns into a tokenizer.json. */
const otherVocabularies =
  /^(vocab\.(json|txt)|merges\.txt|(tokenizer|spiece|sentencepiece|spm)\.model|.*\.bpe\.model|tekken\.json|.*\.tiktoken)$/

/** What to say of a folder whose tokenizer.json is missing where text is to be read. */
export const noTokenizer = (folder: string): Fault =>
  badInput('no-tokenizer', withoutTokenizer(folder), { file: folder })

/**
 * The same as the end of a sentence about the folder: "has no tokenizer.json", and how to make one from the vocabulary
 * files that are there.
 */
export const withoutTokenizer = (folder: string): string => {
  if (existsSync(folder) && statSync(folder).isFile()) return 'has no tokenizer in its metadata'
  const found = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => otherVocabularies.test(name))
        .sort()
    : []
  const convert = found.length
    ? `, and attune does not read ${found.join(', ')}; make one with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)`
    : ''
  return `has no tokenizer.json${convert}`
}

/** Whether two models have the same tokenizer.json; undefined where one of them has none. */
export const sameTokenizer = async (a: TokenizerPlace, b: TokenizerPlace): Promise<boolean | undefined> => {
  const read = async (place: TokenizerPlace) => {
    const source = await (await filesIn((await tokenizerFolders(place)).tokenizer)).source('tokenizer.json')
    return source && Buffer.from(await source.read(0, source.size))
  }
  const [one, other] = await Promise.all([a, b].map(read))
  return one && other && one.equals(other)
}

const entriesOf = async (folder: string) => new Set(await readdir(folder).catch(() => []))

/** Which folder the tokenizer is read from, and which the chat templates: the adapter's where it has its own. */
export const tokenizerFolders = async ({ dir, adapter }: TokenizerPlace) => {
  if (adapter === undefined) return { tokenizer: dir, templates: dir }
  const inside = await entriesOf(adapter)
  const tokenizer = inside.has('tokenizer.json') ? adapter : dir
  const config = tokenizer === adapter ? await readFile(join(adapter, configFile), 'utf8').catch(() => '') : ''
  const ownTemplates = templateNames.some((name) => inside.has(name)) || /"chat_template"\s*:/.test(config)
  return { tokenizer, templates: ownTemplates ? adapter : dir }
}

/** The files that `loadTokenizer` takes; undefined where there is no tokenizer.json. */
export const tokenizerFiles = async (place: TokenizerPlace): Promise<TokenizerFiles | undefined> => {
  const { tokenizer, templates } = await tokenizerFolders(place)
  const [own, model, ofTemplates] = await Promise.all([tokenizer, place.dir, templates].map(filesIn))
  const tokenizerJson = await own.source('tokenizer.json')
  if (!tokenizerJson) return undefined
  return {
    tokenizerJson,
    tokenizerConfig: await own.source(configFile),
    specialTokensMap: await own.source('special_tokens_map.json'),
    addedTokens: await own.source('added_tokens.json'),
    modelConfig: await model.source('config.json'),
    chatTemplates: await templatesIn(ofTemplates),
    chatTemplateJson: await ofTemplates.source('chat_template.json'),
  }
}

/** The files of a folder, or those that the metadata of a GGUF file stands for. */
type Files = {
  source(name: string): Promise<ByteSource | undefined>
  /** Names in the folder of further chat templates. */
  extra: readonly string[]
}

const filesIn = async (path: string): Promise<Files> => {
  const texts = await ggufTokenizerTexts(path)
  if (texts) {
    const encoder = new TextEncoder()
    return {
      source: async (name) => (Object.hasOwn(texts, name) ? bytesOf(path, encoder.encode(texts[name])) : undefined),
      extra: Object.keys(texts)
        .filter((name) => name.startsWith(`${extraFolder}/`))
        .map((name) => name.slice(extraFolder.length + 1)),
    }
  }
  const inside = await entriesOf(path)
  return {
    source: async (name) =>
      inside.has(name) || name.startsWith(extraFolder) ? await fileSource(join(path, name)) : undefined,
    extra: await readdir(join(path, extraFolder)).catch(() => []),
  }
}

/**
 * Texts of tokenizer.json, tokenizer_config.json and the chat templates of a GGUF file, by name; empty where it has no tokenizer,
 * undefined for a folder. Throws the Faults of `readGgufHeader` and `ggufTokenizer`.
 */
export const ggufTokenizerTexts = async (path: string): Promise<Record<string, string> | undefined> => {
  const isFile = await stat(path).then(
    (info) => info.isFile(),
    () => false,
  )
  if (!isFile) return undefined
  const { metadata } = await readGgufHeader(await fileSource(path))
  return ggufTokenizer(metadata, path) ?? {}
}

/** The text of a tokenizer's file in a folder or a GGUF file; undefined where it is not there. */
export const tokenizerText = async (path: string, name: string): Promise<string | undefined> => {
  const source = await (await filesIn(path)).source(name)
  return source && textOf(source)
}

const templatesIn = async ({ source, extra }: Files): Promise<Record<string, ByteSource>> => {
  const main = await source('chat_template.jinja')
  const found: Record<string, ByteSource> = main ? { default: main } : {}
  for (const file of extra.filter((name) => name.endsWith('.jinja')).sort())
    found[file.slice(0, -'.jinja'.length)] = (await source(`${extraFolder}/${file}`))!
  return found
}
