/** The nearest of some names by edit distance, for "did you mean". */

/**
 * A name with few wrong letters for its length, or the one that begins as asked. Nothing where that would be a guess.
 * Dashes before a name do not count.
 */
export const nearest = (name: string, names: Iterable<string>): string | undefined => {
  const asked = bare(name)
  const known = [...names]
  const ranked = known.map((other) => [distance(asked, bare(other)), other] as const).sort((a, b) => a[0] - b[0])
  if (ranked[0] && ranked[0][0] <= Math.max(1, Math.floor(asked.length / 3))) return ranked[0][1]
  const longer = asked.length < 3 ? [] : known.filter((other) => bare(other).startsWith(asked))
  return longer.length === 1 ? longer[0] : undefined
}

/** `; did you mean NAME?`, or nothing. */
export const didYouMean = (name: string, names: Iterable<string>): string => {
  const near = nearest(name, names)
  return near === undefined ? '' : `; did you mean ${near}?`
}

const bare = (name: string) => name.replace(/^-+/, '')

/** Damerau and Levenshtein's, row by row: letters that are wrong, missing, too many, or exchanged with their neighbour. */
const distance = (a: string, b: string): number => {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const [row, before] = [rows[i - 1], rows[i - 2]]
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const exchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      next.push(
        Math.min(
          next[j - 1] + 1,
          row[j] + 1,
          row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1),
          exchanged ? before[j - 2] + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
    rows.push(next)
  }
  return rows[a.length][b.length]
}
