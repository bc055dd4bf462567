/**
 * BLEU (Papineni et al. 2002) as sacreBLEU computes it (Post 2018): tokens of mteval-v13a, n-grams up to 4, counts cut at
 * the highest of any reference, the length of the closest reference.
 */

/**
 * What an n-gram order without a match counts as (Chen and Cherry 2014): exp halves it with each such order, floor puts a
 * small number of matches, add-k adds to matches and n-grams from bigrams on.
 */
export const smoothings = ['exp', 'floor', 'add-k', 'none'] as const
export type Smoothing = (typeof smoothings)[number]

export type BleuOptions = {
  smooth?: Smoothing
  /** Of floor (default 0.1) and add-k (default 1). */
  smoothValue?: number
  lowercase?: boolean
}

export type Bleu = {
  /** 0 to 100. */
  score: number
  /** Percent of n-grams that match, by n from 1 to 4. */
  precisions: number[]
  /** Brevity penalty. */
  bp: number
  sys_len: number
  ref_len: number
  /** Matching n-grams and all n-grams, by n. */
  counts: number[]
  totals: number[]
}

const order = 4

// biome-ignore lint/suspicious/noControlCharactersInRegex: Python's white space, which has some of them
const space = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/u

/** The tokens of a text; `bleuTokens("isn't 3.14, or")` is ["isn't", "3.14", ",", "or"]. */
export const bleuTokens = (text: string): string[] =>
  ` ${unescaped(text.replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' '))} `
    .replace(/([{-~[-` -&(-+:-@/])/gu, ' $1 ')
    // A point or a comma that is not inside a number, and a dash behind a digit
    .replace(/([^0-9])([.,])/gu, '$1 $2 ')
    .replace(/([.,])([^0-9])/gu, ' $1 $2')
    .replace(/([0-9])(-)/gu, '$1 $2 ')
    .split(space)
    .filter(Boolean)

const unescaped = (text: string) =>
  text.replaceAll('&quot;', '"').replaceAll('&amp;', '&').replaceAll('&lt;', '<').replaceAll('&gt;', '>')

/** Python's rstrip, behind which sacreBLEU looks for a dash at the end of a line. */
const trimmed = (text: string) => {
  let end = text.length
  while (end > 0 && space.test(text[end - 1])) end--
  return text.slice(0, end)
}

const ngramsOf = (tokens: readonly string[]): Map<string, number>[] =>
  Array.from({ length: order }, (_, n) => {
    const counts = new Map<string, number>()
    for (let i = 0; i + n < tokens.length; i++) {
      const gram = tokens.slice(i, i + n + 1).join(' ')
      counts.set(gram, (counts.get(gram) ?? 0) + 1)
    }
    return counts
  })

/** What a segment adds to a corpus. */
export type BleuCounts = Pick<Bleu, 'counts' | 'totals' | 'sys_len' | 'ref_len'>

/** @param references at least one */
export const bleuCounts = (completion: string, references: readonly string[], lowercase = false): BleuCounts => {
  const tokensOf = (text: string) => bleuTokens(trimmed(lowercase ? text.toLowerCase() : text))
  const tokens = tokensOf(completion)
  const wanted = references.map(tokensOf)
  const grams = wanted.map(ngramsOf)
  const counts = ngramsOf(tokens).map((own, n) => {
    let matching = 0
    for (const [gram, count] of own) {
      const most = grams.reduce((highest, of) => Math.max(highest, of[n].get(gram) ?? 0), 0)
      matching += Math.min(count, most)
    }
    return matching
  })
  return {
    counts,
    totals: Array.from({ length: order }, (_, n) => Math.max(0, tokens.length - n)),
    sys_len: tokens.length,
    ref_len: closest(
      tokens.length,
      wanted.map(({ length }) => length),
    ),
  }
}

/** The closest length; of two as close the shorter. */
const closest = (length: number, lengths: readonly number[]) =>
  lengths.reduce((best, next) => {
    const by = Math.abs(next - length) - Math.abs(best - length)
    return by < 0 || (by === 0 && next < best) ? next : best
  })

const defaultValues: Record<Smoothing, number> = { exp: 0, floor: 0.1, 'add-k': 1, none: 0 }

/** The logarithm of 0 that sacreBLEU takes. */
const log = (x: number) => (x === 0 ? -9999999999 : Math.log(x))

/**
 * BLEU of counts, which are those of a segment or the sum of a corpus.
 * @param effective leaves out orders that are longer than the text, as for single segments
 */
const bleuOf = (
  { counts, totals, sys_len, ref_len }: BleuCounts,
  { smooth = 'exp', smoothValue }: BleuOptions,
  effective: boolean,
): Bleu => {
  const value = smoothValue ?? defaultValues[smooth]
  const bp = sys_len >= ref_len ? 1 : sys_len > 0 ? Math.exp(1 - ref_len / sys_len) : 0
  const precisions = new Array<number>(order).fill(0)
  const result = { score: 0, precisions, bp, sys_len, ref_len, counts, totals }
  if (!counts.some(Boolean)) return result
  let [orders, halving] = [order, 1]
  for (let n = 0; n < order; n++) {
    const added = smooth === 'add-k' && n > 0 ? value : 0
    const [matching, total] = [counts[n] + added, totals[n] + added]
    if (total === 0) break
    if (effective) orders = n + 1
    if (matching > 0) precisions[n] = (100 * matching) / total
    else if (smooth === 'exp') precisions[n] = 100 / ((halving *= 2) * total)
    else if (smooth === 'floor') precisions[n] = (100 * value) / total
  }
  const mean = precisions.slice(0, orders).reduce((sum, precision) => sum + log(precision), 0) / orders
  return { ...result, score: bp * Math.exp(mean) }
}

/** BLEU of one completion, as sacreBLEU's `sentence_bleu`. */
export const sentenceBleu = (completion: string, references: readonly string[], options: BleuOptions = {}): Bleu =>
  bleuOf(bleuCounts(completion, references, options.lowercase), options, true)

/** BLEU of all segments together, as sacreBLEU's `corpus_bleu`: counts are added up before anything is divided. */
export const corpusBleu = (segments: Iterable<BleuCounts>, options: BleuOptions = {}): Bleu => {
  const zeros = () => new Array<number>(order).fill(0)
  const total = { counts: zeros(), totals: zeros(), sys_len: 0, ref_len: 0 }
  for (const { counts, totals, sys_len, ref_len } of segments) {
    for (let n = 0; n < order; n++) {
      total.counts[n] += counts[n]
      total.totals[n] += totals[n]
    }
    total.sys_len += sys_len
    total.ref_len += ref_len
  }
  return bleuOf(total, options, false)
}
