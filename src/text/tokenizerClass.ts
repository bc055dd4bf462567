/**
 * The tokenizer classes of transformers 5 that do not use tokenizer.json as it is. AutoTokenizer picks a class from
 * tokenizer_config.json and config.json, and some classes take only vocabulary, merges and post-processor from the file
 * and put their own pipeline around them. LlamaTokenizer, for one, puts the space marker only before the first word of
 * a text, so `<s>\n` is [1, 13], where an old file alone gives [1, 29871, 13]. The table follows tokenization_auto.py
 * and the constructors of the classes (5.24) for the language models that attune reads; any other class uses its file
 * as it is.
 */
import type { Json, JsonPart } from './jsonPart.ts'
import { jsonPart } from './jsonPart.ts'

export type TokenizerClass = {
  /** Special tokens of the class, which a file may replace, or remove with null. */
  readonly names: Readonly<Record<string, string>>
  /** The class adds its special tokens again: without flags, or with those from the files. */
  readonly marksSpecials?: 'plain' | 'flags'
  /** The parts that replace those of the file; `unk` is the text of the unknown token. */
  parts(config: JsonPart | undefined, unk: string | null): Json
}

const replaceSpaces = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
const fromMarkers = [
  { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
  { type: 'ByteFallback' },
  { type: 'Fuse' },
]
const byteLevel = (config: JsonPart | undefined, more: object = {}) => ({
  type: 'ByteLevel',
  add_prefix_space: config?.optional('add_prefix_space')?.flag() ?? false,
  trim_offsets: true,
  use_regex: true,
  ...more,
})
const qwenPattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

const llamaPipeline = (
  config: JsonPart | undefined,
  scheme: 'first' | 'always',
  model: object,
  strips: boolean,
): Json => {
  const prefixed = config?.optional('add_prefix_space')?.flag() ?? true
  return {
    normalizer: null,
    pre_tokenizer: {
      type: 'Metaspace',
      replacement: '▁',
      prepend_scheme: prefixed ? scheme : 'never',
      split: false,
    },
    decoder: {
      type: 'Sequence',
      decoders: strips || prefixed ? [...fromMarkers, { type: 'Strip', content: ' ', start: 1, stop: 0 }] : fromMarkers,
    },
    model: { fuse_unk: true, byte_fallback: true, ...model },
  }
}

const classes: Readonly<Record<string, TokenizerClass>> = {
  LlamaTokenizer: {
    names: { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' },
    parts: (config) => llamaPipeline(config, config?.optional('legacy')?.flag() ? 'always' : 'first', {}, false),
  },
  CodeLlamaTokenizer: {
    names: { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' },
    parts: (config, unk) => llamaPipeline(config, 'first', { unk_token: unk }, true),
  },
  GemmaTokenizer: {
    names: {
      bos_token: '<bos>',
      eos_token: '<eos>',
      unk_token: '<unk>',
      pad_token: '<pad>',
      mask_token: '<mask>',
    },
    parts: (_, unk) => ({
      normalizer: replaceSpaces,
      pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
      decoder: { type: 'Sequence', decoders: fromMarkers },
      model: { fuse_unk: true, byte_fallback: true, unk_token: unk },
    }),
  },
  Qwen2Tokenizer: {
    names: { eos_token: '<|endoftext|>', unk_token: '<|endoftext|>', pad_token: '<|endoftext|>' },
    marksSpecials: 'plain',
    parts: (config) => ({
      normalizer: { type: 'NFC' },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Split', pattern: { Regex: qwenPattern }, behavior: 'Isolated', invert: false },
          byteLevel(config, { use_regex: false }),
        ],
      },
      decoder: byteLevel(config),
      model: {},
    }),
  },
  GPT2Tokenizer: {
    names: { bos_token: '<|endoftext|>', eos_token: '<|endoftext|>', unk_token: '<|endoftext|>' },
    parts: (config) => ({
      normalizer: null,
      pre_tokenizer: byteLevel(config),
      decoder: byteLevel(config),
      model: {},
    }),
  },
  GPTNeoXTokenizer: {
    names: {
      bos_token: '<|endoftext|>',
      eos_token: '<|endoftext|>',
      unk_token: '<|endoftext|>',
      pad_token: '<|padding|>',
    },
    parts: (config) => ({
      normalizer: { type: 'NFC' },
      pre_tokenizer: byteLevel(config),
      decoder: byteLevel(config),
      post_processor: null,
      model: {},
    }),
  },
  CohereTokenizer: {
    names: {
      bos_token: '<BOS_TOKEN>',
      eos_token: '<|END_OF_TURN_TOKEN|>',
      unk_token: '<UNK>',
      sep_token: '<SEP>',
      pad_token: '<PAD>',
      cls_token: '<CLS>',
      mask_token: '<MASK_TOKEN>',
    },
    marksSpecials: 'flags',
    parts: (config) => ({
      normalizer: { type: 'NFC' },
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(config)],
      },
      decoder: byteLevel(config),
      model: {},
    }),
  },
}

/** The class that transformers registers for a type of model; 'file' is TokenizersBackend, which runs the file. */
const registered: Readonly<Record<string, string>> = {
  mistral: 'file',
  mixtral: 'file',
  phi3: 'file',
  gemma: 'GemmaTokenizer',
  gemma2: 'GemmaTokenizer',
  gemma3: 'GemmaTokenizer',
  gemma3_text: 'GemmaTokenizer',
  qwen2: 'Qwen2Tokenizer',
  qwen2_moe: 'Qwen2Tokenizer',
  qwen3: 'Qwen2Tokenizer',
  qwen3_moe: 'Qwen2Tokenizer',
  gpt2: 'GPT2Tokenizer',
  gpt_neox: 'GPTNeoXTokenizer',
  cohere: 'CohereTokenizer',
  cohere2: 'CohereTokenizer',
}
/** Types whose folders often name a wrong class, so that the registered one goes before it. */
const wronglyNamed = ['phi3', 'qwen2', 'internlm2', 'internlm3', 'minicpm3', 'modernbert']

/** The class of a tokenizer that does not run its file as it stands; undefined for one that does. */
export const tokenizerClassOf = (
  file: JsonPart,
  config: JsonPart | undefined,
  modelConfig: JsonPart | undefined,
): TokenizerClass | undefined => {
  const model = file.at('model')
  const isBpe = (model.optional('type')?.value ?? 'BPE') === 'BPE' && model.has('merges')
  const name = isBpe ? className(file, config, modelConfig) : undefined
  return name !== undefined && Object.hasOwn(classes, name) ? classes[name] : undefined
}

const className = (
  file: JsonPart,
  config: JsonPart | undefined,
  modelConfig: JsonPart | undefined,
): string | undefined => {
  const named = [config, modelConfig].map((from) => from?.optional('tokenizer_class')?.text()).find(Boolean)
  const hub = named?.replace(/Fast$/, '')
  const type = modelConfig?.optional('model_type')?.text() ?? ''
  const own = Object.hasOwn(registered, type) ? registered[type] : wronglyNamed.includes(type) ? 'file' : undefined
  const isMistral = type === 'mistral' || type === 'mixtral'
  if (hub === 'LlamaTokenizer' && !isMistral && !wronglyNamed.includes(type) && isByteLevel(file.value))
    return undefined
  if (hub === undefined || (own !== undefined && (own === 'file' || wronglyNamed.includes(type)))) return own
  return hub
}

/** Whether a part of the file is of the type ByteLevel; the vocabulary is not looked through. */
const isByteLevel = (part: unknown): boolean => {
  if (Array.isArray(part)) return part.some(isByteLevel)
  if (typeof part !== 'object' || part === null) return false
  const { model, ...rest } = part as Json
  return rest.type === 'ByteLevel' || Object.values(rest).some(isByteLevel)
}

/**
 * The file as its class reads it. The class has no added tokens of the file: they come with the table of the config.
 */
export const asClass = (
  file: JsonPart,
  { parts }: TokenizerClass,
  config: JsonPart | undefined,
  unk: string | null,
): JsonPart => {
  const model = file.at('model')
  const own = parts(config, unk)
  return jsonPart(file.file, {
    post_processor: file.record().post_processor,
    ...own,
    added_tokens: [],
    model: { type: 'BPE', vocab: model.at('vocab').value, merges: model.at('merges').value, ...(own.model as Json) },
  })
}
