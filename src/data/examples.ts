/**
 * Rows to token ids.
 *
 * The rules: prompt and prompt + response are tokenized as wholes, and the response is what follows the prompt's
 * length. A chat template already contains its special tokens. Plain text gets an EOS if it has none; a prompt keeps
 * an EOS that is in its text, and loses only one that the tokenizer adds to every text. Ids that are given as ids are
 * not changed. A row that truncation leaves without a response is dropped and counted.
 */
import { badInput } from '../util/fault.ts'
import { type Message, withJoinedParts } from './messages.ts'
import { type Conversation, isIds, isMessages, type Ranking, type Sft, type Text, type Unpaired } from './rows.ts'
import type { TemplateArguments } from './template.ts'

/** The part of a tokenizer (text/tokenizer.ts) that makes examples. */
export type Encoder = {
  encode(text: string, options?: { specialTokens?: boolean }): { ids: number[] }
  readonly eosId: number | undefined
  /** Whether `encode` puts EOS behind a text by itself. */
  readonly addsEos: boolean
  /** Highest id + 1. */
  readonly size: number
  readonly chat?: {
    /** Whether the template goes through the parts of a content that is a list. */
    readsParts?(options?: TemplateArguments): boolean
    encode(
      messages: Message[],
      options?: TemplateArguments & { addGenerationPrompt?: boolean; deriveMask?: boolean },
    ): {
      ids: number[]
      assistantMask: number[] | undefined
      text?: string
      /** Where each token stands in the text, in code points. */
      offsets?: readonly (readonly [number, number])[]
    }
    /** Needed for conversations with turns that do not count. */
    render?(messages: Message[], options?: TemplateArguments & { addGenerationPrompt?: boolean }): { text: string }
  }
}

export type Limits = {
  /** Prompt and response together; a longer response loses its end. */
  maxLength: number
  /** A longer prompt loses its beginning. */
  maxPromptLength?: number
}

/** Why a row gave no example. The codes are in events and messages. */
export type Dropped = 'no-reply-left' | 'no-target-left' | 'empty'

/** A prompt with its responses, as token ids. */
export type RankedExample = {
  prompt: number[]
  responses: number[][]
  ranks: (number | null)[]
  prob?: number
  margin?: number
  ratings?: readonly (number | null)[]
  truncated: boolean
}
export type UnpairedExample = { prompt: number[]; completion: number[]; label: boolean; truncated: boolean }
/** `targets` is 1 where a token's loss counts. */
export type TextExample = { ids: number[]; targets: number[]; truncated: boolean }

/** Counts a peculiarity of a row by its code, for one warning at the end. */
export type Count = (what: string) => void

/** Messages as their chat template takes them: a template for text only gets a list of parts as one text. */
export const turnsFor = (
  { readsParts }: Pick<NonNullable<Encoder['chat']>, 'readsParts'>,
  messages: Message[],
  options?: TemplateArguments,
): Message[] =>
  messages.some(({ content }) => Array.isArray(content)) && readsParts?.(options) === false
    ? messages.map(withJoinedParts)
    : messages

const encodeChat = (
  { chat }: Pick<Encoder, 'chat'>,
  messages: Message[],
  options?: TemplateArguments & { addGenerationPrompt?: boolean; deriveMask?: boolean },
) => {
  if (!chat)
    throw badInput(
      'no-template',
      'rows are conversations, and the tokenizer has no chat template; give text, or another model',
    )
  return chat.encode(turnsFor(chat, messages, options), options)
}

/** A prompt's ids, with its beginning-of-text token. Every prompt is tokenized by this, in training and in generation. */
export const encodePrompt = (encoder: Encoder, prompt: Text, template?: TemplateArguments): number[] => {
  if (isIds(prompt)) return prompt
  if (isMessages(prompt)) return encodeChat(encoder, prompt, { ...template, addGenerationPrompt: true }).ids
  return encodeOpen(encoder, prompt)
}

/** A text without an end: with the tokens that the tokenizer puts before it, and an EOS only where the text has one. */
const encodeOpen = (encoder: Encoder, text: string): number[] => {
  const { ids } = encoder.encode(text, { specialTokens: true })
  return encoder.addsEos ? ids.slice(0, -1) : ids
}

/** Adds EOS where it is missing. @param prompt length of the prompt, whose own EOS does not end the response */
const withEnd = (ids: number[], { eosId }: Encoder, prompt = 0) =>
  eosId === undefined || (ids.length > prompt && ids.at(-1) === eosId) ? ids : [...ids, eosId]

/** Ids of prompt and response, tokenized as one text. */
const encodeWhole = (
  encoder: Encoder,
  prompt: Text,
  promptIds: readonly number[],
  response: Text,
  template?: TemplateArguments,
): number[] => {
  if (isIds(response)) return [...promptIds, ...response]
  if (isIds(prompt))
    return [...prompt, ...withEnd(encoder.encode(asText(response), { specialTokens: false }).ids, encoder)]
  return isMessages(prompt)
    ? encodeChat(encoder, [...prompt, ...asMessages(response)], template).ids
    : withEnd(encodeOpen(encoder, prompt + asText(response)), encoder, promptIds.length)
}

const beginsWith = (ids: readonly number[], beginning: readonly number[]) => beginning.every((id, i) => id === ids[i])

/** The ids that follow the prompt's. */
const encodeResponse = (
  encoder: Encoder,
  prompt: Text,
  promptIds: number[],
  response: Text,
  count: Count,
  template?: TemplateArguments,
): number[] => {
  const whole = encodeWhole(encoder, prompt, promptIds, response, template)
  if (!beginsWith(whole, promptIds)) count('prompt-not-prefix')
  return whole.slice(promptIds.length)
}

/** A prompt and responses for a reward model, each tokenized as one text: the prompt ends where the first response differs. */
export const encodeScored = (
  encoder: Encoder,
  prompt: Text,
  responses: readonly Text[],
  template?: TemplateArguments,
): { prompt: number[]; responses: number[][] } => {
  const ids = encodePrompt(encoder, prompt, template)
  const wholes = responses.map((response) => encodeWhole(encoder, prompt, ids, response, template))
  const shared = (whole: readonly number[]) => {
    const at = ids.findIndex((id, i) => id !== whole[i])
    return at < 0 ? ids.length : at
  }
  const length = Math.min(...wholes.map(shared))
  return { prompt: ids.slice(0, length), responses: wholes.map((whole) => whole.slice(length)) }
}

const asMessages = (response: Text): Message[] =>
  isMessages(response) ? response : [{ role: 'assistant', content: response as string }]

const asText = (response: string | Message[]): string => {
  if (typeof response === 'string') return response
  throw badInput('wrong-kind', 'a response of messages needs a prompt of messages')
}

const truncatePrompt = (prompt: number[], { maxPromptLength }: Limits) =>
  maxPromptLength === undefined ? prompt : prompt.slice(-maxPromptLength)

/** The prompt's last tokens and the response's first, within the limits; undefined where no response is left. */
const truncate = (prompt: number[], response: number[], limits: Limits) => {
  const cut = truncatePrompt(prompt, limits)
  const room = limits.maxLength - cut.length
  return {
    prompt: cut,
    response: response.slice(0, Math.max(0, room)),
    truncated: cut.length < prompt.length || response.length > room,
  }
}

/** Nothing to predict: no response, or a single token that nothing comes before. */
const isEmpty = ({ prompt, response }: { prompt: number[]; response: number[] }) =>
  response.length === 0 || prompt.length + response.length < 2

/** Whether responses of different ranks are the same tokens (after truncation), so that their order is lost. */
const hasEqualResponses = (responses: readonly number[][], ranks: Ranking['ranks']) =>
  responses.some((response, i) =>
    responses.some(
      (other, j) => j < i && ranks[i] !== ranks[j] && response.length === other.length && beginsWith(response, other),
    ),
  )

export const rankedExample = (
  encoder: Encoder,
  row: Ranking,
  limits: Limits,
  count: Count,
): RankedExample | Dropped => {
  const promptIds = encodePrompt(encoder, row.prompt, row.template)
  const responses = row.responses.map((response) =>
    encodeResponse(encoder, row.prompt, promptIds, response, count, row.template),
  )
  return fitRanked(promptIds, responses, row, limits, count)
}

/** For reward models, which score prompt and response as one text: only tokens that all of these texts share are prompt. */
export const scoredExample = (
  encoder: Encoder,
  row: Ranking,
  limits: Limits,
  count: Count,
): RankedExample | Dropped => {
  const { prompt, responses } = encodeScored(encoder, row.prompt, row.responses, row.template)
  return fitRanked(prompt, responses, row, limits, count)
}

const fitRanked = (
  promptIds: number[],
  responseIds: readonly number[][],
  { ranks, prob, margin, ratings }: Ranking,
  limits: Limits,
  count: Count,
): RankedExample | Dropped => {
  const fitted = responseIds.map((ids) => truncate(promptIds, ids, limits))
  if (fitted.some(isEmpty)) return 'no-reply-left'
  const responses = fitted.map(({ response }) => response)
  if (hasEqualResponses(responses, ranks)) count('equal-replies')
  const [{ prompt }] = fitted
  return { prompt, responses, ranks, prob, margin, ratings, truncated: fitted.some(({ truncated }) => truncated) }
}

export const unpairedExample = (
  encoder: Encoder,
  row: Unpaired,
  limits: Limits,
  count: Count,
): UnpairedExample | Dropped => {
  const { prompt: asked, completion, template } = row
  const promptIds = encodePrompt(encoder, asked, template)
  const fitted = truncate(promptIds, encodeResponse(encoder, asked, promptIds, completion, count, template), limits)
  const { prompt, response, truncated } = fitted
  return isEmpty(fitted) ? 'no-reply-left' : { prompt, completion: response, label: row.label, truncated }
}

export type TextOptions = {
  /** In a conversation only the assistant's tokens count: those that the template marks, or those derived from it. */
  assistantOnly: boolean
  /** Of a prompt with a completion only the completion's tokens count. */
  completionOnly: boolean
}

export const textExample = (
  encoder: Encoder,
  row: Sft,
  limits: Limits,
  options: TextOptions,
  count: Count,
): TextExample | Dropped => {
  const { ids, targets, cut } = textIds(encoder, row, limits, options, count)
  if (ids.length < 2) return 'empty'
  const kept = {
    ids: ids.slice(0, limits.maxLength),
    targets: targets.slice(0, limits.maxLength),
    truncated: cut || ids.length > limits.maxLength,
  }
  return kept.targets.some((target, t) => t > 0 && target) ? kept : 'no-target-left'
}

/**
 * Turns of the assistant that are context alone ("weight": 0 or "train": false) do not count. A turn's text stands between
 * the conversation before it and the one that ends with it, where the template renders both as beginnings of the whole.
 */
const withoutLeftOut = (
  { chat }: Encoder,
  { messages, template }: Conversation,
  { text, offsets }: { text?: string; offsets?: readonly (readonly [number, number])[] },
  targets: number[],
): number[] => {
  if (!messages.some(isLeftOut)) return targets
  const render = (count: number, addGenerationPrompt: boolean) =>
    count
      ? chat!.render!(turnsFor(chat!, messages.slice(0, count), template), { ...template, addGenerationPrompt }).text
      : ''
  const kept = [...targets]
  for (const [at, message] of messages.entries()) {
    if (!isLeftOut(message)) continue
    const before = render(at, true)
    const through = render(at + 1, false)
    if (!text!.startsWith(before) || !text!.startsWith(through) || through.length <= before.length)
      throw badInput(
        'bad-value',
        `message ${at} has ${message.train === false ? '"train": false' : '"weight": 0'}, but the chat template renders a turn otherwise when more follows, so its tokens cannot be told; leave these fields out, or make a row of each answer (prompt and completion)`,
      )
    // Offsets count code points
    const [start, end] = [pointCount(before), pointCount(through)]
    for (const [t, [from, to]] of offsets!.entries()) if (from < end && to > start) kept[t] = 0
  }
  return kept
}

const pointCount = (text: string) => {
  let count = 0
  for (const _ of text) count++
  return count
}

const isLeftOut = ({ role, weight, train }: Message) => role === 'assistant' && (weight === 0 || train === false)

const textIds = (encoder: Encoder, row: Sft, limits: Limits, options: TextOptions, count: Count) => {
  if (row.kind === 'messages') {
    const deriveMask = options.assistantOnly
    const { ids, assistantMask, ...rendered } = encodeChat(encoder, row.messages, { ...row.template, deriveMask })
    const targets = options.assistantOnly ? assistantMask! : ids.map(() => 1)
    return { ids, targets: withoutLeftOut(encoder, row, rendered, targets), cut: false }
  }
  if (row.kind === 'text') {
    const ids = isIds(row.text) ? row.text : withEnd(encodeOpen(encoder, row.text), encoder)
    return { ids, targets: ids.map(() => 1), cut: false }
  }
  // Tokenized as one text; the first tokens, as many as the prompt has, do not count
  const promptIds = encodePrompt(encoder, row.prompt, row.template)
  const whole = encodeWhole(encoder, row.prompt, promptIds, row.completion, row.template)
  if (!beginsWith(whole, promptIds)) count('prompt-not-prefix')
  const completion = whole.slice(promptIds.length)
  const prompt = truncatePrompt(whole.slice(0, promptIds.length), limits)
  return {
    ids: [...prompt, ...completion],
    targets: [...prompt.map(() => Number(!options.completionOnly)), ...completion.map(() => 1)],
    cut: prompt.length < promptIds.length,
  }
}
