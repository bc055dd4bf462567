/**
 * Exports of labelling tools, one ranking for each vote: Label Studio's ranker and pairwise, Argilla's ranking. Votes
 * keep the order of the file; annotations that are no votes (cancelled, empty, drafts) are skipped with a reason.
 * Faults name the innermost key.
 */
import { z } from 'zod'
import { parseJson } from '../util/json.ts'
import { quoted } from '../util/quote.ts'
import { conform, type RecordLocation, rowFault } from './check.ts'
import { isIssue } from './issue.ts'
import { readMessages } from './messages.ts'
import type { Id, Ranking, Text, Vote } from './rows.ts'

export type Skipped = { task: Id; annotation?: Id; annotator?: Id; reason: string }
export type Votes = { rows: Ranking[]; skipped: Skipped[] }

const id = z.union([z.string(), z.number()])

const task = z.object({
  id,
  data: z.looseObject({ prompt: z.string() }),
  annotations: z.array(
    z.object({
      id,
      completed_by: z.union([id, z.object({ id })]).nullish(),
      was_cancelled: z.boolean().nullish(),
      lead_time: z.number().nullish(),
      created_at: z.string().nullish(),
      result: z.array(z.looseObject({ type: z.string() })),
    }),
  ),
})
type Task = z.infer<typeof task>
type Annotation = Task['annotations'][number]

/** A task of Label Studio: {"id", "data", "annotations"}. */
export const labelStudioVotes = (record: Record<string, unknown>, location: RecordLocation): Votes => {
  const { id, data, annotations } = conform(task, record, location, 'innermost')
  const votes: Votes = { rows: [], skipped: [] }
  for (const annotation of annotations) {
    const skip = (reason: string) => votes.skipped.push({ task: id, annotation: annotation.id, reason })
    const result = annotation.result.find(({ type }) => type === 'ranker' || type === 'pairwise')
    if (annotation.was_cancelled) skip('cancelled')
    else if (!result) skip('empty')
    else {
      const sides = result.type === 'ranker' ? ranker(data, result, location) : pairwise(data, result, location)
      if (sides.ranks.every((rank) => rank === null)) skip('empty')
      else {
        const prompt = promptOf(data.prompt, data.messages)
        votes.rows.push({ kind: 'ranking', prompt, ...sides, vote: voteOf(id, annotation) })
      }
    }
  }
  return votes
}

/** The turns that a prompt was written from for people to read, where the export kept them beside it. */
const promptOf = (text: string, messages: unknown): Text => {
  const read = Array.isArray(messages) && messages.length ? readMessages(messages) : undefined
  return read && !isIssue(read) ? read : text
}

const voteOf = (task: Id, { id, completed_by, lead_time, created_at }: Annotation): Vote => ({
  task,
  annotation: id,
  annotator: (typeof completed_by === 'object' ? completed_by?.id : completed_by) ?? undefined,
  lead_time: lead_time ?? undefined,
  created_at: created_at ?? undefined,
})

const items = z.looseObject({ items: z.array(z.object({ id, body: z.string() })).min(2) })
const order = z.array(z.string())
const rankerResult = z.looseObject({ value: z.looseObject({ ranker: z.union([order, z.record(z.string(), order)]) }) })

/** {"ranker": {"rank": [ids, best first]}}, or one named bucket beside "_" (not placed), or a bare list in older files. */
const ranker = (data: Task['data'], result: Annotation['result'][number], location: RecordLocation) => {
  const choices = conform(items, data, location, 'innermost').items
  const { ranker } = conform(rankerResult, result, location, 'innermost').value
  const lists = Array.isArray(ranker)
    ? [ranker]
    : Object.entries(ranker).flatMap(([name, ids]) => (name === '_' ? [] : [ids]))
  const refuse = (message: string) => rowFault('bad-value', message, location, 'ranker')
  if (lists.length !== 1) throw refuse(`must hold one order, but has ${lists.length} buckets besides "_"`)
  const names = choices.map(({ id }) => String(id))
  const unknown = lists[0].find((name) => !names.includes(name))
  if (unknown !== undefined) throw refuse(`names ${quoted(unknown)}, but the items are ${names.join(', ')}`)
  if (new Set(lists[0]).size < lists[0].length) throw refuse('names an item twice')
  const ranks = names.map((name) => lists[0].indexOf(name) + 1 || null)
  return { responses: choices.map(({ body }) => body), ranks }
}

const pairwiseResult = z.looseObject({
  to_name: z.string(),
  value: z.looseObject({ selected: z.string() }),
})

/** {"selected": "left" | "right"}; to_name "answer1,answer2" says which columns of the data stood left and right. */
const pairwise = (data: Task['data'], result: Annotation['result'][number], location: RecordLocation) => {
  const { to_name, value } = conform(pairwiseResult, result, location, 'innermost')
  if (value.selected !== 'left' && value.selected !== 'right')
    throw rowFault('bad-value', `must be left or right, not ${quoted(value.selected)}`, location, 'selected')
  const names = to_name.split(',').map((name) => name.trim())
  const [left, right] = names.map(
    (name) => conform(z.looseObject({ [name]: z.string() }), data, location, 'innermost')[name],
  )
  if (right === undefined)
    throw rowFault('bad-value', 'must name two columns, as "answer1,answer2"', location, 'to_name')
  // Left stays first: who prefers which side can be seen
  return { responses: [left, right], ranks: value.selected === 'left' ? [1, 2] : [2, 1] }
}

const argillaRecord = z.object({
  id,
  fields: z.looseObject({ prompt: z.string() }),
  metadata: z.unknown().optional(),
  responses: z.array(
    z.object({
      user_id: id.nullish(),
      status: z.string(),
      values: z.record(z.string(), z.looseObject({ value: z.unknown() })).nullish(),
    }),
  ),
})
const argillaRanking = z.object({
  value: z.array(z.object({ value: z.string(), rank: z.number().int().min(1, 'ranks count from 1') })).min(2),
})

/** A record of Argilla: {"id", "fields", "responses": [{"status", "values": {question: {"value": [{"value", "rank"}]}}}]}. */
export const argillaVotes = (record: Record<string, unknown>, location: RecordLocation): Votes => {
  const { id, fields, responses, metadata } = conform(argillaRecord, record, location, 'innermost')
  const prompt = promptOf(fields.prompt, turnsIn(Object(metadata).messages))
  const votes: Votes = { rows: [], skipped: [] }
  for (const { user_id, status, values } of responses) {
    const annotator = user_id ?? undefined
    const question = Object.values(values ?? {}).find(({ value }) => Array.isArray(value))
    if (status !== 'submitted' || !question)
      votes.skipped.push({ task: id, annotator, reason: status !== 'submitted' ? status : 'empty' })
    else {
      const sides = argillaSides(fields, conform(argillaRanking, question, location, 'innermost').value, location)
      votes.rows.push({ kind: 'ranking', prompt, ...sides, vote: { task: id, annotator } })
    }
  }
  return votes
}

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
const argillaSides = (
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
