/**
 * Chat templates: the text and ids of a conversation, in the form that a model was trained on, as transformers 5 makes
 * them. A rendered template already contains its special tokens, so none are added. Where a template marks the
 * assistant's own tokens with {% generation %}, they are known as a mask.
 */
import { badInput } from '../util/fault.ts'
import { cut } from '../util/quote.ts'
import { carryNotes } from '../util/written.ts'
import { assistantSpans } from './assistantSpans.ts'
import { controlTokens, encodeApart, markMessages, readable } from './controlTokens.ts'
import type { ChatEncoder, Encoding } from './encoding.ts'
import { markData, origins, unmarkText } from './jinja/marks.ts'
import type { Statement } from './jinja/nodes.ts'
import { compileTemplate, type Rendered, renderTemplate } from './jinja/render.ts'
import { pointLength } from './jinja/values.ts'
import type { Template } from './tokenizerConfig.ts'

/** The fields that the template reads; most read `role`, `content` and `tool_calls`. Null fields count as absent. */
export type Message = { readonly [field: string]: unknown }

export type ChatOptions = {
  tools?: readonly unknown[]
  documents?: readonly unknown[]
  /** Ends with the header of an assistant's turn. */
  addGenerationPrompt?: boolean
  /**
   * Ends inside the last message, which the model is to continue; a text names the field to continue, by default
   * `content`.
   */
  continueFinalMessage?: boolean | string
  /** Further variables of the template, such as enable_thinking; one with the name of a special token replaces it. */
  variables?: Readonly<Record<string, unknown>>
  /** One of `names`; by default tool_use where there are tools and such a template, else default. */
  template?: string
  /** The clock of strftime_now, in local time. */
  now?: () => Date
}

export type ChatEncodeOptions = ChatOptions & {
  /** Encodes control tokens that occur in messages, tools, documents or variables as plain text. */
  sanitize?: boolean
  /** Without {% generation %} in the template, derives the mask or throws a Fault `no-generation-marks` (assistantSpans.ts). */
  deriveMask?: boolean
}

export type ChatTemplate = {
  /** The names of the model's templates. */
  readonly names: readonly string[]
  /**
   * Whether the template reads the parts of a content that is a list; a template for plain text would print the list.
   */
  readsParts(options?: ChatOptions): boolean
  /** Throws a Fault with code `template` (its own complaint as the message) or `continue`. */
  render(messages: readonly Message[], options?: ChatOptions): { text: string }
  /**
   * ids of the rendered text without added special tokens. assistantMask has 1 where {% generation %} encloses the
   * token; undefined where the template has no such block (unless `deriveMask`) or the final message is continued.
   */
  encode(
    messages: readonly Message[],
    options?: ChatEncodeOptions,
  ): Encoding & { text: string; assistantMask: number[] | undefined }
}

type Compiled = {
  readonly source: string
  readonly statements: readonly Statement[]
  readonly marksGeneration: boolean
}

export const chatTemplate = (
  templates: Readonly<Record<string, Template>>,
  encoder: ChatEncoder,
  specialTokens: Readonly<Record<string, string>>,
): ChatTemplate => {
  const compiled = new Map<string, Compiled>()
  const pick = (options: ChatOptions): Compiled => {
    const name = templateName(templates, options)
    const known = compiled.get(name) ?? compile(templates[name])
    compiled.set(name, known)
    return known
  }
  const render = (messages: readonly Message[], options: ChatOptions, marked = false) =>
    renderChat(pick(options), messages, options, specialTokens, marked)
  const encoded = (messages: readonly Message[], options: ChatOptions): Encoded => {
    const { text, spans } = render(messages, options)
    return { ...encoder.encode(text), text, spans }
  }
  const sanitized = (given: readonly Message[], asked: ChatOptions): Encoded => {
    const controls = controlTokens(encoder.added, pick(asked).statements)
    const { messages, ...fields } = readable({ messages: given, ...dataOf(asked) }, controls)
    const options = { ...asked, ...fields }
    const { text, spans } = render(messages, options)
    const marked = { ...asked, ...markData(fields) }
    const { text: unmarked, data } = origins(render(markMessages(messages, encoder.added), marked, true).text)
    if (unmarked !== text)
      throw badInput('control-token', 'the template reads messages in a way that hides which of its text is theirs')
    return { ...encodeApart(text, data, controls, encoder), text, spans }
  }
  const derivedSpans = (text: string, messages: readonly Message[], asked: ChatOptions) =>
    assistantSpans(
      text,
      messages,
      (turns, { addGenerationPrompt = false, marked = false }) =>
        render(turns, { ...asked, addGenerationPrompt }, marked).text,
      encoder.added.filter(({ special }) => special).map(({ content }) => content),
    )
  return {
    names: Object.keys(templates),
    readsParts: (options = {}) => /\{%[-+]?\s*for\b[^%]*\bin\b[^%]*content/.test(pick(options).source),
    render: (messages, options = {}) => ({ text: render(messages, options).text }),
    encode: (messages, { sanitize = false, deriveMask = false, ...options } = {}) => {
      const { text, ids, tokens, offsets, spans: own } = (sanitize ? sanitized : encoded)(messages, options)
      const { marksGeneration } = pick(options)
      const wantsMask = (marksGeneration || deriveMask) && !options.continueFinalMessage
      const spans = marksGeneration || !wantsMask ? own : derivedSpans(text, messages, options)
      const points = (at: number) => pointLength(text.slice(0, at))
      const assistantMask = wantsMask
        ? maskOf(
            offsets,
            spans.map(([start, end]) => [points(start), points(end)]),
          )
        : undefined
      return { text, ids, tokens, offsets, assistantMask }
    },
  }
}

type Encoded = Encoding & Rendered

const dataOf = ({ tools, documents, variables }: ChatOptions) => ({ tools, documents, variables })

const compile = ({ file, source }: Template): Compiled => {
  try {
    return {
      source,
      statements: compileTemplate(source),
      marksGeneration: /\{%[-+]?\s*generation\s*[-+]?%\}/.test(source),
    }
  } catch (error) {
    throw badInput('template', cut((error as Error).message, 300), { file })
  }
}

const templateName = (templates: Readonly<Record<string, Template>>, { template, tools }: ChatOptions): string => {
  const has = (name: string) => Object.hasOwn(templates, name)
  const name = template ?? (tools && has('tool_use') ? 'tool_use' : 'default')
  if (has(name)) return name
  throw badInput('template', `the model has no chat template ${name}; it has ${Object.keys(templates).join(', ')}`)
}

const tag = 'CONTINUE_FINAL_MESSAGE_TAG '
const reasoningFields = ['reasoning_content', 'thinking', 'reasoning']

const renderChat = (
  template: Compiled,
  messages: readonly Message[],
  options: ChatOptions,
  specialTokens: Readonly<Record<string, string>>,
  marked: boolean,
) => {
  if (!messages.length) throw badInput('template', 'a conversation needs at least one message')
  const chat = messages.map(withoutNulls).map(withReasoning)
  const final = options.continueFinalMessage ? tagFinal(chat, options, template) : undefined
  const rendered = renderTemplate(
    template.statements,
    {
      ...specialTokens,
      ...options.variables,
      messages: chat,
      tools: options.tools ?? null,
      documents: options.documents ?? null,
      add_generation_prompt: options.addGenerationPrompt ?? false,
    },
    { now: options.now, marked },
  )
  return final === undefined ? rendered : { text: cutAtTag(rendered.text, final), spans: rendered.spans }
}

const withoutNulls = (message: Message): Message =>
  carryNotes(
    message,
    Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined)),
  )

/** Reasoning is found under several names; templates read the first two. */
const withReasoning = (message: Message): Record<string, unknown> => {
  const found = reasoningFields.find((field) => message[field] !== undefined)
  return found ? { thinking: message[found], ...message, reasoning_content: message[found] } : { ...message }
}

/** Puts the tag behind the final message, in place; returns the message's text without it. */
const tagFinal = (chat: Record<string, unknown>[], options: ChatOptions, template: Compiled): string => {
  if (options.addGenerationPrompt)
    throw continueFault('continueFinalMessage and addGenerationPrompt exclude each other')
  const field = typeof options.continueFinalMessage === 'string' ? options.continueFinalMessage : 'content'
  const last = chat[chat.length - 1]
  const content = last[field]
  const fields = reasoningFields.includes(field) ? reasoningFields.filter((name) => last[name] === content) : [field]
  if (!fields.some((name) => template.source.includes(name)))
    throw continueFault(`the template does not read the field ${field}`)
  if (Array.isArray(content)) {
    const at = content.findLastIndex((part) => typeof part?.text === 'string')
    if (at < 0) throw continueFault('the final message has no text to continue')
    last[field] = content.with(at, { ...content[at], text: content[at].text + tag })
    return content[at].text
  }
  if (typeof content !== 'string') throw continueFault(`the final message has no ${field} to continue`)
  for (const name of fields) last[name] = content + tag
  return content
}

const cutAtTag = (text: string, final: string): string => {
  const at = text.lastIndexOf(tag.trim())
  if (at < 0 || !unmarkText(text).includes(unmarkText(final).trim()))
    throw continueFault('the final message is not in the text that the template makes, so it cannot be continued')
  return text.startsWith(tag, at) ? text.slice(0, at) : withoutSpaceAtEnd(text.slice(0, at))
}

/** trimEnd for a text that may be marked. */
const withoutSpaceAtEnd = (text: string): string => {
  const points = [...text]
  return points.slice(0, points.findLastIndex((point) => unmarkText(point).trim()) + 1).join('')
}

const continueFault = (message: string) => badInput('continue', message)

/** 1 for the tokens from the one that holds a span's first character to the one that holds its last. */
const maskOf = (offsets: readonly [number, number][], spans: [number, number][]): number[] => {
  const mask = new Array<number>(offsets.length).fill(0)
  const tokenAt = (point: number) => offsets.findIndex(([start, end]) => start <= point && point < end)
  for (const [start, end] of spans) {
    const first = tokenAt(start)
    if (first < 0) break
    const last = tokenAt(end - 1)
    mask.fill(1, first, last > 0 ? last + 1 : mask.length)
  }
  return mask
}
