/**
 * Tokens with their log-probs, in the two formats of the protocol. A token is written by its own bytes, its leading space
 * included; a token that is only a part of a character is written as OpenAI does, `bytes:\xe2\x82`.
 */
import type { ScoredToken as LikelyToken } from '../generate/sampling.ts'
import type { Piece } from '../generate/sequence.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

type TokenText = { text: string; bytes: number[]; logprob: number | null }
export type TokenLogprob = TokenText & {
  id: number
  /** UTF-16 units of the text before it. */
  offset: number
  /** The most probable tokens at its place, which need not include it; null for a prompt's first token. */
  tops: (TokenText & { id: number })[] | null
}

export type ScoredToken = { id: number; logp: number | null; tops: readonly LikelyToken[] | null }

/**
 * A function that takes the tokens of a text one after the other and gives their texts, bytes and offsets.
 * @param prompt  token ids before the text
 * @param start   the offset of the first token
 */
export const logprobReader = (tokenizer: Tokenizer | undefined, prompt: readonly number[], start: number) => {
  const stream = tokenizer?.stream({ skipSpecialTokens: true })
  // Some decoders drop the space before the first word of a text; the prompt before it keeps that of a completion
  for (const id of prompt.slice(-64)) stream?.push(id)
  let offset = start
  const tokenText = (id: number, logprob: number | null) => ({ id, ...textOf(tokenizer, id), logprob })
  return ({ id, logp, tops }: ScoredToken): TokenLogprob => {
    const at = offset
    offset += stream?.push(id).length ?? 0
    return { ...tokenText(id, logp), offset: at, tops: tops?.map((top) => tokenText(top.id, top.logp)) ?? null }
  }
}

/** The tokens of a piece of a completion, without the end token. */
export const pieceLogprobs = (
  { ids, logps, tops, finishReason }: Piece,
  read: ReturnType<typeof logprobReader>,
): TokenLogprob[] =>
  ids
    .slice(0, finishReason === 'eos' ? -1 : undefined)
    .map((id, i) => read({ id, logp: logps[i], tops: tops?.[i] ?? [] }))

const textOf = (tokenizer: Tokenizer | undefined, id: number): { text: string; bytes: number[] } => {
  const bytes = tokenizer?.bytes(id) ?? new Uint8Array()
  try {
    return { text: utf8.decode(bytes), bytes: [...bytes] }
  } catch {
    return { text: escapedBytes(bytes), bytes: [...bytes] }
  }
}
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const escapedBytes = (bytes: Uint8Array) =>
  `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`

const entry = ({ text, bytes, logprob }: TokenText) => ({ token: text, logprob, bytes })

export const chatLogprobs = (tokens: readonly TokenLogprob[]) => ({
  content: tokens.map((token) => ({ ...entry(token), top_logprobs: (token.tops ?? []).map(entry) })),
  refusal: null,
})

/** @param asIds names tokens by their ids, as vLLM's `return_tokens_as_token_ids` does */
export const completionLogprobs = (tokens: readonly TokenLogprob[], asIds = false) => ({
  tokens: tokens.map((token) => (asIds ? idName(token) : token.text)),
  token_logprobs: tokens.map(({ logprob }) => logprob),
  top_logprobs: tokens.map((token) => topTable(token, asIds)),
  text_offset: tokens.map(({ offset }) => offset),
})

const idName = ({ id }: { id: number }) => `token_id:${id}`

/** Log-probs by the text of their token, the token itself included. The second of two tokens with one text is named by its id. */
const topTable = (token: TokenLogprob, asIds: boolean): Record<string, number | null> | null => {
  if (!token.tops) return null
  const table = new Map([[asIds ? idName(token) : token.text, token.logprob]])
  for (const top of token.tops)
    if (top.id !== token.id) table.set(asIds || table.has(top.text) ? idName(top) : top.text, top.logprob)
  return Object.fromEntries(table)
}
