/** The files of a tokenizer: what each holds, and the chat templates, read as transformers 5 reads them. */
import type { ByteSource } from '../util/bytes.ts'
import { textOf } from '../util/bytes.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { Shape } from './shape.ts'
import { parseShape } from './shape.ts'
import type { SpecialTokens } from './specialTokens.ts'
import { readSpecialTokens } from './specialTokens.ts'
import { asClass, tokenizerClassOf } from './tokenizerClass.ts'

export type TokenizerFiles = {
  tokenizerJson: ByteSource
  tokenizerConfig?: ByteSource
  /** The two older files of special and added tokens; not read where the config has its own table of added tokens. */
  specialTokensMap?: ByteSource
  addedTokens?: ByteSource
  /** Templates by name; `default` is chat_template.jinja. They go before those of the config. */
  chatTemplates?: Readonly<Record<string, ByteSource>>
  /** The model's config.json; its model_type has a say in the tokenizer's class. */
  modelConfig?: ByteSource
  /** chat_template.json, read where no other file has a template. */
  chatTemplateJson?: ByteSource
}

export type Template = { readonly file: string; readonly source: string }

/** All that says how text becomes ids. */
export type TokenizerParts = {
  /** tokenizer.json as the tokenizer's class reads it. */
  readonly file: Shape
  readonly config: Shape | undefined
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
const refuseOtherFiles = (config: Shape | undefined) => {
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

export const readJson = async (source: ByteSource | undefined): Promise<Shape | undefined> =>
  source && parseShape(source.name, await readText(source))

/** Templates by name, with the file that each comes from. */
export const readTemplates = async (
  files: TokenizerFiles,
  config: Shape | undefined,
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
const templatesOf = (file: Shape | undefined): Record<string, Template> | undefined => {
  const found = file?.optional('chat_template')
  if (!found) return undefined
  const entry = (shape: Shape) => ({ file: found.file, source: shape.text() })
  if (typeof found.value === 'string') return { default: entry(found) }
  if (Array.isArray(found.value))
    return Object.fromEntries(found.items().map((item) => [item.at('name').text(), entry(item.at('template'))]))
  return Object.fromEntries(Object.keys(found.record()).map((name) => [name, entry(found.at(name))]))
}
