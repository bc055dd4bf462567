/**
 * Diversity of completions: distinct n-grams and self-BLEU, on words as sacreBLEU tokenizes them (13a).
 *
 * Long texts have a smaller share of distinct n-grams because they are long, so the same number of n-grams is counted of
 * every policy.
 */
import { mean } from '../../statistics/summary.ts'

/**
 * The words of a text by sacreBLEU's tokenization 13a (Post 2018, after mteval-v13a): HTML entities are decoded, and
 * punctuation stands apart, except periods and commas between digits; a dash only after a digit.
 */
export const tokenize13a = (text: string): string[] => {
  const plain = text
    .replaceAll('<skipped>', '')
    .replace(/-\n/g, '')
    .replace(/\n/g, ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
  return ` ${plain} `
    .replace(/([{-~[-` -&(-+:-@/])/g, ' $1 ')
    .replace(/([^0-9])([.,])/g, '$1 $2 ')
    .replace(/([.,])([^0-9])/g, ' $1 $2')
    .replace(/([0-9])(-)/g, '$1 $2 ')
    .split(/\s+/)
    .filter(Boolean)
}

/** Joined by spaces, which no word contains. */
const ngrams = (words: readonly string[], n: number): string[] =>
  Array.from({ length: Math.max(0, words.length - n + 1) }, (_, i) => words.slice(i, i + n).join(' '))

/** The number of n-grams in texts, given as their words. */
export const countNgrams = (texts: readonly (readonly string[])[], n: number): number =>
  texts.reduce((sum, { length }) => sum + Math.max(0, length - n + 1), 0)

/** distinct-n: the share of distinct ones among the first `most` n-grams (Li et al. 2016); NaN where there are none. */
export const distinctNgrams = (
  texts: readonly (readonly string[])[],
  n: number,
  most = Number.POSITIVE_INFINITY,
): number => {
  const seen = new Set<string>()
  let counted = 0
  for (const words of texts)
    for (const gram of ngrams(words, n)) {
      if (counted >= most) return seen.size / counted
      seen.add(gram)
      counted++
    }
  return counted ? seen.size / counted : Number.NaN
}

const longest = 4

/**
 * BLEU of one sentence against references, 0 to 100, by sacreBLEU's defaults: n-grams of up to four words, clipped counts,
 * the closest length, exponential smoothing, and only the orders that the sentence has (Papineni et al. 2002).
 */
export const sentenceBleu = (hypothesis: readonly string[], references: readonly (readonly string[])[]): number => {
  let [logs, orders, smooth] = [0, 0, 1]
  for (let n = 1; n <= longest; n++) {
    const { matched, total } = clipped(hypothesis, references, n)
    if (total === 0) break
    if (n === 1 && matched === 0) return 0
    const precision = matched ? matched / total : 1 / ((smooth *= 2) * total)
    logs += Math.log(precision)
    orders++
  }
  if (orders === 0) return 0
  return 100 * brevity(hypothesis.length, references) * Math.exp(logs / orders)
}

const countsOf = (words: readonly string[], n: number): Map<string, number> => {
  const counts = new Map<string, number>()
  for (const gram of ngrams(words, n)) counts.set(gram, (counts.get(gram) ?? 0) + 1)
  return counts
}

const clipped = (hypothesis: readonly string[], references: readonly (readonly string[])[], n: number) => {
  const own = countsOf(hypothesis, n)
  const others = references.map((reference) => countsOf(reference, n))
  let [matched, total] = [0, 0]
  for (const [gram, count] of own) {
    total += count
    matched += Math.min(count, Math.max(0, ...others.map((counts) => counts.get(gram) ?? 0)))
  }
  return { matched, total }
}

const brevity = (length: number, references: readonly (readonly string[])[]): number => {
  const closest = references
    .map((reference) => reference.length)
    .reduce((a, b) => {
      const [near, far] = [Math.abs(b - length), Math.abs(a - length)]
      return near < far || (near === far && b < a) ? b : a
    })
  return length >= closest ? 1 : Math.exp(1 - closest / length)
}

/**
 * Self-BLEU (Zhu et al. 2018): the mean BLEU of each completion of a prompt against the other ones. 100 where all are the
 * same; NaN for fewer than two completions.
 */
export const selfBleu = (completions: readonly (readonly string[])[]): number => {
  if (completions.length < 2) return Number.NaN
  return mean(
    completions.map((completion, i) =>
      sentenceBleu(
        completion,
        completions.filter((_, j) => j !== i),
      ),
    ),
  )
}
