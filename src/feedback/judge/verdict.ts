/**
 * Reads the verdict in a judge's reply. The last verdict in the asked form counts, after the reasoning of a model that thinks
 * aloud; anything else is no verdict and is never guessed.
 */
import { z } from 'zod'
import { afterReasoning } from './reasoning.ts'

/** Which answer of those that were shown is better. */
export type Verdict = 'A' | 'B' | 'tie'

/** The reply's last `[[A]]`, `[[B]]` or `[[C]]` (a tie); undefined where there is none. */
export const readVerdict = (reply: string): Verdict | undefined => {
  const letter = lastMatch(reply, /\[\[([ABC])\]\]/g)
  return letter === undefined ? undefined : verdictOf(letter)
}

/** The grade in the reply's last `[[n]]`; undefined where there is none, or it is not from 1 to 10. */
export const readGrade = (reply: string): number | undefined => {
  const number = lastMatch(reply, /\[\[([0-9]+(?:\.[0-9]+)?)\]\]/g)
  return number === undefined ? undefined : gradeOf(Number(number))
}

const verdictOf = (letter: string): Verdict => (letter === 'C' ? 'tie' : (letter as 'A' | 'B'))
const gradeOf = (grade: number) => (grade >= 1 && grade <= 10 ? grade : undefined)

const lastMatch = (reply: string, pattern: RegExp): string | undefined =>
  [...(afterReasoning(reply) ?? '').matchAll(pattern)].at(-1)?.[1]

// Structured replies

const structuredVerdict = z.object({ reason: z.string().optional(), verdict: z.enum(['A', 'B', 'C']) })
const structuredGrade = z.object({ reason: z.string().optional(), verdict: z.number() })

/** The verdict of a reply that is JSON and nothing else. */
export const readStructuredVerdict = (reply: string): Verdict | undefined => {
  const found = structuredVerdict.safeParse(jsonOf(reply)).data
  return found && verdictOf(found.verdict)
}

export const readStructuredGrade = (reply: string): number | undefined => {
  const found = structuredGrade.safeParse(jsonOf(reply)).data
  return found && gradeOf(found.verdict)
}

const jsonOf = (reply: string): unknown => {
  try {
    return JSON.parse(afterReasoning(reply) ?? '')
  } catch {
    return undefined
  }
}

const schemaOf = (verdict: object) => ({
  type: 'json_schema',
  json_schema: {
    name: 'verdict',
    strict: true,
    schema: {
      type: 'object',
      properties: { reason: { type: 'string' }, verdict },
      required: ['reason', 'verdict'],
      additionalProperties: false,
    },
  },
})

/** `response_format` of a verdict on two answers, and of a grade. */
export const verdictFormat = schemaOf({ type: 'string', enum: ['A', 'B', 'C'] })
export const gradeFormat = schemaOf({ type: 'integer', minimum: 1, maximum: 10 })
/** Of rows that may have two answers or one. */
export const eitherFormat = schemaOf({ anyOf: [{ type: 'string', enum: ['A', 'B', 'C'] }, { type: 'integer' }] })

/** What {format} of a prompt says. */
export const formats = {
  verdict:
    'First give your reasons in a few sentences. Then end with your verdict, in exactly this form: [[A]] if answer A is better, [[B]] if answer B is better, [[C]] if they are equally good.',
  grade: 'First give your reasons in a few sentences. Then end with the grade in double brackets, for example [[5]].',
  structuredVerdict:
    'Reply with JSON: {"reason": your reasons in a few sentences, "verdict": "A" if answer A is better, "B" if answer B is better, "C" if they are equally good}.',
  structuredGrade:
    'Reply with JSON: {"reason": your reasons in a few sentences, "verdict": the grade as a whole number}.',
} as const
