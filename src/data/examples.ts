/**
 * Rows to token ids. What goes wrong most in post-training goes wrong here, so the rules are few and strict:
 * prompt and prompt+reply are tokenised as wholes and the reply is what follows the prompt's length; a chat template
 * already holds its special tokens; plain text gets its EOS if it has none, and a prompt keeps one that stands in its text
 * (only the one that a tokenizer adds to every text goes); ids given as ids are taken as they are;
 * a row that truncation leaves without a reply is dropped and counted.
 */
import { badInput } from '../util/fault.ts'
import { isIds, isMessages, type Message, type Ranking, type Sft, type Text, type Unpaired } from './rows.ts'

/** What tokenisation needs; text/tokenizer.ts has it. */
export type Encoder = {
  encode(text: string, options?: { specialTokens?: boolean }): { ids: number[] }
  readonly eosId: number | undefined
  /** Whether `encode` puts EOS behind a text by itself. */
  readonly addsEos: boolean
  /** Highest id + 1. */
  readonly size: number
  readonly chat?: {
    encode(
      messages: Message[],
      options?: { addGenerationPrompt?: boolean },
    ): { ids: number[]; assistantMask: number[] | undefined }
  }
}

export type Limits = {
  /** Prompt and reply together; a longer reply loses its end. */
  maxLength: number
  /** A longer prompt loses its beginning. */
  maxPromptLength?: number
}

/** Why a row gave no example. */
export type Dropped = 'no-reply-left' | 'no-target-left' | 'empty'

/** A prompt with its replies, as token ids. */
export type RankedExample = {
  prompt: number[]
  replies: number[][]
  ranks: (number | null)[]
  prob?: number
  margin?: number
  ratings?: readonly (number | null)[]
  truncated: boolean
}
export type UnpairedExample = { prompt: number[]; completion: number[]; label: boolean; truncated: boolean }
/** `targets` is 1 where a token counts. */
export type TextExample = { ids: number[]; targets: number[]; truncated: boolean }

/** Counts what was found odd, by name, for one warning at the end. */
export type Count = (what: string) => void

const needChat = (encoder: Encoder) => {
  if (encoder.chat) return encoder.chat
  throw badInput(
    'no-template',
    'rows are conversations, and the tokenizer has no chat template; give text, or another model',
  )
}

/** A prompt's ids, with its beginning-of-text token. Every prompt is read by this, whatever goes on behind it. */
export const encodePrompt = (encoder: Encoder, prompt: Text): number[] => {
  if (isIds(prompt)) return prompt
  if (isMessages(prompt)) return needChat(encoder).encode(prompt, { addGenerationPrompt: true }).ids
  return encodeOpen(encoder, prompt)
}

/** A text that may go on: what the tokenizer puts in front of it, and no end but one that stands in the text. */
const encodeOpen = (encoder: Encoder, text: string): number[] => {
  const { ids } = encoder.encode(text, { specialTokens: true })
  return encoder.addsEos ? ids.slice(0, -1) : ids
}

const withEnd = (ids: number[], { eosId }: Encoder) =>
  eosId === undefined || ids.at(-1) === eosId ? ids : [...ids, eosId]

/** The ids that follow the prompt's. */
export const encodeReply = (
  encoder: Encoder,
  prompt: Text,
  promptIds: number[],
  reply: Text,
  count: Count,
): number[] => {
  if (isIds(reply)) return reply
  if (isIds(prompt)) return withEnd(encoder.encode(asText(reply), { specialTokens: false }).ids, encoder)
  const whole = isMessages(prompt)
    ? needChat(encoder).encode([...prompt, ...asMessages(reply)]).ids
    : withEnd(encodeOpen(encoder, prompt + asText(reply)), encoder)
  if (promptIds.some((id, i) => id !== whole[i])) count('prompt-not-prefix')
  return whole.slice(promptIds.length)
}

const asMessages = (reply: Text): Message[] =>
  isMessages(reply) ? reply : [{ role: 'assistant', content: reply as string }]

const asText = (reply: Text): string =>
  typeof reply === 'string' ? reply : (reply as Message[]).map(({ content }) => content).join('')

const lastOf = (prompt: number[], { maxPromptLength }: Limits) =>
  maxPromptLength === undefined ? prompt : prompt.slice(-maxPromptLength)

/** The prompt's last tokens and the reply's first, within the limits; undefined where no reply is left. */
const fit = (prompt: number[], reply: number[], limits: Limits) => {
  const cut = lastOf(prompt, limits)
  const room = limits.maxLength - cut.length
  return {
    prompt: cut,
    reply: reply.slice(0, Math.max(0, room)),
    truncated: cut.length < prompt.length || reply.length > room,
  }
}

/** Nothing to predict: no reply, or a single token that nothing comes before. */
const isEmpty = ({ prompt, reply }: { prompt: number[]; reply: number[] }) =>
  reply.length === 0 || prompt.length + reply.length < 2

export const rankedExample = (
  encoder: Encoder,
  row: Ranking,
  limits: Limits,
  count: Count,
): RankedExample | Dropped => {
  const promptIds = encodePrompt(encoder, row.prompt)
  const fitted = row.responses.map((text) =>
    fit(promptIds, encodeReply(encoder, row.prompt, promptIds, text, count), limits),
  )
  if (fitted.some(isEmpty)) return 'no-reply-left'
  const [{ prompt }] = fitted
  const replies = fitted.map(({ reply }) => reply)
  const { ranks, prob, margin, ratings } = row
  return { prompt, replies, ranks, prob, margin, ratings, truncated: fitted.some(({ truncated }) => truncated) }
}

export const unpairedExample = (
  encoder: Encoder,
  row: Unpaired,
  limits: Limits,
  count: Count,
): UnpairedExample | Dropped => {
  const promptIds = encodePrompt(encoder, row.prompt)
  const fitted = fit(promptIds, encodeReply(encoder, row.prompt, promptIds, row.completion, count), limits)
  const { prompt, reply, truncated } = fitted
  return isEmpty(fitted) ? 'no-reply-left' : { prompt, completion: reply, label: row.label, truncated }
}

export type TextOptions = {
  /** Of a conversation only what the template marks as the assistant's counts. */
  assistantOnly: boolean
  /** Of a prompt and completion only the completion counts. */
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

const textIds = (encoder: Encoder, row: Sft, limits: Limits, options: TextOptions, count: Count) => {
  if (row.kind === 'messages') {
    const { ids, assistantMask } = needChat(encoder).encode(row.messages)
    if (options.assistantOnly && !assistantMask)
      throw badInput(
        'no-generation-marks',
        'the chat template does not mark what the assistant says ({% generation %})',
        { flag: '--assistant-only-loss' },
      )
    return { ids, targets: options.assistantOnly ? assistantMask! : ids.map(() => 1), cut: false }
  }
  if (row.kind === 'text') {
    const ids = isIds(row.text) ? row.text : withEnd(encodeOpen(encoder, row.text), encoder)
    return { ids, targets: ids.map(() => 1), cut: false }
  }
  const whole = encodePrompt(encoder, row.prompt)
  const completion = encodeReply(encoder, row.prompt, whole, row.completion, count)
  const prompt = lastOf(whole, limits)
  return {
    ids: [...prompt, ...completion],
    targets: [...prompt.map(() => Number(!options.completionOnly)), ...completion.map(() => 1)],
    cut: prompt.length < whole.length,
  }
}
