/** Reads the grade from 1 to 10 in a judge's reply. A number that may be something else (a scale, a count, a list) is no grade. */
import { afterReasoning } from '../feedback/judge/reasoning.ts'

/** Without emphasis, quotes and the numbers of the scale itself; "7/10" and "7 out of 10" as "7". */
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

/** Patterns of a grade, the clearest first. Of several matches of one pattern the last counts. */
const patterns = [
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
  for (const pattern of patterns) {
    const found = [...plain.matchAll(pattern)].at(-1)
    const grade = found && Number(found[1] + (found[2] ?? ''))
    if (grade !== undefined) return grade >= 1 && grade <= 10 ? grade : undefined
  }
  return undefined
}
