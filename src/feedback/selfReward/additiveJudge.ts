/** The additive judge of self-rewarding: a prompt that asks for 0 to 5 points, and the points in what is answered. */
import { badInput } from '../../util/fault.ts'

/** The judge's prompt. `{prompt}` and `{response}` stand for the two texts; `--judge-prompt` gives another one. */
export const additiveJudgePrompt = `Score how well the answer below serves the person who asked. Begin with 0 points and add them one by one. Give a point only where the points before it are given.

- First point: the answer is about what was asked and tells something that helps, even if much is missing or beside the point.
- Second point: it deals with a good part of the question, though it does not settle it.
- Third point: it gives the essentials of what was asked in a form that can be used.
- Fourth point: it speaks to the person as a helpful assistant would, answers directly and fully, is well ordered, and leaves little to be better.
- Fifth point: it is made for this very question, correct, full of insight, without a word too many. Nothing is left to be better.

The question:
{prompt}

<answer>
{response}
</answer>

Write your reasons first, in at most 100 words. Then end with the number of points, on a line of its own, in this form:
Score: <points>
`

/** Puts texts in the places of a template. Places inside of the texts themselves stay as they are. */
export const filled = (template: string, texts: Readonly<Record<string, string>>): string =>
  template.replace(/\{(\w+)\}/g, (place, name: string) => texts[name] ?? place)

/** Throws a Fault 'bad-flag' for a template that lacks a place. */
export const requirePlaces = (template: string, places: readonly string[], flag: string): void => {
  const missing = places.find((place) => !template.includes(`{${place}}`))
  if (missing !== undefined)
    throw badInput('bad-flag', `the prompt has no {${missing}}, where the text of that name is put`, { flag })
}

/** The largest number of points. */
export const maxPoints = 5

/** "Score: 4", also as **Score:** 4, Score: 4/5 and Score: <4>. */
const scorePattern = /\bscore\b[*_\s]*[:：][*_\s<[(]*([^\s*_>\])]*)(?:\s*out of\s*(\w+))?/giu
const pointsPattern = /^(\d+(?:\.\d+)?)(?:\/(\d+))?[.,;]?$/

/**
 * The points that a judgement ends with: those of its last "Score: n". Undefined where that is no number from 0 to 5, also where
 * an earlier one was: a score is never guessed.
 * @example additiveScore('Clear, but it has gaps.\nScore: 3') // 3
 */
export const additiveScore = (text: string): number | undefined => {
  const found = [...text.matchAll(scorePattern)].at(-1)
  const [, points, slash] = pointsPattern.exec(found?.[1] ?? '') ?? []
  const of = slash ?? found?.[2] ?? `${maxPoints}`
  const score = points === undefined || of !== `${maxPoints}` ? Number.NaN : Number(points)
  return score >= 0 && score <= maxPoints ? score : undefined
}
