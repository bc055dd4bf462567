/**
 * The tokenizer and the chat templates in the metadata of a GGUF file, as the files of a Hugging Face folder: the reverse of
 * llamaCpp.ts. The metadata names the way to split text instead of describing it, and where SentencePiece's merges are not
 * there, they are made from the scores as transformers makes them.
 */
import { badInput } from '../util/fault.ts'
import { type GgufMeta, metaFlag, metaNumber, metaNumbers, metaText, metaTexts } from '../util/ggufHeader.ts'
import { quoted } from '../util/quote.ts'
import { type SpacePrefix, spacePrefixes, llamaCppTypes as types } from './llamaCpp.ts'
import { splits } from './llamaCppSplits.ts'

type Metadata = ReadonlyMap<string, GgufMeta>

/** What is read of the metadata, checked. */
type Vocabulary = {
  tokens: readonly string[]
  /** Of the tokens. */
  types: Float64Array
  scores: Float64Array | undefined
  merges: readonly string[] | undefined
  /** Texts of special tokens by their names in tokenizer_config.json. */
  names: Record<string, string>
  addsBos: boolean
  addsEos: boolean
  space: SpacePrefix | undefined
  architecture: string
  file: string
}

/**
 * Contents by file name; undefined where the file has no tokenizer, as of attune's own models without one.
 * Throws Faults 'gguf' for a kind of tokenizer that attune does not know, and 'bad-gguf' for lists that do not fit together.
 */
export const ggufTokenizer = (metadata: Metadata, file: string): Record<string, string> | undefined => {
  const model = metaText(metadata, 'tokenizer.ggml.model', file)
  if (model === undefined || model === 'no_vocab' || model === 'none') return undefined
  if (model !== 'gpt2' && model !== 'llama')
    throw badInput('gguf', `has a tokenizer of the kind ${quoted(model)}; attune reads gpt2 and llama`, { file })
  const read = vocabularyOf(metadata, model, file)
  if (model === 'gpt2' && !read.merges?.length) return undefined
  const pipeline = model === 'gpt2' ? byteLevel(read, metadata) : sentencePiece(read)
  return {
    'tokenizer.json': JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      ...pipeline,
      post_processor: postProcessor(read, model),
    }),
    'tokenizer_config.json': JSON.stringify({ tokenizer_class: 'TokenizersBackend', ...read.names }),
    ...templatesOf(metadata, file),
  }
}

const vocabularyOf = (metadata: Metadata, model: string, file: string): Vocabulary => {
  const key = (name: string) => `tokenizer.ggml.${name}`
  const tokens = metaTexts(metadata, key('tokens'), file) ?? []
  if (!tokens.length) throw badInput('bad-gguf', 'has a tokenizer without tokens', { file })
  const fitting = (name: string) => {
    const list = metaNumbers(metadata, key(name), file)
    if (list && list.length !== tokens.length)
      throw badInput('bad-gguf', `${key(name)} has ${list.length} values for ${tokens.length} tokens`, { file })
    return list
  }
  const sides = model === 'llama'
  const id = (name: string, silent?: number): string | undefined => {
    const found = metaNumber(metadata, key(`${name}_token_id`), file) ?? silent
    if (found === undefined) return undefined
    if (!Number.isInteger(found) || found < 0 || found >= tokens.length)
      throw badInput('bad-gguf', `${key(`${name}_token_id`)} is ${found}, and there are ${tokens.length} tokens`, {
        file,
      })
    return tokens[found]
  }
  // what llama.cpp assumes of SentencePiece where the file is silent
  const names = {
    bos_token: id('bos', sides ? 1 : undefined),
    eos_token: id('eos', sides ? 2 : undefined),
    unk_token: id('unknown', sides ? 0 : undefined),
    pad_token: id('padding'),
  }
  const pre = metaText(metadata, key('pre'), file)
  const silentBos = sides || ['llama-bpe', 'llama3', 'llama-v3', 'tekken'].includes(pre ?? '')
  return {
    tokens,
    types: fitting('token_type') ?? new Float64Array(tokens.length).fill(types.normal),
    scores: fitting('scores'),
    merges: metaTexts(metadata, key('merges'), file),
    names: Object.fromEntries(
      Object.entries(names).filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
    addsBos: names.bos_token !== undefined && (metaFlag(metadata, key('add_bos_token'), file) ?? silentBos),
    addsEos: names.eos_token !== undefined && (metaFlag(metadata, key('add_eos_token'), file) ?? false),
    space: spaceOf(metadata, file),
    architecture: metaText(metadata, 'general.architecture', file) ?? '',
    file,
  }
}

/**
 * Whether and how a space comes before a text. Only files that attune wrote say how; of others it is as in transformers: Phi-3 puts
 * one before every text.
 */
const spaceOf = (metadata: Metadata, file: string): SpacePrefix | undefined => {
  if (metaFlag(metadata, 'tokenizer.ggml.add_space_prefix', file) === false) return undefined
  const said = metaText(metadata, 'attune.tokenizer.space_prefix', file)
  const silent = metadata.get('general.architecture') === 'phi3' ? 'prepend' : 'first'
  return spacePrefixes.find((prefix) => prefix === said) ?? silent
}

// ---- parts of tokenizer.json -----------------------------------------------------------------------------------------

const bytes = (regex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: regex })

const byteLevel = (read: Vocabulary, metadata: Metadata) => {
  const { merges, file } = read
  const pre = metaText(metadata, 'tokenizer.ggml.pre', file)
  const known = splits.flatMap((split) => split.pre)
  const found = splits.find((split) => pre !== undefined && split.pre.includes(pre))
  if (!found)
    throw badInput(
      'gguf',
      `${pre === undefined ? 'names no pre-tokenizer, as files before May 2024 do' : `has the pre-tokenizer ${quoted(pre)}`}; attune knows ${known.join(', ')}: take a newer file, or the folder that it was made from`,
      { file },
    )
  const { split, ignoresMerges = false } = found
  const digits = { type: 'Digits', individual_digits: true }
  const regex = { type: 'Split', pattern: { Regex: split }, behavior: 'Isolated', invert: false }
  const steps =
    split === 'bytes' ? [bytes(true)] : split === 'digits, bytes' ? [digits, bytes(true)] : [regex, bytes(false)]
  return {
    added_tokens: addedTokens(read),
    normalizer: pre === 'qwen2' ? { type: 'NFC' } : null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: steps },
    decoder: bytes(true),
    model: { type: 'BPE', ignore_merges: ignoresMerges, vocab: entriesOf(read), merges: merges! },
  }
}

const marker = '▁'
const onlySpaces = /^ +$/

const sentencePiece = (given: Vocabulary) => {
  // user-defined runs of spaces are written as spaces, and matched as what spaces become
  const tokens = given.tokens.map((token) => (onlySpaces.test(token) ? token.replaceAll(' ', marker) : token))
  const read = { ...given, tokens }
  const { space } = read
  const replaced = { type: 'Replace', pattern: { String: ' ' }, content: marker }
  const prepended = [{ type: 'Prepend', prepend: marker }, replaced]
  const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 }
  const back = [
    { type: 'Replace', pattern: { String: marker }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
  ]
  return {
    added_tokens: addedTokens(given),
    normalizer:
      space === undefined ? replaced : space === 'prepend' ? { type: 'Sequence', normalizers: prepended } : null,
    pre_tokenizer:
      space === 'first' || space === 'always'
        ? { type: 'Metaspace', replacement: marker, prepend_scheme: space, split: false }
        : null,
    decoder: { type: 'Sequence', decoders: space ? [...back, strip] : back },
    model: {
      type: 'BPE',
      unk_token: read.names.unk_token ?? null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: entriesOf(read),
      merges: read.merges ?? madeMerges(read),
    },
  }
}

/** Ids that only fill the embedding's rows are left out. */
const entriesOf = ({ tokens, types: list }: Vocabulary) =>
  Object.fromEntries(
    tokens.flatMap((token, id): [string, number][] =>
      list[id] === types.unused && token === `[PAD${id}]` ? [] : [[token, id]],
    ),
  )

const addedTokens = ({ tokens, types: list, names }: Vocabulary) => {
  const special = new Set(Object.values(names))
  return tokens.flatMap((content, id) => {
    const isSpecial = list[id] === types.control || list[id] === types.unknown || special.has(content)
    if (!isSpecial && (list[id] !== types.userDefined || onlySpaces.test(content))) return []
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false }
    return content === '' ? [] : [{ id, content, ...flags, special: isSpecial }]
  })
}

/** Cutting every token in two takes the square of its length; the longest vocabularies in use take a hundredth of this. */
const cutLimit = 2 ** 31

/**
 * Two tokens merge into a third in the order of its score, the highest first. Gemma's scores do not follow the order of
 * merging, and its ids do. Of several ways to make a token, the one with the longer first part comes first.
 */
const madeMerges = ({ tokens, types: list, scores, architecture, file }: Vocabulary): [string, string][] => {
  const byId = architecture.startsWith('gemma')
  if (!scores && !byId) throw badInput('bad-gguf', 'has a SentencePiece tokenizer without scores or merges', { file })
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const work = tokens.reduce((sum, token) => sum + token.length ** 2, 0)
  if (work > cutLimit)
    throw badInput('bad-gguf', 'has tokens that are too long for a vocabulary; fetch the file again', { file })
  const merges: { left: string; right: string; score: number }[] = []
  for (const [id, token] of tokens.entries()) {
    if (list[id] !== types.normal && list[id] !== types.userDefined) continue
    const score = byId ? -id : scores![id]
    const ways: typeof merges = []
    for (let cut = 1; cut < token.length; cut++) {
      const [left, right] = [token.slice(0, cut), token.slice(cut)]
      if (ids.has(left) && ids.has(right)) ways.push({ left, right, score })
    }
    ways.sort((a, b) => ids.get(a.left)! - ids.get(b.left)! || ids.get(a.right)! - ids.get(b.right)!)
    merges.push(...ways)
  }
  merges.sort((a, b) => b.score - a.score || b.left.length - a.left.length || b.right.length - a.right.length)
  return merges.map(({ left, right }) => [left, right])
}

const postProcessor = ({ names, tokens, addsBos, addsEos }: Vocabulary, model: string) => {
  const around = [addsBos && names.bos_token, addsEos && names.eos_token].filter((token) => token !== false)
  if (!around.length) return model === 'gpt2' ? { ...bytes(true), trim_offsets: false } : null
  const text = (id: 'A' | 'B', type_id: number) => [
    ...(addsBos ? [{ SpecialToken: { id: names.bos_token, type_id } }] : []),
    { Sequence: { id, type_id } },
    ...(addsEos ? [{ SpecialToken: { id: names.eos_token, type_id } }] : []),
  ]
  return {
    type: 'TemplateProcessing',
    single: text('A', 0),
    pair: [...text('A', 0), ...text('B', 1)],
    special_tokens: Object.fromEntries(
      around.map((id) => [id, { id, ids: [tokens.indexOf(id as string)], tokens: [id] }]),
    ),
  }
}

const templatesOf = (metadata: Metadata, file: string): Record<string, string> => {
  const prefix = 'tokenizer.chat_template'
  const main = metaText(metadata, prefix, file)
  const named = [...metadata.keys()]
    .filter((key) => key.startsWith(`${prefix}.`))
    .map((key) => key.slice(prefix.length + 1))
  const strange = named.find((name) => !/^\w[\w-]*$/.test(name))
  if (strange !== undefined)
    throw badInput('bad-gguf', `has a chat template with the name ${quoted(strange)}`, { file })
  return {
    ...(main !== undefined && { 'chat_template.jinja': main }),
    ...Object.fromEntries(
      named.map((name) => [`additional_chat_templates/${name}.jinja`, metaText(metadata, `${prefix}.${name}`, file)!]),
    ),
  }
}
