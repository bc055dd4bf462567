/**
 * A tokenizer in llama.cpp's form: a flat list of tokens with types, and the merges or scores of its algorithm.
 *
 * llama.cpp has no pipeline of steps. It knows the patterns that split text for byte-level BPE by name. For
 * SentencePiece BPE it has no merges but scores, higher for tokens that are merged earlier. A tokenizer with anything
 * else is refused, since its texts would become other tokens in llama.cpp. Unigram is refused too: llama.cpp was seen
 * to miss tokens of the vocabulary. Source: llama-vocab.cpp.
 */
import { badInput } from '../util/fault.ts'
import type { JsonPart } from './jsonPart.ts'
import { splits } from './llamaCppSplits.ts'
import type { Tokenizer } from './tokenizer.ts'
import { loadTokenizer } from './tokenizer.ts'
import type { Template, TokenizerFiles } from './tokenizerConfig.ts'
import { readParts, readTemplates } from './tokenizerConfig.ts'

/** llama.cpp's token types. */
export const llamaCppTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

/**
 * How a SentencePiece tokenizer puts a space before a text: 'prepend' before every text between special tokens; 'always' before those
 * that do not begin with one; 'first' as 'always', and before the first text alone.
 */
export const spacePrefixes = ['prepend', 'always', 'first'] as const
export type SpacePrefix = (typeof spacePrefixes)[number]

export type LlamaCppTokenizer = {
  algorithm: 'gpt2' | 'llama'
  /** Name of the pattern that splits text before merging. */
  pre: string
  /** By id, one for each row of the model's embedding. */
  tokens: string[]
  types: number[]
  /** "a b", in the order of merging. llama.cpp reads them for byte-level BPE alone; transformers and attune read them always. */
  merges?: string[]
  /** A pair whose token has the higher score is merged first. */
  scores?: number[]
  /** llama.cpp puts a space before every text between special tokens; the tokenizer may do so otherwise. */
  addsSpace: boolean
  spacePrefix?: SpacePrefix
  addsBos: boolean
  addsEos: boolean
  bosId?: number
  eosId?: number
  unkId?: number
  padId?: number
  templates: Readonly<Record<string, Template>>
}

/**
 * @param rows of the embedding; ids without a token become unused tokens
 * Throws a Fault 'gguf' that names what llama.cpp cannot do.
 */
export const llamaCppTokenizer = async (files: TokenizerFiles, rows: number): Promise<LlamaCppTokenizer> => {
  const { file, config } = await readParts(files)
  const tokenizer = await loadTokenizer(files)
  if (tokenizer.size > rows) return refuse(file, `ids up to ${tokenizer.size - 1}, where the model has ${rows} rows`)
  const { algorithm, ...own } = algorithmOf(file, tokenizer, rows)
  const { bosId, eosId, unkId, padId, addsBos, addsEos } = tokenizer
  return {
    algorithm,
    ...own,
    ...tokensOf(tokenizer, rows, algorithm),
    addsBos,
    addsEos,
    bosId,
    eosId,
    unkId,
    padId,
    templates: await readTemplates(files, config),
  }
}

const refuse = (file: JsonPart, what: string): never => {
  throw badInput('gguf', `llama.cpp has no tokenizer with ${what}`, { file: file.file })
}

const tokensOf = (tokenizer: Tokenizer, rows: number, algorithm: string) => {
  const bytes = algorithm === 'llama'
  const typeOf = (id: number, token: string | undefined): number => {
    if (token === undefined) return llamaCppTypes.unused
    if (bytes && id === tokenizer.unkId) return llamaCppTypes.unknown
    if (tokenizer.isSpecial(id)) return llamaCppTypes.control
    if (tokenizer.isAdded(id)) return llamaCppTypes.userDefined
    return bytes && /^<0x[0-9A-F]{2}>$/.test(token) ? llamaCppTypes.byte : llamaCppTypes.normal
  }
  const ids = Array.from({ length: rows }, (_, id) => id)
  const typeList = ids.map((id) => typeOf(id, tokenizer.idToToken(id)))
  const text = (id: number): string => {
    const token = tokenizer.idToToken(id) ?? `[PAD${id}]`
    return bytes && typeList[id] === llamaCppTypes.userDefined ? token.replaceAll('▁', ' ') : token
  }
  return { types: typeList, tokens: ids.map(text) }
}

type Algorithm = Pick<LlamaCppTokenizer, 'algorithm' | 'pre' | 'merges' | 'scores' | 'addsSpace' | 'spacePrefix'>

const algorithmOf = (file: JsonPart, tokenizer: Tokenizer, rows: number): Algorithm => {
  const model = file.at('model')
  const type = model.optional('type')?.text() ?? (model.has('merges') ? 'BPE' : 'of an unnamed type')
  if (type !== 'BPE') return refuse(file, `a ${type} model`)
  const steps = stepsOf(file.optional('pre_tokenizer'), 'pretokenizers')
  return steps.some((step) => step.at('type').text() === 'ByteLevel')
    ? byteLevel(file, steps)
    : sentencePiece(file, tokenizer, rows)
}

/** The steps of a Sequence, or a single part as a list of one. */
const stepsOf = (part: JsonPart | undefined, key: string): JsonPart[] => {
  if (!part) return []
  return part.at('type').value === 'Sequence'
    ? part
        .at(key)
        .items()
        .flatMap((step) => stepsOf(step, key))
    : [part]
}

const byteLevel = (file: JsonPart, steps: readonly JsonPart[]): Algorithm => {
  const normalizers = stepsOf(file.optional('normalizer'), 'normalizers').map((step) => step.at('type').text())
  const strange = normalizers.find((type) => type !== 'NFC')
  if (strange) refuse(file, `the normalizer ${strange}`)
  const model = file.at('model')
  const ignores = model.optional('ignore_merges')?.value === true
  const split = steps.map((step) => signature(step)).filter((part) => part !== '')
  const found = splits.find((known) => known.split === split.join(', ') && (known.ignoresMerges ?? false) === ignores)
  if (!found) refuse(file, `this pre_tokenizer (${split.join(', ')}${ignores ? ', ignore_merges' : ''})`)
  const merges = model.at('merges').items()
  return { algorithm: 'gpt2', pre: found!.pre[0], merges: merges.map(mergeText), addsSpace: false }
}

/** "a b", whichever way tokenizer.json writes it. */
const mergeText = (merge: JsonPart): string =>
  typeof merge.value === 'string'
    ? merge.value
    : merge
        .items()
        .map((side) => side.text())
        .join(' ')

/** A short text for a pre-tokenizer step; '' for one that does not split. */
const signature = (step: JsonPart): string => {
  const type = step.at('type').text()
  const is = (key: string, silent: boolean) => (step.optional(key)?.value ?? silent) === true
  if (type === 'ByteLevel')
    return is('add_prefix_space', true) ? 'space before, bytes' : is('use_regex', true) ? 'bytes' : ''
  if (type === 'Digits' && is('individual_digits', false)) return 'digits'
  const regex = type === 'Split' && step.at('behavior').value === 'Isolated' && step.at('pattern').optional('Regex')
  return regex ? regex.text() : type
}

/** Scores that make llama.cpp merge in the order of the merges: minus the index of a token's first merge. */
const sentencePiece = (file: JsonPart, tokenizer: Tokenizer, rows: number): Algorithm => {
  const model = file.at('model')
  if (model.optional('byte_fallback')?.value !== true) refuse(file, 'BPE without bytes to fall back on')
  const merges = model.at('merges').items()
  const scores = new Array<number>(rows).fill(-1e6)
  const texts = merges.map(mergeText)
  texts.forEach((merge, i) => {
    const id = tokenizer.tokenToId(merge.replace(' ', ''))
    if (id !== undefined && scores[id] === -1e6) scores[id] = -i
  })
  return { algorithm: 'llama', pre: 'default', merges: texts, scores, ...spacesOf(tokenizer) }
}

const spacesOf = (tokenizer: Tokenizer): Pick<Algorithm, 'addsSpace' | 'spacePrefix'> => {
  const written = (text: string) => tokenizer.encode(text, { specialTokens: false }).tokens.join('')
  if (!written('a').startsWith('▁')) return { addsSpace: false }
  const special = tokenizer.specialTokens.bos_token ?? tokenizer.specialTokens.eos_token
  const later = special !== undefined && written(`a${special}a`).endsWith('▁a')
  return { addsSpace: true, spacePrefix: written(' a').startsWith('▁▁') ? 'prepend' : later ? 'always' : 'first' }
}
