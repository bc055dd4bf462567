/**
 * The rows that attune trains on and scores. Files spell them in many ways; after reading they have one form, the
 * union `Row`, told apart by `kind`. The zod schemas here check the records of files, and are the only place that says
 * which columns a kind has.
 *
 * Where a row may hold text it may hold token ids instead, in any of these spellings:
 *   "prompt": [1, 2, 3]   "prompt": {"input_ids": [1, 2, 3]}   "prompt_input_ids": [1, 2, 3]   "prompt_ids": [1, 2, 3]
 * An empty list of ids needs one of the last three, because [] could be a conversation without messages. A row of text
 * alone may be {"input_ids": [1, 2, 3]}.
 */
import { z } from 'zod'
import { quoted } from '../util/quote.ts'
import { badValue, type Issue, isIssue, isObject, nullValue, wrongType } from './issue.ts'
import { readLabel } from './labelRule.ts'
import { isMessage, type Message, readMessages } from './messages.ts'
import type { TemplateArguments } from './template.ts'

/** Plain text, a conversation, or token ids. */
export type Text = string | Message[] | number[]
export type Id = string | number

export const isMessages = (text: Text): text is Message[] => Array.isArray(text) && typeof text[0] === 'object'
export const isIds = (text: Text): text is number[] => Array.isArray(text) && typeof text[0] !== 'object'

/** A defect of a row. Opening a data set for training drops such rows and counts them. */
export type Flag = 'empty-chosen' | 'empty-rejected' | 'prefix-differs'

/** Who made a ranking, and where, as exports of labelling tools say. */
export type Vote = {
  task?: Id
  annotation?: Id
  annotator?: Id
  lead_time?: number
  created_at?: string
  /** What the same person answered to other questions about the task. */
  answers?: Answers
  /** A model said it, for people to start from; it is no vote. */
  prediction?: true
  /** How sure the model was. */
  score?: number
}

/** By the name of the question: a rating, a text such as a note, or choices. */
export type Answers = Record<string, number | string | string[]>

/** What every row may have. */
type Common = {
  id?: Id
  /** Arguments of the chat template beside the messages. */
  template?: TemplateArguments
}

/** Responses to one prompt with ranks: 1 is best, equal ranks tie, null is unranked. A preference is a ranking of two. */
export type Ranking = Common & {
  kind: 'ranking'
  prompt: Text
  /** Two or more. A string is the assistant's message or the text that continues the prompt, white space kept. */
  responses: Text[]
  ranks: (number | null)[]
  /** Scores of the responses on whatever scale the file has; null where one is missing. */
  ratings?: (number | null)[]
  /** By how much the first is better than the second, in rating units. */
  margin?: number
  /** P(the first is better than the second), 0 to 1. */
  prob?: number
  /** The prompt as turns, where `prompt` is a text that marks its speakers (HH-RLHF). */
  turns?: Message[]
  flags?: Flag[]
  vote?: Vote
}
export type Unpaired = Common & { kind: 'unpaired'; prompt: Text; completion: Text; label: boolean; vote?: Vote }
/** One response with ratings by name (HelpSteer2); neighbouring rows with the same prompt make a pair. */
export type Rated = Common & { kind: 'rated'; prompt: Text; response: Text; ratings: Record<string, number> }
export type PlainText = Common & {
  kind: 'text'
  text: string | number[]
  /** As the file has them; only encoders read them, and check them. */
  attention_mask?: unknown
  token_type_ids?: unknown
}
export type Conversation = Common & { kind: 'messages'; messages: Message[] }
export type Completion = Common & {
  kind: 'completion'
  prompt: Text
  completion: Text
  /** Other completions of the same prompt, by column, where a reader was asked to keep them. */
  beside?: Record<string, Text>
}
export type Prompt = Common & {
  kind: 'prompt'
  prompt: Text
  /** All columns of the record, as the file has them, where a reader was asked to keep them. */
  record?: Record<string, unknown>
}
/** Labels stand under their own ids (the shift is inside the model); -100 is not counted. Equal lengths. */
export type Labelled = Common & { kind: 'labelled'; input_ids: number[]; labels: number[] }

export type Sft = PlainText | Conversation | Completion
export type Row = Ranking | Unpaired | Rated | Sft | Prompt | Labelled

/** The vote that a row's own columns tell, where they say who or what gave it. */
export const ownVote = (row: Vote): { vote?: Vote } => {
  if (row.annotator === undefined && row.annotation === undefined && !row.prediction) return {}
  return {
    vote: Object.fromEntries(voteColumns.flatMap((name) => (row[name] === undefined ? [] : [[name, row[name]]]))),
  }
}

/** A number that may be a token id. */
const isId = (value: unknown) => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31

const readIds = (ids: unknown[], name: string): number[] | Issue => {
  const at = ids.findIndex((id) => !isId(id))
  if (at < 0) return ids as number[]
  const text = `${name}[${at}] is ${quoted(ids[at])}, not a token id`
  return typeof ids[at] === 'number' ? badValue(text) : wrongType(text)
}

const readText = (value: unknown): Text | Issue => {
  if (typeof value === 'string') return value
  if (Array.isArray(value)) return typeof value[0] === 'number' ? readIds(value, 'ids') : readMessages(value)
  if (isMessage(value)) return readMessages([value])
  if (isObject(value) && Array.isArray(value.input_ids)) return readIds(value.input_ids, 'input_ids')
  if (value === null) return nullValue('null, where text must be')
  if (value === undefined) return { issue: 'missing-column', message: 'is missing' }
  return wrongType(`must be text, messages or input_ids, not ${typeof value}`)
}

const readPlainText = (value: unknown): string | number[] | Issue => {
  const read = readText(value)
  return !isIssue(read) && isMessages(read) ? wrongType('must be text; did you mean "messages"?') : (read as string)
}

const ofList =
  <T>(read: (values: unknown[]) => T | Issue) =>
  (value: unknown): T | Issue => {
    if (Array.isArray(value)) return read(value)
    return value === undefined ? { issue: 'missing-column', message: 'is missing' } : wrongType('must be a list')
  }

/** Labels are ids, or -100. */
const readLabels = (labels: unknown[]): number[] | Issue => {
  const issue = readIds(
    labels.map((label) => (label === -100 ? 0 : label)),
    'labels',
  )
  return isIssue(issue) ? issue : (labels as number[])
}

/** A field that is checked by hand within a zod schema: faster for millions of rows, and with better messages. */
const checked = <T>(read: (value: unknown) => T | Issue) =>
  z.unknown().transform((value, context): T => {
    const made = read(value)
    if (!isIssue(made)) return made
    context.issues.push({ code: 'custom', message: made.message, params: { code: made.issue }, input: value })
    return z.NEVER
  })

const text = checked<Text>(readText)
const label = checked<boolean>((value) => readLabel(value))
const plainText = checked<string | number[]>(readPlainText)
const messages = checked<Message[]>(ofList(readMessages))
const idList = checked<number[]>(ofList((values) => readIds(values, 'input_ids')))
const labelList = checked<number[]>(ofList(readLabels))

const score = z.number().nullish()
const id = z
  .unknown()
  .transform((value): Id | undefined => (typeof value === 'string' || typeof value === 'number' ? value : undefined))

const responses = z.array(text).min(2, 'a ranking needs two responses or more')
const rank = z.number().int().min(1, 'ranks count from 1').nullable()

/** Who voted, where a file keeps every vote. Columns of these names that hold something else are let through. */
const voter = {
  task: id.optional(),
  annotator: id.optional(),
  annotation: id.optional(),
  lead_time: z
    .unknown()
    .transform((value) => (typeof value === 'number' ? value : undefined))
    .optional(),
  created_at: z
    .unknown()
    .transform((value) => (typeof value === 'string' ? value : undefined))
    .optional(),
  answers: z
    .unknown()
    .transform((value) => (isObject(value) ? answersOf(value) : undefined))
    .optional(),
  prediction: z
    .unknown()
    .transform((value) => (value === true ? true : undefined))
    .optional(),
  score: z
    .unknown()
    .transform((value) => (typeof value === 'number' ? value : undefined))
    .optional(),
}

const voteColumns = [
  'task',
  'annotation',
  'annotator',
  'lead_time',
  'created_at',
  'answers',
  'prediction',
  'score',
] as const

const answersOf = (value: Record<string, unknown>): Answers =>
  Object.fromEntries(
    Object.entries(value).filter(
      (entry): entry is [string, Answers[string]] =>
        typeof entry[1] === 'number' ||
        typeof entry[1] === 'string' ||
        (Array.isArray(entry[1]) && entry[1].every((one) => typeof one === 'string')),
    ),
  )

const sides = {
  ...voter,
  id: id.optional(),
  prompt_id: id.optional(),
  chosen: text,
  rejected: text,
  score_chosen: score,
  score_rejected: score,
  chosen_rating: score,
  rejected_rating: score,
  margin: score,
  prob: z.number().min(0).max(1).nullish(),
}

/** A column of text, messages or ids that no kind names. */
export const textColumn = text

/** The records of files, by kind. Columns that are not named here are let through and left out of the row. */
export const schemas = {
  preference: z.object({ ...sides, prompt: text }),
  /** The prompt stands inside chosen and rejected, or there is none. */
  implicit: z.object(sides),
  hh: z.object({ id: id.optional(), chosen: z.string(), rejected: z.string() }),
  ranking: z
    .object({ ...voter, id: id.optional(), prompt: text, responses, ranks: z.array(rank) })
    .check(({ value, issues }) => {
      const problem =
        value.ranks.length !== value.responses.length
          ? `${value.ranks.length} ranks for ${value.responses.length} responses`
          : value.ranks.every((rank) => rank === null) && 'no response is ranked; leave such rows out'
      if (problem) issues.push({ code: 'custom', path: ['ranks'], message: problem, input: value })
    }),
  /** A ranking that is still to be made. */
  unranked: z.object({ ...voter, id: id.optional(), prompt: text, responses: z.array(text).min(1) }),
  bestOfN: z
    .object({ id: id.optional(), prompt: text, responses, best: z.number().int().min(0) })
    .check(({ value, issues }) => {
      if (value.best >= value.responses.length)
        issues.push({
          code: 'custom',
          path: ['best'],
          message: `${value.best}, but there are ${value.responses.length} responses, counted from 0`,
          input: value,
        })
    }),
  unpaired: z.object({ ...voter, id: id.optional(), prompt: text, completion: text, label }),
  label: z.object({ label }),
  rated: z.object({
    id: id.optional(),
    prompt: text,
    response: text,
    helpfulness: z.number(),
    correctness: score,
    coherence: score,
    complexity: score,
    verbosity: score,
  }),
  text: z.object({
    id: id.optional(),
    text: plainText,
    attention_mask: z.unknown().optional(),
    token_type_ids: z.unknown().optional(),
  }),
  messages: z.object({ id: id.optional(), messages }),
  completion: z.object({ id: id.optional(), prompt: text, completion: text }),
  prompt: z.object({ id: id.optional(), prompt: text }),
  labelled: z.object({ id: id.optional(), input_ids: idList, labels: labelList }).check(({ value, issues }) => {
    if (value.labels.length !== value.input_ids.length)
      issues.push({
        code: 'custom',
        path: ['labels'],
        message: `${value.labels.length} labels for ${value.input_ids.length} input_ids`,
        input: value,
      })
  }),
}
