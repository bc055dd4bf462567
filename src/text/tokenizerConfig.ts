/** What lies beside tokenizer.json: the config's special tokens and chat templates, read as transformers 5 reads them. */
import type { ByteSource } from '../util/bytes.ts'
import { textOf } from '../util/bytes.ts'
import { badInput } from '../util/fault.ts'
import type { AddedToken } from './addedTokens.ts'
import { readAddedToken } from './addedTokens.ts'
import type { Pipeline } from './pipeline.ts'
import type { PostProcessor } from './postProcess.ts'
import { boundedProcessor } from './postProcess.ts'
import type { Shape } from './shape.ts'
import { parseShape } from './shape.ts'

export type TokenizerFiles = {
  tokenizerJson: ByteSource
  tokenizerConfig?: ByteSource
  specialTokensMap?: ByteSource
  /** Templates by name; `default` is chat_template.jinja. They go before those of the config. */
  chatTemplates?: Readonly<Record<string, ByteSource>>
  /** The model's config.json; its model_type decides how files of the class LlamaTokenizer are read. */
  modelConfig?: ByteSource
  /** chat_template.json, read where no other file has a template. */
  chatTemplateJson?: ByteSource
}

export type Template = { readonly file: string; readonly source: string }

/** A config that speaks of BOS or EOS replaces the file's post-processor, as in transformers 5. */
export const configProcessor = (
  pipeline: Pipeline,
  config: Shape | undefined,
  idOf: (name: string) => number | undefined,
): PostProcessor => {
  const wants = (key: string) => (config?.has(key) ? config.optional(key)?.flag() === true : undefined)
  const [bos, eos] = [wants('add_bos_token'), wants('add_eos_token')]
  if (bos === undefined && eos === undefined) return pipeline.processor
  return boundedProcessor(bos ? idOf('bos_token') : undefined, eos ? idOf('eos_token') : undefined)
}

const names = ['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token']

/** A named token is a text or an object with flags. */
export const namedTokens = (file: Shape | undefined): Record<string, AddedToken> => {
  const found: Record<string, AddedToken> = {}
  for (const name of names) {
    const token = file?.optional(name)
    if (token)
      found[name] = {
        ...(typeof token.value === 'string' ? plainSpecial(token.value) : readAddedToken(token)),
        special: true,
      }
  }
  return found
}

const plainSpecial = (content: string): AddedToken => ({
  content,
  singleWord: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})

/** What the class LlamaTokenizer calls its special tokens unless the config says otherwise. */
export const llamaNames = {
  bos_token: plainSpecial('<s>'),
  eos_token: plainSpecial('</s>'),
  unk_token: plainSpecial('<unk>'),
}

/** Added tokens of the config: its decoder table by id, then named and further special tokens that are new. */
export const configTokens = (config: Shape | undefined, named: Record<string, AddedToken>): AddedToken[] => {
  const table = config?.optional('added_tokens_decoder')
  const ids = Object.keys(table?.record() ?? {}).sort((a, b) => Number(a) - Number(b))
  const listed = ids.map((id) => readAddedToken(table!.at(id)))
  const further = ['extra_special_tokens', 'additional_special_tokens'].flatMap((key) => {
    const list = config?.optional(key)
    return list && Array.isArray(list.value)
      ? list.items().map((item) => (typeof item.value === 'string' ? plainSpecial(item.value) : readAddedToken(item)))
      : []
  })
  const isNamed = (content: string) => Object.values(named).some((token) => token.content === content)
  const tokens = listed.map((token) => (isNamed(token.content) ? { ...token, special: true } : token))
  return [...tokens, ...[...Object.values(named), ...further].map((token) => ({ ...token, ifNew: true }))]
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
