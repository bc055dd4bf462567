/** A tokenizer from a model folder in Hugging Face layout. */
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

const extraFolder = 'additional_chat_templates'

/** Undefined where the folder has no tokenizer.json: such a model works with ids alone. */
export const loadTokenizerFolder = async (folder: string): Promise<Tokenizer | undefined> => {
  const files = await tokenizerFiles(folder)
  return files && loadTokenizer(files)
}

/** Vocabularies in other formats, which transformers turns into a tokenizer.json. */
const otherVocabularies =
  /^(vocab\.(json|txt)|merges\.txt|(tokenizer|spiece|sentencepiece|spm)\.model|.*\.bpe\.model|tekken\.json|.*\.tiktoken)$/

/** What to say of a folder whose tokenizer.json is missing where text is to be read. `otherwise` is the way out without one. */
export const noTokenizer = (folder: string, otherwise = ''): Fault => {
  const found = existsSync(folder)
    ? readdirSync(folder)
        .filter((name) => otherVocabularies.test(name))
        .sort()
    : []
  const convert = found.length
    ? `, and attune does not read ${found.join(', ')}; make one with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)`
    : ''
  return badInput('no-tokenizer', `has no tokenizer.json${convert}${otherwise}`, { file: folder })
}

/** Whether two folders cut texts alike; undefined where one of them has no tokenizer.json. */
export const sameTokenizer = async (a: string, b: string): Promise<boolean | undefined> => {
  const read = (folder: string) => readFile(join(folder, 'tokenizer.json')).catch(() => undefined)
  const [one, other] = await Promise.all([a, b].map(read))
  return one && other && one.equals(other)
}

/** What `loadTokenizer` takes, or undefined. */
export const tokenizerFiles = async (folder: string): Promise<TokenizerFiles | undefined> => {
  const inside = new Set(await readdir(folder).catch(() => []))
  const source = async (name: string) => (inside.has(name) ? await fileSource(join(folder, name)) : undefined)
  const tokenizerJson = await source('tokenizer.json')
  if (!tokenizerJson) return undefined
  return {
    tokenizerJson,
    tokenizerConfig: await source('tokenizer_config.json'),
    specialTokensMap: await source('special_tokens_map.json'),
    addedTokens: await source('added_tokens.json'),
    modelConfig: await source('config.json'),
    chatTemplates: await templateFiles(folder, await source('chat_template.jinja')),
    chatTemplateJson: await source('chat_template.json'),
  }
}

const templateFiles = async (folder: string, main: ByteSource | undefined): Promise<Record<string, ByteSource>> => {
  const found: Record<string, ByteSource> = main ? { default: main } : {}
  const extra = await readdir(join(folder, extraFolder)).catch(() => [])
  for (const file of extra.filter((name) => name.endsWith('.jinja')).sort())
    found[file.slice(0, -'.jinja'.length)] = await fileSource(join(folder, extraFolder, file))
  return found
}
