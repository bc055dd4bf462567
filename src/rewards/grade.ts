/** The grade from 1 to 10 in a judge's words. Numbers that are not certainly the grade (scales, counts, lists) are none. */

const reasoning = 'think|thinking|thought|reasoning'

/** What a model said after it thought; undefined where it never stopped thinking. */
const afterReasoning = (text: string): string | undefined => {
  const end = [...text.matchAll(new RegExp(`</(?:${reasoning})>`, 'gi'))].at(-1)
  if (end) return text.slice(end.index + end[0].length)
  return new RegExp(`^\\s*<(?:${reasoning})>`, 'i').test(text) ? undefined : text
}

/** Emphasis and quotes away, the scale's own numbers away, "7/10" and "7 out of 10" as "7". */
const simplified = (text: string): string =>
  text
    .replace(/[*_`"'“”‘’]/g, '')
    .replace(/\b(?:1|one)\s*(?:to|and|through|[-–—])\s*(?:10|ten)\b/gi, ' ')
    .replace(/(\d)\s*(?:\/|out of|of)\s*(?:10|ten)\b(?![.,/]?\d)/gi, '$1 ')
    .trim()

/** A number by itself: no sign, no part of another number, no share of something else than ten. */
const number =
  '(?<![\\p{L}\\p{N}.,/−–-])(10|\\d)(\\.\\d+)?(?![\\p{L}\\p{N}%°]|[.,/]\\d|\\s*(?:/|out of|of|percent)\\s*\\w)'
const gap = '[\\s:=()[\\]]*'

/** Ways to give a grade, the clearest first; of several in the same way the last one counts. */
const ways = [
  `^${gap}${number}${gap}\\.?$`,
  `\\[\\[${gap}${number}${gap}\\]\\]`,
  `\\b(?:grade|rating|score|mark)\\b${gap}(?:(?:is|of|would be|as|at)\\b${gap})?(?:an?\\b${gap})?${number}`,
  `\\b(?:give|giving|rate|grade|score)\\s+(?:it|that|(?:this|the)(?:\\s+\\w+)?)\\s+(?:as\\s+|at\\s+|with\\s+)?(?:an?\\s+)?${number}`,
  `\\b(?:deserves|earns|merits)\\s+(?:an?\\s+)?${number}`,
  `\\n[ \\t]*${number}[ \\t]*\\.?$`,
  `^${number}\\s+[-–—]\\s`,
].map((source) => new RegExp(source, 'giu'))

/** @returns undefined where there is none, or none that is certain */
export const readGrade = (text: string): number | undefined => {
  const said = afterReasoning(text.slice(-20_000))
  if (said === undefined) return undefined
  const plain = simplified(said)
  for (const way of ways) {
    const found = [...plain.matchAll(way)].at(-1)
    const grade = found && Number(found[1] + (found[2] ?? ''))
    if (grade !== undefined) return grade >= 1 && grade <= 10 ? grade : undefined
  }
  return undefined
}
