/**
 * Exports of Label Studio: tasks with annotations and predictions. A ranker, a pairwise choice, ratings of each response, or a
 * choice named "best" give a ranking; a choice named "good" an unpaired row. Annotations that are no votes (cancelled, empty) are
 * skipped with a reason. Faults name the innermost key.
 */
import { z } from 'zod'
import { quoted } from '../util/quote.ts'
import { conform, type RecordLocation, rowFault } from './check.ts'
import { isObject } from './issue.ts'
import { type ItemLabel, openTask, promptOf, ranksByMarks, type Votes, withAnswers } from './labels.ts'
import type { Answers, Id, Ranking, Unpaired, Vote } from './rows.ts'

const id = z.union([z.string(), z.number()])
const results = z.array(z.looseObject({ type: z.string() }))
type Result = z.infer<typeof results>[number]

const task = z.object({
  id,
  data: z.looseObject({ prompt: z.string() }),
  annotations: z
    .array(
      z.object({
        id: id.nullish(),
        completed_by: z.union([id, z.object({ id })]).nullish(),
        was_cancelled: z.boolean().nullish(),
        lead_time: z.number().nullish(),
        created_at: z.string().nullish(),
        result: results,
      }),
    )
    .default([]),
  meta: z.unknown().optional(),
  // The server's own export has their numbers only
  predictions: z.array(z.unknown()).nullish(),
})
type Task = z.infer<typeof task>
/** A task to label may have no number yet. */
const newTask = z.object({ ...task.shape, id: id.optional() })
type Data = Task['data']

const prediction = z.object({
  id: id.nullish(),
  model_version: z.string().nullish(),
  score: z.number().nullish(),
  result: results,
})

/** A task of Label Studio: {"id", "data", "annotations", "predictions"}. */
export const labelStudioVotes = (record: Record<string, unknown>, location: RecordLocation): Votes => {
  const isNew = !(Array.isArray(record.annotations) && record.annotations.length)
  const read = conform(isNew ? newTask : task, record, location, 'innermost') as Task
  const { data, annotations, predictions } = read
  const id = keptTask(read.meta) ?? read.id
  const votes: Votes = {
    rows: [],
    skipped: [],
    predicted: [],
    labels: [],
    ...openTask(id, promptOf(data.prompt, data.messages), responsesOf(data)),
  }
  for (const annotation of annotations) {
    const { result } = annotation
    const skip = (reason: string) =>
      votes.skipped.push({ task: id, ...(annotation.id != null && { annotation: annotation.id }), reason })
    if (annotation.was_cancelled) {
      skip('cancelled')
      continue
    }
    const vote = voteOf(id, annotation)
    const rows = rowsOf(data, result, location).map((row) => ({ ...row, vote: { ...vote, ...row.vote } }))
    votes.rows.push(...rows)
    if (rows.length) continue
    const labels = labelsOf(id, vote, result)
    if (labels.length) votes.labels.push(...labels)
    else skip('empty')
  }
  for (const given of predictions ?? []) {
    if (!isObject(given)) continue
    const { model_version, score, result } = conform(prediction, given, location, 'innermost')
    const { annotator, ...kept } = keptIn(result)
    const vote: Vote = {
      task: id,
      ...(kept.annotation !== undefined && { annotation: kept.annotation }),
      annotator: annotator ?? model_version ?? undefined,
      lead_time: kept.lead_time,
      // A server notes when it took a prediction in, which says nothing
      created_at: kept.created_at,
      prediction: true,
      score: score ?? undefined,
    }
    for (const row of rowsOf(data, result, location))
      votes.predicted.push({ ...row, vote: { ...defined(vote), ...row.vote } })
  }
  return votes
}

/** Of a task that nobody has answered; none where its data hold no list of responses. */
const responsesOf = (data: Data): string[] => {
  const list = items.safeParse(data)
  if (list.success) return list.data.items.map(({ body }) => body)
  if (typeof data.answer1 === 'string' && typeof data.answer2 === 'string') return [data.answer1, data.answer2]
  return numbered(data)
}

const defined = (vote: Vote): Vote =>
  Object.fromEntries(Object.entries(vote).filter(([, value]) => value !== undefined)) as Vote

const kept = z.object({
  annotation: id.optional(),
  annotator: id.optional(),
  created_at: z.string().optional(),
  lead_time: z.number().optional(),
  answers: z.record(z.string(), z.union([z.number(), z.string(), z.array(z.string())])).optional(),
})

/** The number that a task had before a server gave it one. */
const keptTask = (meta: unknown): Id | undefined =>
  isObject(meta) && isObject(meta.attune) ? z.object({ task: id }).safeParse(meta.attune).data?.task : undefined

/** What Label Studio has no place for stands in the "meta" of the first result, where attune wrote it. */
const keptIn = (result: readonly Result[]): z.infer<typeof kept> => {
  for (const { meta } of result) {
    const read = isObject(meta) ? kept.safeParse(meta.attune) : undefined
    if (read?.success) return read.data
  }
  return {}
}

const voteOf = (task: Id, annotation: Task['annotations'][number]): Vote => {
  const { id, completed_by, lead_time, created_at, result } = annotation
  const own = keptIn(result)
  return defined({
    task,
    annotation: own.annotation ?? id ?? undefined,
    annotator: own.annotator ?? (typeof completed_by === 'object' ? completed_by?.id : completed_by) ?? undefined,
    lead_time: lead_time ?? undefined,
    created_at: own.created_at ?? created_at ?? undefined,
  })
}

type Sides = { responses: string[]; ranks: (number | null)[] }

/** The rows of one annotation; of a ranker with several buckets one for each. */
const rowsOf = (data: Data, result: readonly Result[], location: RecordLocation): (Ranking | Unpaired)[] => {
  const prompt = promptOf(data.prompt, data.messages)
  const answers: Answers = { ...keptIn(result).answers }
  let sides: (Sides & { bucket?: string })[] = []
  let label: boolean | undefined
  for (const one of result) {
    const name = String(one.from_name)
    if (one.type === 'ranker') sides = ranker(data, one, location)
    else if (one.type === 'pairwise') sides = [pairwise(data, one, location)]
    else if (one.type === 'choices' && name === 'best') sides = best(data, one, location)
    else if (one.type === 'choices' && name === 'good') label = choicesOf(one)[0] === 'good'
    else {
      const answer = answerOf(one)
      if (answer !== undefined) answers[name] = answer
    }
  }
  const responses = numbered(data)
  if (label !== undefined && responses.length)
    return [{ kind: 'unpaired', prompt, completion: responses[0], label, vote: withAnswers(answers) }]
  if (!sides.length && responses.length) sides = byRatings(responses, answers)
  const { edit, ...others } = answers
  if (typeof edit === 'string' && edit && (sides.length || responses.length)) {
    const known = sides[0] ?? { responses, ranks: responses.map(() => null) }
    if (!known.responses.includes(edit)) {
      const rest = known.ranks.length === 1 ? [2] : known.ranks.map((rank) => rank && rank + 1)
      sides = [{ responses: [edit, ...known.responses], ranks: [1, ...rest] }]
    }
  }
  return sides
    .filter(({ ranks }) => ranks.some((rank) => rank !== null))
    .map(({ bucket, ...side }) => ({
      kind: 'ranking',
      prompt,
      ...side,
      vote: withAnswers({ ...others, ...(bucket !== undefined && { bucket }) }),
    }))
}

// ---- kinds of results --------------------------------------------------------------------------------------------------

const items = z.looseObject({ items: z.array(z.object({ id, body: z.string() })).min(2) })
const order = z.array(z.string())
const rankerResult = z.looseObject({ value: z.looseObject({ ranker: z.union([order, z.record(z.string(), order)]) }) })

/**
 * {"ranker": {"rank": [ids, best first]}}, or a named bucket beside "_" (not placed), or a bare list in older files. Of several
 * buckets each holds an order of its own, and nothing is known across them.
 */
const ranker = (data: Data, result: Result, location: RecordLocation): (Sides & { bucket?: string })[] => {
  const choices = conform(items, data, location, 'innermost').items
  const { ranker } = conform(rankerResult, result, location, 'innermost').value
  const lists = Array.isArray(ranker)
    ? [['rank', ranker] as const]
    : Object.entries(ranker).filter(([name]) => name !== '_')
  const refuse = (message: string) => rowFault('bad-value', message, location, 'ranker')
  if (!lists.length) throw refuse('must hold one order, but has 0 buckets besides "_"')
  const names = choices.map(({ id }) => String(id))
  const all = lists.flatMap(([, ids]) => ids)
  const unknown = all.find((name) => !names.includes(name))
  if (unknown !== undefined) throw refuse(`names ${quoted(unknown)}, but the items are ${names.join(', ')}`)
  if (new Set(all).size < all.length) throw refuse('names an item twice')
  if (lists.length === 1) {
    const [[, ids]] = lists
    return [
      {
        responses: choices.map(({ body }) => body),
        ranks: names.map((name) => ids.indexOf(name) + 1 || null),
      },
    ]
  }
  return lists.flatMap(([bucket, ids]) => {
    const own = choices.filter(({ id }) => ids.includes(String(id)))
    if (own.length < 2) return []
    return [{ bucket, responses: own.map(({ body }) => body), ranks: own.map(({ id }) => ids.indexOf(String(id)) + 1) }]
  })
}

const pairwiseResult = z.looseObject({
  to_name: z.string(),
  value: z.looseObject({ selected: z.string() }),
})

/** {"selected": "left" | "right"}; to_name "answer1,answer2" says which columns of the data stood left and right. */
const pairwise = (data: Data, result: Result, location: RecordLocation): Sides => {
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

/** The responses of a task that has them in keys of their own: response1, response2, ... */
const numbered = (data: Data): string[] => {
  const found: string[] = []
  for (let text = data.response1; typeof text === 'string'; text = data[`response${found.length + 1}`]) found.push(text)
  return found
}

const partsOf = ({ value }: Result): Record<string, unknown> => (isObject(value) ? value : {})

const choicesOf = (result: Result): string[] => {
  const { choices } = partsOf(result)
  return Array.isArray(choices) ? choices.filter((choice) => typeof choice === 'string') : []
}

/** {"choices": ["response 2"]}: the number is the place of the response. */
const best = (data: Data, result: Result, location: RecordLocation): Sides[] => {
  const [choice] = choicesOf(result)
  if (choice === undefined) return []
  const responses = numbered(data)
  const at = Number(/\d+$/.exec(choice)?.[0])
  if (!(at >= 1 && at <= responses.length))
    throw rowFault(
      'bad-value',
      `must name one of ${responses.length} responses, not ${quoted(choice)}`,
      location,
      'choices',
    )
  return [{ responses, ranks: responses.map((_, i) => (i === at - 1 ? 1 : null)) }]
}

/** Ranks by the mean of the ratings "scale-1", "scale-2", ... of each response. */
const byRatings = (responses: string[], answers: Answers): Sides[] => {
  const marks = responses.map((_, i) => {
    const own = Object.entries(answers).filter(
      ([name, answer]) => typeof answer === 'number' && new RegExp(`[-_ ]${i + 1}$`).test(name),
    )
    return own.length ? own.reduce((sum, [, answer]) => sum + (answer as number), 0) / own.length : null
  })
  return marks.some((mark) => mark !== null) ? [{ responses, ranks: ranksByMarks(marks) }] : []
}

/** A rating as a number, choices as a list, texts as one text. */
const answerOf = (result: Result): Answers[string] | undefined => {
  const { rating, text } = partsOf(result)
  if (result.type === 'rating' && typeof rating === 'number') return rating
  if (result.type === 'choices') return choicesOf(result)
  if (result.type === 'textarea')
    return [text]
      .flat()
      .filter((one) => typeof one === 'string')
      .join('\n')
  return undefined
}

/** The labels of an annotation that compares nothing. */
const labelsOf = (item: Id, { annotator }: Vote, result: readonly Result[]): ItemLabel[] =>
  result.flatMap((one) => {
    const answer = answerOf(one)
    const label =
      typeof answer === 'number' ? String(answer) : Array.isArray(answer) && answer.length === 1 ? answer[0] : undefined
    return label === undefined
      ? []
      : [{ item, annotator: annotator ?? 'unknown', label, question: String(one.from_name) }]
  })
