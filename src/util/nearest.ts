/** The nearest of some names by edit distance, for "did you mean". */
export const nearest = (name: string, names: Iterable<string>): string | undefined => {
  const ranked = [...names].map((other) => [distance(name, other), other] as const).sort((a, b) => a[0] - b[0])
  return ranked[0] && ranked[0][0] <= Math.max(2, name.length / 2) ? ranked[0][1] : undefined
}

/** Levenshtein, one row at a time. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]
}
