/** The files of a tokenizer, and its chat templates, read as transformers 5 reads them. */
import type { ByteSource } from '../util/bytes.ts'
import { textOf } from '../util/bytes.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { JsonPart } from './jsonPart.ts'
import { parseJsonPart } from './jsonPart.ts'
import type { SpecialTokens } from './specialTokens.ts'
import { readSpecialTokens } from './specialTokens.ts'
import { asClass, tokenizerClassOf } from './tokenizerClass.ts'

export type TokenizerFiles = {
  tokenizerJson: ByteSource
  tokenizerConfig?: ByteSource
  /** The two older files of special and added tokens; not read where the config has its own table of added tokens. */
  specialTokensMap?: ByteSource
  addedTokens?: ByteSource
  /** Templates by name; `default` is chat_template.jinja. Where there are any, those of the config are not read. */
  chatTemplates?: Readonly<Record<string, ByteSource>>
  /** The model's config.json, whose model_type helps to choose the tokenizer's class. */
  modelConfig?: ByteSource
  /** chat_template.json, read where no other file has a template. */
  chatTemplateJson?: ByteSource
}

export type Template = { readonly file: string; readonly source: string }

/** What determines how text becomes ids. */
export type TokenizerParts = {
  /** tokenizer.json as the tokenizer's class reads it. */
  readonly file: JsonPart
  readonly config: JsonPart | undefined
  readonly specials: SpecialTokens
}

export const readParts = async (files: TokenizerFiles): Promise<TokenizerParts> => {
  const file = (await readJson(files.tokenizerJson))!
  const config = await readJson(files.tokenizerConfig)
  refuseOtherFiles(config)
  const tokenizerClass = tokenizerClassOf(file, config, await readJson(files.modelConfig))
  const specials = readSpecialTokens({
    file,
    config,
    specialTokensMap: await readJson(files.specialTokensMap),
    addedTokens: await readJson(files.addedTokens),
    tokenizerClass,
  })
  const unk = specials.names.unk_token ?? null
  return { file: tokenizerClass ? asClass(file, tokenizerClass, config, unk) : file, config, specials }
}

/** transformers reads the newest of these in place of tokenizer.json. */
const refuseOtherFiles = (config: JsonPart | undefined) => {
  const list = config?.optional('fast_tokenizer_files')
  const other = list?.items().find((name) => name.text() !== 'tokenizer.json')
  if (other)
    other.fail(`is ${quoted(other.text())}, which attune does not read; keep that file alone, as tokenizer.json`)
}

const largest = 2 ** 27

const readText = async (source: ByteSource): Promise<string> => {
  if (source.size > largest)
    throw badInput('bad-file', `has ${source.size} bytes; a tokenizer's files hold at most ${largest}`, {
      file: source.name,
    })
  try {
    return await textOf(source)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw badInput('bad-file', 'is not UTF-8; fetch it again', { file: source.name })
  }
}

export const readJson = async (source: ByteSource | undefined): Promise<JsonPart | undefined> =>
  source && parseJsonPart(source.name, await readText(source))

/** Templates by name, with the file that each comes from. */
export const readTemplates = async (
  files: TokenizerFiles,
  config: JsonPart | undefined,
): Promise<Record<string, Template>> => {
  const own = Object.entries(files.chatTemplates ?? {})
  if (own.length) {
    const read = own.map(
      async ([name, source]) => [name, { file: source.name, source: await readText(source) }] as const,
    )
    return Object.fromEntries(await Promise.all(read))
  }
  return templatesOf(config) ?? templatesOf(await readJson(files.chatTemplateJson)) ?? {}
}

/** `chat_template` as a text, a list of {name, template}, or an object by name. */
const templatesOf = (file: JsonPart | undefined): Record<string, Template> | undefined => {
  const found = file?.optional('chat_template')
  if (!found) return undefined
  const entry = (json: JsonPart) => ({ file: found.file, source: json.text() })
  if (typeof found.value === 'string') return { default: entry(found) }
  if (Array.isArray(found.value))
    return Object.fromEntries(found.items().map((item) => [item.at('name').text(), entry(item.at('template'))]))
  return Object.fromEntries(Object.keys(found.record()).map((name) => [name, entry(found.at(name))]))
}
