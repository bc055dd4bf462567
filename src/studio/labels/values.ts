/** Checks what a person says of a task against the mode of its project, and completes it. */
import { z } from 'zod'
import { contentText, type Message } from '../../data/messages.ts'
import { isMessages, type Text } from '../../data/rows.ts'
import { httpError } from '../../http/errors.ts'
import type { ProjectSettings, Response, VoteValue } from './api.ts'
import { parsed } from './settings.ts'

const longest = 1_000_000

const span = z.strictObject({
  response: z.number().int().min(0),
  start: z.number().int().min(0),
  end: z.number().int(),
  mark: z.enum(['good', 'bad']),
  note: z.string().max(10_000).optional(),
})

/** The form alone; what it may say depends on the project and the task. */
export const valueSchema = z.strictObject({
  ranks: z.array(z.number().int('ranks are whole numbers').min(1, 'ranks count from 1').nullable()).optional(),
  preference: z.number().int().optional(),
  ratings: z.array(z.record(z.string(), z.number())).optional(),
  good: z.boolean().optional(),
  edit: z.strictObject({ text: z.string().max(longest), from: z.number().int().min(0).nullable() }).optional(),
  spans: z.array(span).max(10_000).optional(),
  bothBad: z.boolean().optional(),
  note: z.string().max(100_000).optional(),
})

const refuse = (message: string) => httpError(400, `value: ${message}`)

/** UTF-16 units of a response, as it is marked. */
const lengthOf = (text: Text): number => {
  if (typeof text === 'string') return text.length
  return isMessages(text) ? shownLength(text) : text.join(' ').length
}
const shownLength = (turns: readonly Message[]) =>
  turns.reduce((sum, turn) => sum + contentText(turn).length, 0) + 2 * (turns.length - 1)

/** A draft: the form alone is checked, since it is not finished. */
export const draftOf = (given: unknown): VoteValue => parsed(valueSchema, given, 'value')

/** @returns the value with the ranks that its mode means. Status 400 with what is missing or wrong. */
export const checkedValue = (given: unknown, responses: readonly Response[], settings: ProjectSettings): VoteValue => {
  const value = parsed(valueSchema, given, 'value')
  checkExtras(value, responses, settings)
  const decided = decide[settings.mode](value, responses.length, settings)
  if (decided) return decided
  // Who says that all are bad, or writes a better answer, need not compare the rest
  if (value.bothBad || value.edit) return value
  throw refuse(missing[settings.mode])
}

const missing: Record<ProjectSettings['mode'], string> = {
  rank: 'rank at least one response, 1 for the best',
  pair: 'say which of the two is better, or that they are equal',
  rate: 'rate every response on every scale',
  best: 'choose the best response',
  good: 'say whether the response is good or bad',
  edit: 'write the better answer',
}

/** What each mode reads; undefined where it is not there. */
const decide: Record<
  ProjectSettings['mode'],
  (value: VoteValue, responses: number, settings: ProjectSettings) => VoteValue | undefined
> = {
  rank: (value, responses) => {
    const { ranks } = value
    if (!ranks) return undefined
    if (ranks.length !== responses) throw refuse(`${ranks.length} ranks for ${responses} responses`)
    const given = ranks.filter((rank) => rank !== null)
    if (!given.length) return undefined
    if (Math.min(...given) !== 1) throw refuse('the best rank must be 1')
    if (Math.max(...given) > responses) throw refuse(`ranks end at ${responses}, the number of responses`)
    return value
  },
  pair: (value, responses, { strengths }) => {
    const { preference } = value
    if (responses !== 2) throw refuse(`the task has ${responses} responses, and a pair has two`)
    if (preference === undefined) return undefined
    if (Math.abs(preference) > strengths)
      throw refuse(`preference must be from -${strengths} (the first is better) to ${strengths}, not ${preference}`)
    return { ...value, ranks: preference < 0 ? [1, 2] : preference > 0 ? [2, 1] : [1, 1] }
  },
  rate: (value, responses, { scales }) => {
    const { ratings } = value
    if (!ratings) return undefined
    if (ratings.length !== responses) throw refuse(`${ratings.length} ratings for ${responses} responses`)
    for (const [i, rating] of ratings.entries()) {
      const unknown = Object.keys(rating).find((name) => !scales.some((scale) => scale.name === name))
      if (unknown !== undefined) throw refuse(`there is no scale ${JSON.stringify(unknown.slice(0, 100))}`)
      for (const { name, min, max } of scales) {
        const given = Object.hasOwn(rating, name) ? rating[name] : undefined
        if (given === undefined) throw refuse(`response ${i + 1} is not rated on "${name}"`)
        if (given < min || given > max) throw refuse(`"${name}" goes from ${min} to ${max}, not to ${given}`)
      }
    }
    return value
  },
  best: (value, responses) => {
    const { ranks } = value
    if (!ranks || ranks.every((rank) => rank === null)) return undefined
    if (ranks.length !== responses) throw refuse(`${ranks.length} ranks for ${responses} responses`)
    if (ranks.filter((rank) => rank === 1).length !== 1 || ranks.some((rank) => rank !== null && rank !== 1))
      throw refuse('the best response has rank 1, and all others null')
    return value
  },
  good: (value) => (value.good === undefined ? undefined : value),
  edit: (value) => (value.edit === undefined ? undefined : value),
}

const checkExtras = (
  { edit, spans, bothBad }: VoteValue,
  responses: readonly Response[],
  settings: ProjectSettings,
) => {
  if (edit && !settings.edits && settings.mode !== 'edit') throw refuse('this project takes no edits')
  if (edit && !edit.text.trim()) throw refuse('the better answer is empty')
  if (edit?.from !== undefined && edit.from !== null && edit.from >= responses.length)
    throw refuse(`edit.from is ${edit.from}, and responses are counted from 0 to ${responses.length - 1}`)
  if (bothBad && !settings.bothBad) throw refuse('this project does not ask whether all are bad')
  if (!spans?.length) return
  if (!settings.spans) throw refuse('this project takes no marks')
  for (const { response, start, end } of spans) {
    if (response >= responses.length) throw refuse(`a mark is on response ${response}, and there is none`)
    if (start >= end) throw refuse('a mark must hold at least one character')
    if (end > lengthOf(responses[response].text)) throw refuse('a mark ends behind the end of its response')
  }
}

/** The order of the screen: every response once. */
export const checkShown = (shown: readonly number[], responses: number): void => {
  const seen = new Set(shown)
  if (shown.length !== responses || seen.size !== responses || shown.some((i) => !(i >= 0 && i < responses)))
    throw httpError(400, `shown: must name each of the ${responses} responses once, counted from 0`)
}
