/**
 * A tokenizer: text to token ids and back, read from the files of a Hugging Face model folder. Ids, offsets and decoded
 * texts are those of transformers 5, which also follows tokenizer_config.json on special tokens.
 */
import type { ChatTemplate } from './chat.ts'
import { chatTemplate } from './chat.ts'
import { cleanedText, tokenBytes } from './decode.ts'
import type { TextStream } from './decodeStream.ts'
import { textStream } from './decodeStream.ts'
import type { ChatEncoder, Encoding } from './encoding.ts'
import type { JsonPart } from './jsonPart.ts'
import type { Pipeline } from './pipeline.ts'
import { readPipeline } from './pipeline.ts'
import type { Assembled, TokenizedText } from './postProcess.ts'
import { addedBehind, assemble } from './postProcess.ts'
import type { SpecialTokens } from './specialTokens.ts'
import type { TokenizerFiles } from './tokenizerConfig.ts'
import { readParts, readTemplates } from './tokenizerConfig.ts'
import { utf8 } from './unicode.ts'

export type EncodeOptions = {
  /** Adds what the post-processor adds (BOS, [CLS], ...). Default true. */
  specialTokens?: boolean
  /**
   * Encodes special tokens that occur in the text as plain text. Default: split_special_tokens of the config, or false.
   */
  splitSpecial?: boolean
}

export type Tokenizer = {
  encode(text: string, options?: EncodeOptions): Encoding
  /** Two texts as one sequence, as cross-encoders read them; typeIds say which of the two a token belongs to. */
  encodePair(a: string, b: string, options?: EncodeOptions): Encoding & { readonly typeIds: number[] }
  /** Text of ids; unknown ids are left out. */
  decode(ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string
  /**
   * UTF-8 bytes of one token inside a text, including its leading space; they may be part of a character. Empty for an
   * unknown id.
   */
  bytes(id: number): Uint8Array
  /** Decodes token by token and never emits half a character; does not apply clean_up_tokenization_spaces. */
  stream(options?: { skipSpecialTokens?: boolean }): TextStream
  /** Highest id + 1: the rows that an embedding needs at least. */
  readonly size: number
  readonly bosId: number | undefined
  readonly eosId: number | undefined
  readonly padId: number | undefined
  readonly unkId: number | undefined
  /** Whether `encode` puts BOS in front of a text. */
  readonly addsBos: boolean
  /** Whether `encode` puts EOS behind a text, whatever the text ends in. */
  readonly addsEos: boolean
  /** Texts of the named special tokens by their names in the config: `bos_token`, `pad_token`, ... */
  readonly specialTokens: Readonly<Record<string, string>>
  tokenToId(token: string): number | undefined
  idToToken(id: number): string | undefined
  /** Whether decoding may skip the id as a special token. */
  isSpecial(id: number): boolean
  /** Whether the id is an added token's, found in the text before the model sees it. */
  isAdded(id: number): boolean
  /** Undefined where the model has no chat template. */
  readonly chat: ChatTemplate | undefined
}

/** Reads a tokenizer. Throws a Fault that names the file for anything malformed. */
export const loadTokenizer = async (files: TokenizerFiles): Promise<Tokenizer> => {
  const { file, config, specials } = await readParts(files)
  const pipeline = boundedDepth(file, () => readPipeline(file, specials.added))
  const specialTokens = specials.names
  const tokenizer = build(pipeline, config, specialTokens)
  const templates = await readTemplates(files, config)
  return Object.keys(templates).length
    ? { ...tokenizer, chat: chatTemplate(templates, encoderOf(pipeline, tokenizer), specialTokens) }
    : tokenizer
}

const build = (pipeline: Pipeline, config: JsonPart | undefined, specialTokens: SpecialTokens['names']): Tokenizer => {
  const { model, added, decoder, processor } = pipeline
  const tokenToId = (token: string) => added.ids.get(token) ?? model.idOf(token)
  const idToToken = (id: number) => added.tokens.get(id)?.content ?? model.tokenOf(id)
  const idOf = (name: string) => (specialTokens[name] === undefined ? undefined : tokenToId(specialTokens[name]))
  const written = (id: number) => added.written(id) ?? model.tokenOf(id)
  const shown = (skip: boolean) => (id: number) => {
    const token = written(id)
    return token !== undefined && skip && added.isSpecial(token) ? undefined : token
  }
  const says = (key: string) => config?.optional(key)?.value === true
  const cleans =
    says('clean_up_tokenization_spaces') &&
    (model.type !== 'BPE' || says('clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output'))
  const splits = says('split_special_tokens')
  const encoding = ({ ids, offsets }: Assembled): Encoding => ({
    ids,
    offsets,
    tokens: ids.map((id) => idToToken(id) ?? ''),
  })
  const tokenized = (text: string, options: EncodeOptions): TokenizedText =>
    pipeline.tokenize(text, (options.splitSpecial ?? splits) ? 'ordinary' : 'all')
  const encode = (text: string, options: EncodeOptions = {}) =>
    encoding(assemble(processor, [tokenized(text, options)], options.specialTokens ?? true))
  const bosId = idOf('bos_token')
  const eosId = idOf('eos_token')
  const bytesOf = tokenBytes(decoder)
  return {
    encode,
    encodePair: (a, b, options = {}) => {
      const assembled = assemble(
        processor,
        [tokenized(a, options), tokenized(b, options)],
        options.specialTokens ?? true,
      )
      return { ...encoding(assembled), typeIds: assembled.typeIds }
    },
    decode: (ids, { skipSpecialTokens = false } = {}) => {
      const tokens = ids.map(shown(skipSpecialTokens)).filter((token) => token !== undefined)
      const text = decoder ? decoder.decode(tokens).join('') : tokens.join(' ')
      return cleans ? cleanedText(text) : text
    },
    bytes: (id) => {
      const token = added.tokens.get(id)?.content
      const ordinary = token === undefined ? model.tokenOf(id) : undefined
      return token !== undefined ? utf8(token) : ordinary === undefined ? new Uint8Array() : bytesOf(ordinary)
    },
    stream: ({ skipSpecialTokens = false } = {}) => textStream(decoder, shown(skipSpecialTokens)),
    size: highestId(pipeline) + 1,
    bosId,
    eosId,
    padId: idOf('pad_token'),
    unkId: idOf('unk_token'),
    addsBos: bosId !== undefined && encode('').ids[0] === bosId,
    addsEos: eosId !== undefined && addedBehind(processor) === eosId,
    specialTokens,
    tokenToId,
    idToToken,
    isSpecial: (id) => added.isSpecial(written(id) ?? ''),
    isAdded: (id) => added.tokens.has(id),
    chat: undefined,
  }
}

const encoderOf = ({ tokenize, added }: Pipeline, tokenizer: Tokenizer): ChatEncoder => ({
  encode: (text) => tokenizer.encode(text, { specialTokens: false }),
  encodePlain: (text) => {
    const { ids, offsets } = tokenize(text, 'none')
    return { ids, offsets, tokens: ids.map((id) => tokenizer.idToToken(id) ?? '') }
  },
  added: [...added.tokens.values()],
})

/** A file whose steps nest too deep would overflow the stack: that is a fault of the file. */
const boundedDepth = <T>(file: JsonPart, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    if (error instanceof RangeError) return file.fail('nests too deep')
    throw error
  }
}

const highestId = ({ model, added }: Pipeline): number => {
  let highest = model.highestId
  for (const id of added.tokens.keys()) highest = Math.max(highest, id)
  return highest
}
