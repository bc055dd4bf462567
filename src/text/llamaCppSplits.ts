/**
 * The ways in which text is split before byte-level BPE merges it, with llama.cpp's names for them (tokenizer.ggml.pre). Source:
 * llama-vocab.cpp, where several names share a pattern.
 */

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

/** A way to split, as `signature` in llamaCpp.ts writes it. */
export type LlamaCppSplit = {
  split: string
  /** Its names; the first is the one that is written. */
  pre: readonly [string, ...string[]]
  /** Words that are in the vocabulary as a whole are not merged. */
  ignoresMerges?: boolean
}

const threeDigits = `${apostrophes}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${tail}`

export const splits: readonly LlamaCppSplit[] = [
  { split: 'bytes', pre: ['gpt-2', 'phi-2', 'jina-es', 'jina-de', 'roberta-bpe', 'mpt', 'olmo', 'granite-docling'] },
  { split: 'digits, bytes', pre: ['smollm', 'starcoder', 'refact', 'command-r', 'codeshell', 'exaone', 'minerva-7b'] },
  {
    split: threeDigits,
    pre: ['llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2'],
    ignoresMerges: true,
  },
  { split: threeDigits, pre: ['smaug-bpe', 'dbrx'] },
  {
    split: `${apostrophes}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${tail}`,
    pre: ['qwen2', 'deepseek-r1-qwen', 'stablelm2', 'megrez'],
  },
  {
    split: `${before}${upper}*${lower}+${ending}|${before}${upper}+${lower}*${ending}|\\p{N}{1,3}|${after}`,
    pre: ['gpt-4o', 'llama4'],
  },
  {
    split: `${before}${upper}*${lower}+|${before}${upper}+${lower}*|\\p{N}|${after}`,
    pre: ['tekken'],
    ignoresMerges: true,
  },
]
