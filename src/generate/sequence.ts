/** One completion while it is generated: its tokens, its text, and when it ends. */

import type { Tokenizer } from '../text/tokenizer.ts'
import type { SampledToken, SamplingOptions, ScoredToken } from './sampling.ts'
import { stopFilter } from './stopping.ts'

export type CompletionOptions = SamplingOptions & {
  maxNewTokens: number
  /** Completions of each prompt. */
  samples?: number
  seed: number
  /** Ids that end a completion. */
  eosIds: ReadonlySet<number>
  /** Texts that end a completion and are no part of it; they need a tokenizer. */
  stop?: readonly string[]
  /** How many of the likeliest tokens to tell beside each; 128 at most. */
  topLogprobs?: number
}

export type FinishReason = 'eos' | 'stop' | 'length'

/** New tokens of a completion, and the text that they completed, often none. The last piece says why it ended. */
export type Piece = {
  /** Number of the prompt. */
  row: number
  sample: number
  /** Generated tokens, an end token included. */
  ids: number[]
  /** Of each token, by the model's own distribution (temperature 1, nothing removed), in nats. */
  logps: number[]
  /** Of each token the likeliest at its place, likeliest first, where `topLogprobs` asks for them. */
  tops?: ScoredToken[][]
  text: string
  finishReason?: FinishReason
}

/** Text of tokens that come one by one. */
export type TextSource = Pick<Tokenizer, 'stream' | 'isSpecial' | 'idToToken'>

export type Sequence = {
  readonly row: number
  readonly sample: number
  readonly options: CompletionOptions
  /** Prompt and all that was generated. */
  readonly seen: number[]
  readonly promptLength: number
  /** Appends a token. */
  accept(token: SampledToken): Piece
}

/** @param room tokens that the completion may have */
export const makeSequence = (
  tokenizer: TextSource | undefined,
  { row, sample, prompt, options }: Pick<Sequence, 'row' | 'sample' | 'options'> & { prompt: readonly number[] },
  room: number,
): Sequence => {
  let text: ReturnType<typeof shownText> | undefined
  const seen = [...prompt]
  return {
    row,
    sample,
    options,
    seen,
    promptLength: prompt.length,
    accept({ id, logp, tops }) {
      text ??= shownText(tokenizer, prompt, options.stop ?? [])
      seen.push(id)
      const piece = { row, sample, ids: [id], logps: [logp], ...(tops && { tops: [tops] }) }
      if (options.eosIds.has(id)) return { ...piece, text: text.rest(), finishReason: 'eos' }
      const shown = text.push(id)
      if (shown.stopped) return { ...piece, text: shown.text, finishReason: 'stop' }
      if (seen.length - prompt.length < room) return { ...piece, text: shown.text }
      return { ...piece, text: shown.text + text.rest(), finishReason: 'length' }
    },
  }
}

/** Text of a sequence's tokens up to a stop string; `rest` is what was still held back. */
const shownText = (tokenizer: TextSource | undefined, prompt: readonly number[], stop: readonly string[]) => {
  const stream = tokenizer?.stream({ skipSpecialTokens: true })
  // Some decoders drop the space before the first word, which a completion's first word is not
  for (const id of prompt.slice(-64)) stream?.push(id)
  const stops = stopFilter(stop)
  return {
    push(id: number) {
      // Special tokens are not shown, and end the text where a stop text names them
      if (stop.length && tokenizer?.isSpecial(id)) return stops.push(tokenizer.idToToken(id) ?? '', true)
      return stops.push(stream?.push(id) ?? '')
    },
    rest() {
      const { text, stopped } = stops.push(stream?.flush() ?? '')
      return stopped ? text : text + stops.flush()
    },
  }
}
