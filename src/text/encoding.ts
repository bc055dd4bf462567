/** What a tokenizer makes of a text, and what a chat template needs of its tokenizer. */
import type { AddedToken } from './addedTokens.ts'

export type Encoding = {
  readonly ids: number[]
  /** Entries of the vocabulary, not slices of the text. */
  readonly tokens: string[]
  /** [start, end) in Unicode code points of the text; [0, 0] for special tokens that were added. */
  readonly offsets: [number, number][]
}

/** What a chat template needs of its tokenizer. */
export type ChatEncoder = {
  /** Without what a post-processor adds. */
  encode(text: string): Encoding
  /** Without looking for any added token. */
  encodePlain(text: string): Encoding
  readonly added: readonly Pick<AddedToken, 'content' | 'special'>[]
}
