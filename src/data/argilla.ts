/**
 * Exports of Argilla: records with responses and suggestions, as the server's API lists them ({"responses": [{"user_id", "status",
 * "values"}]}) or as its Python client writes them ({"responses": {question: [{"value", "user_id"}]}}). A ranking question gives
 * a ranking; answers to rating, label and text questions stay beside it. Faults name the innermost key.
 */
import { z } from 'zod'
import { parseJson } from '../util/json.ts'
import { quoted } from '../util/quote.ts'
import { conform, type RecordLocation, rowFault } from './check.ts'
import { isObject } from './issue.ts'
import { type ItemLabel, openTask, promptOf, type Votes, withAnswers } from './labels.ts'
import type { Answers, Id, Ranking, Unpaired, Vote } from './rows.ts'

const id = z.union([z.string(), z.number()])
const question = z.looseObject({ value: z.unknown() })

const response = z.object({
  id: id.nullish(),
  user_id: id.nullish(),
  status: z.string(),
  values: z.record(z.string(), question).nullish(),
  inserted_at: z.string().nullish(),
})
type Response = z.infer<typeof response>
const answer = z.object({ value: z.unknown(), user_id: id.nullish() })

const agent = { agent: z.string().nullish(), score: z.union([z.number(), z.array(z.number())]).nullish() }
const suggestion = z.object({ question_name: z.string(), value: z.unknown(), ...agent })

const record = z.object({
  id,
  fields: z.looseObject({ prompt: z.string() }),
  metadata: z.unknown().optional(),
  responses: z.union([z.array(response), z.record(z.string(), z.array(answer))]),
  suggestions: z
    .union([z.array(suggestion), z.record(z.string(), z.object({ value: z.unknown(), ...agent }).nullable())])
    .nullish(),
})
type ArgillaRecord = z.infer<typeof record>

const ranking = z.object({
  value: z.array(z.object({ value: z.string(), rank: z.number().int().min(1, 'ranks count from 1') })).min(2),
})

export const argillaVotes = (given: Record<string, unknown>, location: RecordLocation): Votes => {
  const { id, fields, responses, suggestions, metadata } = conform(shapeOf(given), given, location, 'innermost')
  const prompt = promptOf(fields.prompt, turnsIn(Object(metadata).messages))
  const texts = Object.entries(fields).filter(([name, text]) => /^response/i.test(name) && typeof text === 'string')
  const votes: Votes = {
    rows: [],
    skipped: [],
    predicted: [],
    labels: [],
    ...openTask(
      id,
      prompt,
      texts.map(([, text]) => text as string),
    ),
  }
  const rowOf = (values: Record<string, unknown>, vote: Vote): Ranking | Unpaired | undefined => {
    const entries = Object.entries(values)
    if (texts.length === 1 && (values.good === 'good' || values.good === 'bad')) {
      const answers = withAnswers(answersIn(entries.filter(([name]) => name !== 'good')))
      const label = values.good === 'good'
      return { kind: 'unpaired', prompt, completion: texts[0][1] as string, label, vote: { ...vote, ...answers } }
    }
    const ranked = entries.find(([, value]) => isRanking(value))
    if (!ranked) return undefined
    const sides = sidesOf(fields, conform(ranking, { value: ranked[1] }, location, 'innermost').value, location)
    const answers = answersIn(entries.filter((one) => one !== ranked))
    return { kind: 'ranking', prompt, ...sides, vote: { ...vote, ...withAnswers(answers) } }
  }
  for (const { id: annotation, user_id, status, values, inserted_at } of byPerson(responses)) {
    const annotator = user_id ?? undefined
    const plain = Object.fromEntries(Object.entries(values ?? {}).map(([name, { value }]) => [name, value]))
    if (status !== 'submitted') {
      votes.skipped.push({ task: id, annotator, reason: status })
      continue
    }
    const vote: Vote = {
      task: id,
      annotator,
      ...(annotation != null && { annotation }),
      ...(inserted_at != null && { created_at: inserted_at }),
    }
    const row = rowOf(plain, vote)
    const labels = row ? [] : labelsOf(id, annotator, plain)
    if (row) votes.rows.push(row)
    else if (labels.length) votes.labels.push(...labels)
    else votes.skipped.push({ task: id, annotator, reason: 'empty' })
  }
  for (const [agent, { values, score }] of byAgent(suggestions)) {
    const row = rowOf(values, {
      task: id,
      ...(agent !== '' && { annotator: agent }),
      prediction: true,
      ...(score !== undefined && { score }),
    })
    if (row) votes.predicted.push(row)
  }
  return votes
}

/** Faults of a union name no key, so the schema is the one of the form at hand. */
const shapeOf = ({ responses, suggestions }: Record<string, unknown>) => {
  const answers = isObject(responses) ? record.shape.responses.options[1] : record.shape.responses.options[0]
  const [list, byName] = record.shape.suggestions.unwrap().unwrap().options
  return z.object({
    ...record.shape,
    responses: answers,
    suggestions: (isObject(suggestions) ? byName : list).nullish(),
  }) as unknown as typeof record
}

const isRanking = (value: unknown) =>
  Array.isArray(value) && (!value.length || value.some((one) => typeof one === 'object' && one !== null))

/** Responses of the Python client are listed by question; the n-th of a person belong together. */
const byPerson = (responses: ArgillaRecord['responses']): Response[] => {
  if (Array.isArray(responses)) return responses
  const people = new Map<Id | undefined, Response>()
  for (const [question, answers] of Object.entries(responses))
    for (const { value, user_id } of answers) {
      const own: Response = people.get(user_id ?? undefined) ?? { user_id, status: 'submitted', values: {} }
      own.values![question] = { value }
      people.set(user_id ?? undefined, own)
    }
  return [...people.values()]
}

type Suggested = { values: Record<string, unknown>; score?: number }

const byAgent = (suggestions: ArgillaRecord['suggestions']): Map<string, Suggested> => {
  const agents = new Map<string, Suggested>()
  const list = Array.isArray(suggestions)
    ? suggestions
    : Object.entries(suggestions ?? {}).flatMap(([question_name, one]) => (one ? [{ question_name, ...one }] : []))
  for (const { question_name, value, agent, score } of list) {
    const own = agents.get(agent ?? '') ?? agents.set(agent ?? '', { values: {} }).get(agent ?? '')!
    own.values[question_name] = value
    if (typeof score === 'number') own.score ??= score
  }
  return agents
}

const answersIn = (entries: readonly (readonly [string, unknown])[]): Answers =>
  Object.fromEntries(
    entries.filter(
      (entry): entry is [string, Answers[string]] =>
        typeof entry[1] === 'string' ||
        typeof entry[1] === 'number' ||
        (Array.isArray(entry[1]) && entry[1].every((one) => typeof one === 'string')),
    ),
  )

/** The labels of a response that ranks nothing. */
const labelsOf = (item: Id, annotator: Id | undefined, values: Record<string, unknown>): ItemLabel[] =>
  Object.entries(values).flatMap(([question, value]) =>
    typeof value === 'string' || typeof value === 'number'
      ? [{ item, annotator: annotator ?? 'unknown', label: String(value), question }]
      : [],
  )

/** Metadata of Argilla are plain values, so that turns stand there as JSON. */
const turnsIn = (text: unknown): unknown => {
  if (typeof text !== 'string') return undefined
  try {
    return parseJson(text, (_, __, what) => new Error(what))
  } catch {
    return undefined
  }
}

/** The ranked fields, in the order of the record's fields. */
const sidesOf = (
  fields: Record<string, unknown>,
  value: { value: string; rank: number }[],
  location: RecordLocation,
) => {
  const ranks = new Map(value.map(({ value, rank }) => [value, rank]))
  if (ranks.size < value.length) throw rowFault('bad-value', 'ranks a field twice', location, 'value')
  for (const name of ranks.keys())
    if (typeof fields[name] !== 'string')
      throw rowFault('bad-value', `ranks ${quoted(name)}, which is no field of text`, location, 'value')
  const names = Object.keys(fields).filter((name) => ranks.has(name))
  return { responses: names.map((name) => fields[name] as string), ranks: names.map((name) => ranks.get(name)!) }
}
