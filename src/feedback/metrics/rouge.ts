/**
 * ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004, "ROUGE: A package for automatic evaluation of summaries"), with the tokens and
 * the values of Google's rouge-score: lower case, runs of a to z and 0 to 9, stems of words of more than three letters.
 */
import { stem } from './porterStemmer.ts'

/** Shares in [0, 1] of what both texts have: of the completion, of the reference, and their harmonic mean. */
export type RougeScore = { precision: number; recall: number; f: number }
export type RougeScores = { rouge1: RougeScore; rouge2: RougeScore; rougeL: RougeScore }

/** The tokens of a text; `rougeTokens('It is 3.14')` is ["it", "is", "3", "14"]. */
export const rougeTokens = (text: string, stemmed = false): string[] => {
  const tokens = text.toLowerCase().match(/[a-z0-9]+/g) ?? []
  return stemmed ? tokens.map((token) => (token.length > 3 ? stem(token) : token)) : tokens
}

const scoreOf = (both: number, completion: number, reference: number): RougeScore => {
  const precision = both / Math.max(1, completion)
  const recall = both / Math.max(1, reference)
  return { precision, recall, f: both ? (2 * precision * recall) / (precision + recall) : 0 }
}

const countsOf = (tokens: readonly string[], n: number): Map<string, number> => {
  const counts = new Map<string, number>()
  for (let i = 0; i + n <= tokens.length; i++) {
    const gram = tokens.slice(i, i + n).join(' ')
    counts.set(gram, (counts.get(gram) ?? 0) + 1)
  }
  return counts
}

/** ROUGE-N of two lists of tokens: n-grams of `n` tokens that both have, each as often as the rarer side has it. */
export const rougeN = (completion: readonly string[], reference: readonly string[], n: number): RougeScore => {
  const wanted = countsOf(reference, n)
  let both = 0
  for (const [gram, count] of countsOf(completion, n)) both += Math.min(count, wanted.get(gram) ?? 0)
  return scoreOf(both, Math.max(0, completion.length - n + 1), Math.max(0, reference.length - n + 1))
}

/**
 * ROUGE-L of two lists of tokens: their longest common subsequence. Quick enough to hold a new prompt against a pool of
 * thousands: 32 tokens are compared at once.
 */
export const rougeL = (completion: readonly string[], reference: readonly string[]): RougeScore =>
  scoreOf(longestCommonSubsequence(completion, reference), completion.length, reference.length)

/**
 * The length of the longest common subsequence, by rows of bits (Hyyro 2004, "Bit-parallel LCS-length computation
 * revisited"): a bit of `row` is 0 where the length grows by one.
 */
export const longestCommonSubsequence = (a: readonly string[], b: readonly string[]): number => {
  const words = Math.ceil(a.length / 32)
  const places = new Map<string, Uint32Array>()
  for (const [i, token] of a.entries()) {
    const mask = places.get(token) ?? new Uint32Array(words)
    mask[i >>> 5] |= 1 << (i & 31)
    places.set(token, mask)
  }
  const row = new Uint32Array(words).fill(0xffffffff)
  for (const token of b) {
    const mask = places.get(token)
    if (!mask) continue
    let carry = 0
    for (let w = 0; w < words; w++) {
      const matched = (row[w] & mask[w]) >>> 0
      const sum = row[w] + matched + carry
      carry = sum > 0xffffffff ? 1 : 0
      row[w] = sum | (row[w] & ~mask[w])
    }
  }
  let length = 0
  for (let i = 0; i < a.length; i++) length += (~row[i >>> 5] >>> (i & 31)) & 1
  return length
}

/**
 * ROUGE-1, ROUGE-2 and ROUGE-L of a completion. Of several references each measure takes the one with the highest F, as
 * rouge-score's `score_multi`.
 * @param references at least one
 * @param stemmed compares stems of words
 */
export const rouge = (completion: string, references: readonly string[], stemmed = false): RougeScores => {
  const tokens = rougeTokens(completion, stemmed)
  const wanted = references.map((reference) => rougeTokens(reference, stemmed))
  const best = (score: (reference: string[]) => RougeScore) =>
    wanted.map(score).reduce((most, next) => (next.f > most.f ? next : most))
  return {
    rouge1: best((reference) => rougeN(tokens, reference, 1)),
    rouge2: best((reference) => rougeN(tokens, reference, 2)),
    rougeL: best((reference) => rougeL(tokens, reference)),
  }
}
