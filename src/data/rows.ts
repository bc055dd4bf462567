/**
 * The rows that attune trains on, judges and scores. Files hold them in many spellings; after reading there is one
 * normal form, the union `Row`, told apart by `kind`. The zod schemas here are what a file's records are checked
 * against, and the only place that says which columns a kind has.
 *
 * Wherever a row may hold text it may hold token ids instead, spelled in any of these ways:
 *   "prompt": [1, 2, 3]   "prompt": {"input_ids": [1, 2, 3]}   "prompt_input_ids": [1, 2, 3]   "prompt_ids": [1, 2, 3]
 * (an empty list of ids only in the last three, because a bare [] could as well be a conversation without messages),
 * and a row of text alone may be {"input_ids": [1, 2, 3]}.
 */
import { z } from 'zod'

/** A turn of a conversation. Other keys (name, tool_calls, ...) are kept for the chat template. */
export type Message = { role: string; content: string; [key: string]: unknown }
/** Plain text, a conversation, or token ids. */
export type Text = string | Message[] | number[]
export type Id = string | number

export const isMessages = (text: Text): text is Message[] => Array.isArray(text) && typeof text[0] === 'object'
export const isIds = (text: Text): text is number[] => Array.isArray(text) && typeof text[0] !== 'object'

/** What is odd about a row: opening a data set for training drops such rows and counts them. */
export type Flag = 'empty-chosen' | 'empty-rejected' | 'prefix-differs'

/** Who gave a ranking, where a labelling tool exported it. */
export type Vote = { task: Id; annotation?: Id; annotator?: Id; lead_time?: number; created_at?: string }

/** Responses to one prompt with ranks: 1 is best, equal ranks tie, null is unranked. A preference is a ranking of two. */
export type Ranking = {
  kind: 'ranking'
  id?: Id
  prompt: Text
  /** Two or more; a string is the assistant's reply or the text that goes on after the prompt, white space kept. */
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
export type Unpaired = { kind: 'unpaired'; id?: Id; prompt: Text; completion: Text; label: boolean }
/** One response with ratings by name (HelpSteer2); neighbours that answer the same prompt make a pair. */
export type Rated = { kind: 'rated'; id?: Id; prompt: Text; response: Text; ratings: Record<string, number> }
export type PlainText = { kind: 'text'; id?: Id; text: string | number[] }
export type Conversation = { kind: 'messages'; id?: Id; messages: Message[] }
export type Completion = {
  kind: 'completion'
  id?: Id
  prompt: Text
  completion: Text
  /** Answers of others to the same prompt, by column, where a reader was asked to keep them. */
  beside?: Record<string, Text>
}
export type Prompt = {
  kind: 'prompt'
  id?: Id
  prompt: Text
  /** All columns of the record, as the file has them, where a reader was asked to keep them. */
  record?: Record<string, unknown>
}
/** Labels stand under their own ids (the shift is inside the model); -100 is not counted. Equal lengths. */
export type Labelled = { kind: 'labelled'; id?: Id; input_ids: number[]; labels: number[] }

export type Sft = PlainText | Conversation | Completion
export type Row = Ranking | Unpaired | Rated | Sft | Prompt | Labelled

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool', 'function'])

type Issue = { code: 'wrong-type' | 'bad-value' | 'null-value' | 'missing-column'; message: string }
const wrongType = (message: string): Issue => ({ code: 'wrong-type', message })
const badValue = (message: string): Issue => ({ code: 'bad-value', message })

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A number that may be a token id. */
const isId = (value: unknown) => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31

const idsIssue = (ids: unknown[], name: string): Issue | undefined => {
  const at = ids.findIndex((id) => !isId(id))
  if (at < 0) return
  const text = `${name}[${at}] is ${JSON.stringify(ids[at])}, not a token id`
  return typeof ids[at] === 'number' ? badValue(text) : wrongType(text)
}

const messageIssue = (message: unknown, at: number): Issue | undefined => {
  if (!isObject(message)) return wrongType(`message ${at} must be {"role", "content"}`)
  if (typeof message.role !== 'string') return wrongType(`message ${at} has no "role" that is a string`)
  if (typeof message.content !== 'string') return wrongType(`message ${at} has no "content" that is a string`)
  if (!ROLES.has(message.role))
    return badValue(`message ${at} has the role ${JSON.stringify(message.role)}; roles are ${[...ROLES].join(', ')}`)
}

const messagesIssue = (messages: unknown[]): Issue | undefined => {
  if (!messages.length) return badValue('an empty list: neither messages nor ids')
  for (let at = 0; at < messages.length; at++) {
    const issue = messageIssue(messages[at], at)
    if (issue) return issue
  }
}

const textIssue = (value: unknown): Issue | undefined => {
  if (typeof value === 'string') return
  if (Array.isArray(value)) return typeof value[0] === 'number' ? idsIssue(value, 'ids') : messagesIssue(value)
  if (isObject(value) && Array.isArray(value.input_ids)) return idsIssue(value.input_ids, 'input_ids')
  if (value === null) return { code: 'null-value', message: 'null, where text must be' }
  if (value === undefined) return { code: 'missing-column', message: 'is missing' }
  return wrongType(`must be text, messages or input_ids, not ${typeof value}`)
}

/** A field that holds text: a check by hand behind a zod type, for millions of rows and for messages that say more. */
const checked = <T>(issueOf: (value: unknown) => Issue | undefined) =>
  z.unknown().transform((value, context): T => {
    const issue = issueOf(value)
    if (issue) {
      context.issues.push({ code: 'custom', message: issue.message, params: { code: issue.code }, input: value })
      return z.NEVER
    }
    return (isObject(value) ? value.input_ids : value) as T
  })

const text = checked<Text>(textIssue)
const plainText = checked<string | number[]>((value) =>
  Array.isArray(value) && typeof value[0] === 'object'
    ? wrongType('must be text; did you mean "messages"?')
    : textIssue(value),
)
const messages = checked<Message[]>((value) => (Array.isArray(value) ? messagesIssue(value) : listIssue(value)))
const idList = checked<number[]>((value) => (Array.isArray(value) ? idsIssue(value, 'input_ids') : listIssue(value)))
const labelList = checked<number[]>((value) =>
  Array.isArray(value)
    ? idsIssue(
        value.map((label) => (label === -100 ? 0 : label)),
        'labels',
      )
    : listIssue(value),
)
const listIssue = (value: unknown): Issue =>
  value === undefined ? { code: 'missing-column', message: 'is missing' } : wrongType('must be a list')

const score = z.number().nullish()
const id = z
  .unknown()
  .transform((value): Id | undefined => (typeof value === 'string' || typeof value === 'number' ? value : undefined))

const responses = z.array(text).min(2, 'a ranking needs two responses or more')
const rank = z.number().int().min(1, 'ranks count from 1').nullable()

const sides = {
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
  ranking: z.object({ id: id.optional(), prompt: text, responses, ranks: z.array(rank) }).check(({ value, issues }) => {
    const problem =
      value.ranks.length !== value.responses.length
        ? `${value.ranks.length} ranks for ${value.responses.length} responses`
        : value.ranks.every((rank) => rank === null) && 'no response is ranked'
    if (problem) issues.push({ code: 'custom', path: ['ranks'], message: problem, input: value })
  }),
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
  unpaired: z.object({ id: id.optional(), prompt: text, completion: text, label: z.boolean() }),
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
  text: z.object({ id: id.optional(), text: plainText }),
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
