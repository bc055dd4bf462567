/**
 * Messages of a conversation: OpenAI's {"role", "content"} or ShareGPT's {"from", "value"}, which becomes the former.
 * All other fields (tool_calls, reasoning_content, name, ...) are kept for the chat template. A field that is null
 * counts as absent, as in transformers: datasets and parquet write nulls for the fields that other rows have.
 */
import { parseJson } from '../util/json.ts'
import { quoted } from '../util/quote.ts'
import { badValue, type Issue, isIssue, isObject, nullValue, wrongType } from './issue.ts'
import { otherKeys, rewrite } from './otherKeys.ts'

export type TextPart = { type: 'text'; text: string; [key: string]: unknown }
/** A message. The content may be null or missing where another field, such as tool_calls, stands for it. */
export type Message = {
  /** Who speaks: system, developer, user, assistant, tool or function. */
  role: string
  /** What is said: a text, or parts of type text. */
  content?: string | null | TextPart[]
  [key: string]: unknown
}

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool', 'function']

/** Names of ShareGPT and of programs that write it. */
const SHAREGPT: Readonly<Record<string, string>> = {
  human: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bot: 'assistant',
  model: 'assistant',
  observation: 'tool',
  function_response: 'tool',
  ...Object.fromEntries(ROLES.map((role) => [role, role])),
}

export const isMessage = (value: unknown): value is Record<string, unknown> =>
  isObject(value) && (typeof value.role === 'string' || typeof value.from === 'string')

export const readMessages = (values: readonly unknown[]): Message[] | Issue => {
  if (!values.length) return badValue('an empty list: neither messages nor ids')
  const messages: Message[] = []
  for (const [at, value] of values.entries()) {
    const message = readMessage(value, at)
    if (isIssue(message)) return message
    messages.push(message)
  }
  return messages
}

const readMessage = (value: unknown, at: number): Message | Issue => {
  if (!isObject(value)) return wrongType(`message ${at} must be {"role", "content"}`)
  if (typeof value.role !== 'string' && typeof value.from === 'string') return shareGptMessage(value, at)
  const { role } = value
  if (typeof role !== 'string') return lacking('role', value, at)
  if (!ROLES.includes(role))
    return badValue(`message ${at} has the role ${quoted(role)}; roles are ${ROLES.join(', ')}; ${rewrite}`)
  return withContent(withCalls(value as Message), at)
}

const lacking = (name: string, message: Record<string, unknown>, at: number): Issue =>
  wrongType(
    Object.hasOwn(message, name)
      ? `message ${at} has no "${name}" that is a string`
      : `message ${at} has no "${name}", but ${otherKeys(message)}`,
  )

/** "function_call" of OpenAI before there were tools, as "tool_calls", which chat templates read. */
const withCalls = (message: Message): Message => {
  const { function_call: call, ...rest } = message
  if (!isObject(call) || message.tool_calls) return message
  return { ...rest, tool_calls: [{ type: 'function', function: call }] }
}

const shareGptMessage = (message: Record<string, unknown>, at: number): Message | Issue => {
  const { from, value, ...more } = message
  const name = from as string
  if (name === 'function_call') return callsMessage(value, at, more)
  if (Object.hasOwn(SHAREGPT, name)) {
    if (!('value' in message) && !standsForContent(more)) return lacking('value', message, at)
    return withContent({ ...more, role: SHAREGPT[name], content: value as string }, at)
  }
  const known = [...Object.keys(SHAREGPT), 'function_call'].join(', ')
  return badValue(`message ${at} is from ${quoted(name)}; known are ${known}; ${rewrite}`)
}

/** A turn of ShareGPT that calls tools: one {"name", "arguments"} or a list of them, as JSON. */
const callsMessage = (value: unknown, at: number, more: Record<string, unknown>): Message | Issue => {
  const wrong = badValue(`message ${at} is from "function_call", but its value is no JSON of {"name", "arguments"}`)
  if (typeof value !== 'string') return wrong
  let parsed: unknown
  try {
    parsed = parseJson(value, () => new Error())
  } catch {
    return wrong
  }
  const calls = [parsed].flat()
  if (!calls.length || !calls.every((call) => isObject(call) && typeof call.name === 'string')) return wrong
  const tool_calls = calls.map((call) => ({ type: 'function', function: call }))
  return { ...more, role: 'assistant', content: '', tool_calls }
}

const withContent = (message: Message, at: number): Message | Issue => {
  const content: unknown = message.content
  if (typeof content === 'string') return message
  if (Array.isArray(content)) return withParts(message, content, at)
  if (content !== null && content !== undefined) return wrongType(`message ${at} has no "content" that is a string`)
  if (!('content' in message) && !standsForContent(message)) return lacking('content', message, at)
  if (otherFields(message).length) return message
  return nullValue(`message ${at} has a null "content" and nothing else that is said`)
}

const SPOKEN = ['reasoning_content', 'reasoning', 'thinking', 'refusal']

/**
 * Whether a message without the key "content" says something that a chat template may read: tool calls and the like, or a text
 * under a name that templates know. Under another name it is the content, misnamed, and the message would be read as empty.
 */
const standsForContent = (message: Record<string, unknown>): boolean =>
  SPOKEN.some((name) => typeof message[name] === 'string') ||
  Object.values(message).some((value) => typeof value === 'object' && value !== null)

const withParts = (message: Message, parts: readonly unknown[], at: number): Message | Issue => {
  const content: TextPart[] = []
  for (const part of parts) {
    if (!isObject(part) || typeof part.type !== 'string')
      return wrongType(`message ${at} has a content that is a list, but not of {"type", "text"}`)
    if (part.type !== 'text')
      return badValue(`message ${at} holds a part of the type ${quoted(part.type)}; attune reads text alone`)
    if (typeof part.text !== 'string') return wrongType(`message ${at} has a part without a "text" that is a string`)
    // Templates ask whether a part has an "image", null or not
    content.push(Object.fromEntries(Object.entries(part).filter(([, value]) => value !== null)) as TextPart)
  }
  return { ...message, content }
}

/** Fields beside role and content that hold something. */
const otherFields = (message: Message): string[] =>
  Object.keys(message).filter(
    (key) => key !== 'role' && key !== 'content' && message[key] !== null && message[key] !== undefined,
  )

/** The text of a message's content. */
export const contentText = ({ content }: Message): string =>
  typeof content === 'string' ? content : (content ?? []).map(({ text }) => text).join('')

/** Content in parts as one text. */
export const withJoinedParts = (message: Message): Message =>
  Array.isArray(message.content) ? { ...message, content: contentText(message) } : message

/** A message for people to read: its text, and its tool calls as JSON. */
export const shownTurn = (message: Message): string =>
  [contentText(message), message.tool_calls ? JSON.stringify(message.tool_calls) : ''].filter(Boolean).join(' ')

/** The messages after a prompt as a response: their text where they are one plain message of the assistant, else the messages. */
export const responseOf = (turns: Message[]): string | Message[] => {
  const [first] = turns
  const plain = turns.length === 1 && first.role === 'assistant' && typeof first.content === 'string'
  return plain && !otherFields(first).length ? (first.content as string) : turns
}

/** Whether a chat template sees two messages as equal: the order of fields does not matter, null is absent. */
export const sameMessage = (a: Message, b: Message): boolean => same(a, b)

const same = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => same(item, b[i]))
  if (!isObject(a) || !isObject(b)) return false
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  return [...keys].every((key) => same(a[key] ?? null, b[key] ?? null))
}
