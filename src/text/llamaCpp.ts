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
import type { Tokenizer } from './tokenizer.ts'
import { loadTokenizer } from './tokenizer.ts'
import type { Template, TokenizerFiles } from './tokenizerConfig.ts'
import { readParts, readTemplates } from './tokenizerConfig.ts'

/** llama.cpp's token types. */
const types = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const

export type LlamaCppTokenizer = {
  algorithm: 'gpt2' | 'llama'
  /** Name of the pattern that splits text before merging. */
  pre: string
  /** By id, one for each row of the model's embedding. */
  tokens: string[]
  types: number[]
  /** "a b", in the order of merging. */
  merges?: string[]
  /** A pair whose token has the higher score is merged first. */
  scores?: number[]
  addsSpace: boolean
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
    if (token === undefined) return types.unused
    if (bytes && id === tokenizer.unkId) return types.unknown
    if (tokenizer.isSpecial(id)) return types.control
    if (tokenizer.isAdded(id)) return types.userDefined
    return bytes && /^<0x[0-9A-F]{2}>$/.test(token) ? types.byte : types.normal
  }
  const ids = Array.from({ length: rows }, (_, id) => id)
  const typeList = ids.map((id) => typeOf(id, tokenizer.idToToken(id)))
  const text = (id: number): string => {
    const token = tokenizer.idToToken(id) ?? `[PAD${id}]`
    return bytes && typeList[id] === types.userDefined ? token.replaceAll('▁', ' ') : token
  }
  return { types: typeList, tokens: ids.map(text) }
}

type Algorithm = Pick<LlamaCppTokenizer, 'algorithm' | 'pre' | 'merges' | 'scores' | 'addsSpace'>

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

const apostrophes = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
const tail = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const cased = {
  lower: '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]',
  upper: '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]',
  before: '[^\\r\\n\\p{L}\\p{N}]?',
  after: ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
}
const { lower, upper, before, after } = cased
const ending = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

/**
 * llama.cpp's names for ways to split text (as `signature` writes them), and whether words in the vocabulary are not
 * merged.
 */
const patterns: readonly { split: string; pre: string; ignoresMerges?: boolean }[] = [
  { split: 'bytes', pre: 'gpt-2' },
  { split: 'digits, bytes', pre: 'smollm' },
  {
    split: `${apostrophes}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${tail}`,
    pre: 'llama-bpe',
    ignoresMerges: true,
  },
  { split: `${apostrophes}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${tail}`, pre: 'smaug-bpe' },
  { split: `${apostrophes}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${tail}`, pre: 'qwen2' },
  {
    split: `${before}${upper}*${lower}+${ending}|${before}${upper}+${lower}*${ending}|\\p{N}{1,3}|${after}`,
    pre: 'gpt-4o',
  },
  {
    split: `${before}${upper}*${lower}+|${before}${upper}+${lower}*|\\p{N}|${after}`,
    pre: 'tekken',
    ignoresMerges: true,
  },
]

const byteLevel = (file: JsonPart, steps: readonly JsonPart[]): Algorithm => {
  const normalizers = stepsOf(file.optional('normalizer'), 'normalizers').map((step) => step.at('type').text())
  const strange = normalizers.find((type) => type !== 'NFC')
  if (strange) refuse(file, `the normalizer ${strange}`)
  const model = file.at('model')
  const ignores = model.optional('ignore_merges')?.value === true
  const split = steps.map((step) => signature(step)).filter((part) => part !== '')
  const found = patterns.find(
    (pattern) => pattern.split === split.join(', ') && (pattern.ignoresMerges ?? false) === ignores,
  )
  if (!found) refuse(file, `this pre_tokenizer (${split.join(', ')}${ignores ? ', ignore_merges' : ''})`)
  const merges = model.at('merges').items()
  const text = (merge: JsonPart) =>
    typeof merge.value === 'string'
      ? merge.value
      : merge
          .items()
          .map((side) => side.text())
          .join(' ')
  return { algorithm: 'gpt2', pre: found!.pre, merges: merges.map(text), addsSpace: false }
}

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
  merges.forEach((merge, i) => {
    const sides = typeof merge.value === 'string' ? merge.value.split(' ') : merge.items().map((side) => side.text())
    const id = tokenizer.tokenToId(sides.join(''))
    if (id !== undefined && scores[id] === -1e6) scores[id] = -i
  })
  return { algorithm: 'llama', pre: 'default', scores, addsSpace: addsSpace(tokenizer) }
}

const addsSpace = (tokenizer: Tokenizer): boolean =>
  tokenizer.encode('a', { specialTokens: false }).tokens[0]?.startsWith('▁') === true
