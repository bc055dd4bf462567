/** Tokens beside their log-probabilities, in the protocol's two spellings. */
import type { Piece } from '../generate/sequence.ts'
import type { Tokenizer } from '../text/tokenizer.ts'

export type Token = {
  text: string
  logprob: number
  /** UTF-16 units of the completion before it. */
  offset: number
  tops: { text: string; logprob: number }[]
}

/**
 * The tokens of one completion, as its pieces come. Texts joined are the completion's, so a token that ends in the middle
 * of a character has less, and the next one more. A last end token is left out.
 */
export const tokenReader = (tokenizer: Tokenizer | undefined, prompt: readonly number[], start: number) => {
  const stream = tokenizer?.stream()
  // Some decoders drop the space before the first word, which a completion's first word is not
  for (const id of prompt.slice(-64)) stream?.push(id)
  let offset = start
  const shown = ({ id, logp }: { id: number; logp: number }) => ({ text: tokenizer?.decode([id]) ?? '', logprob: logp })
  return ({ ids, logps, tops, finishReason }: Piece): Token[] =>
    ids.slice(0, finishReason === 'eos' ? -1 : undefined).map((id, i) => {
      const text = stream?.push(id) ?? ''
      offset += text.length
      return { text, logprob: logps[i], offset: offset - text.length, tops: tops?.[i].map(shown) ?? [] }
    })
}

const bytes = (text: string) => Array.from(new TextEncoder().encode(text))
const entry = ({ text, logprob }: { text: string; logprob: number }) => ({ token: text, logprob, bytes: bytes(text) })

export const chatLogprobs = (tokens: readonly Token[]) => ({
  content: tokens.map((token) => ({ ...entry(token), top_logprobs: token.tops.map(entry) })),
  refusal: null,
})

export const completionLogprobs = (tokens: readonly Token[]) => ({
  tokens: tokens.map(({ text }) => text),
  token_logprobs: tokens.map(({ logprob }) => logprob),
  top_logprobs: tokens.map(({ tops }) => Object.fromEntries(tops.map(({ text, logprob }) => [text, logprob]))),
  text_offset: tokens.map(({ offset }) => offset),
})
