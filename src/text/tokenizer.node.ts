/** Loads a tokenizer from a model folder in Hugging Face layout. */
import { existsSync, readdirSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ByteSource } from '../util/bytes.ts'
import type { Fault } from '../util/fault.ts'
import { badInput } from '../util/fault.ts'
import { fileSource } from '../util/files.node.ts'
import type { Tokenizer } from './tokenizer.ts'
import { loadTokenizer } from './tokenizer.ts'
import type { TokenizerFiles } from './tokenizerConfig.ts'

const configFile = 'tokenizer_config.json'
const extraFolder = 'additional_chat_templates'
const templateNames = ['chat_template.jinja', 'chat_template.json', extraFolder]

/** A model's folder and that of its adapter, which may have a tokenizer or chat templates of its own. */
export type TokenizerPlace = { dir: string; adapter?: string }

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
  const read = async (place: TokenizerPlace) =>
    readFile(join((await tokenizerFolders(place)).tokenizer, 'tokenizer.json')).catch(() => undefined)
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
  const { tokenizer: folder, templates } = await tokenizerFolders(place)
  const [ownFiles, modelFiles, templateFiles] = await Promise.all([folder, place.dir, templates].map(entriesOf))
  const source = async (name: string, inside = ownFiles, from = folder) =>
    inside.has(name) ? await fileSource(join(from, name)) : undefined
  const tokenizerJson = await source('tokenizer.json')
  if (!tokenizerJson) return undefined
  return {
    tokenizerJson,
    tokenizerConfig: await source(configFile),
    specialTokensMap: await source('special_tokens_map.json'),
    addedTokens: await source('added_tokens.json'),
    modelConfig: await source('config.json', modelFiles, place.dir),
    chatTemplates: await templatesIn(templates, await source('chat_template.jinja', templateFiles, templates)),
    chatTemplateJson: await source('chat_template.json', templateFiles, templates),
  }
}

const templatesIn = async (folder: string, main: ByteSource | undefined): Promise<Record<string, ByteSource>> => {
  const found: Record<string, ByteSource> = main ? { default: main } : {}
  const extra = await readdir(join(folder, extraFolder)).catch(() => [])
  for (const file of extra.filter((name) => name.endsWith('.jinja')).sort())
    found[file.slice(0, -'.jinja'.length)] = await fileSource(join(folder, extraFolder, file))
  return found
}
