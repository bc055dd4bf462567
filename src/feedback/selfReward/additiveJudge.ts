/** The additive judge of self-rewarding: what it is asked, for 0 to 5 points, and the points in what it answers. */
import { neutralized, tagsOf } from '../judge/prompt.ts'
import { afterReasoning } from '../judge/reasoning.ts'
import { filled } from './prompts.ts'

/**
 * What a judge is asked about an answer. Neither text can change the form of the prompt: its tags inside of them get a space.
 * @param template with the places {prompt} and {response}
 */
export const additiveJudgePrompt = (template: string, prompt: string, response: string): string => {
  const tags = tagsOf(template)
  return filled(template, { prompt: neutralized(prompt, tags), response: neutralized(response, tags) })
}

/** The largest number of points. */
export const maxPoints = 5

/** "Score: 4", also as **Score:** 4, Score: 4/5 and Score: <4>. */
const scorePattern = /\bscore\b[*_\s]*[:：][*_\s<[(]*([^\s*_>\])]*)(?:\s*out of\s*(\w+))?/giu
const pointsPattern = /^(\d+(?:\.\d+)?)(?:\/(\d+))?[.,;]?$/

/**
 * The points that a judgement ends with: those of its last "Score: n", after the reasoning of a model that thinks aloud. Undefined where that is no number from 0 to 5, also where
 * an earlier one was: a score is never guessed.
 * @example additiveScore('Clear, but it has gaps.\nScore: 3') // 3
 */
export const additiveScore = (text: string): number | undefined => {
  const found = [...(afterReasoning(text) ?? '').matchAll(scorePattern)].at(-1)
  const [, points, slash] = pointsPattern.exec(found?.[1] ?? '') ?? []
  const of = slash ?? found?.[2] ?? `${maxPoints}`
  const score = points === undefined || of !== `${maxPoints}` ? Number.NaN : Number(points)
  return score >= 0 && score <= maxPoints ? score : undefined
}
