/** What all token models share: a vocabulary, and the tokens of a word as ids with the UTF-16 units they cover. */
import { quoted } from '../util/quote.ts'
import type { JsonPart } from './jsonPart.ts'

/** Flat lists of the same length; a token covers units [from, to) of the piece. */
export type Tokens = { readonly ids: number[]; readonly from: number[]; readonly to: number[] }

export type Model = {
  readonly type: string
  /** How many tokens the model knows, added ones not counted. */
  readonly size: number
  /** -1 for an empty vocabulary. */
  readonly highestId: number
  idOf(token: string): number | undefined
  tokenOf(id: number): string | undefined
  /** Tokens of one pre-tokenized piece; the result is shared and not to be changed. */
  tokenize(text: string): Tokens
}

export type Vocabulary = {
  readonly ids: ReadonlyMap<string, number>
  readonly tokens: ReadonlyMap<number, string>
  readonly highestId: number
}

/** `{"token": id}`. */
export const readVocabulary = (json: JsonPart): Vocabulary => {
  const ids = new Map<string, number>()
  const tokens = new Map<number, string>()
  let highestId = -1
  for (const [token, id] of Object.entries(json.record())) {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > 0x7fffffff)
      json.fail(`gives ${quoted(token)} the id ${quoted(id)}`)
    ids.set(token, id as number)
    tokens.set(id as number, token)
    highestId = Math.max(highestId, id as number)
  }
  return { ids, tokens, highestId }
}

const cacheSize = 10_000
const cachedLength = 256

/** Remembers the tokens of short pieces, since words repeat. */
export const cached = (tokenize: (text: string) => Tokens): ((text: string) => Tokens) => {
  const seen = new Map<string, Tokens>()
  return (text) => {
    const known = seen.get(text)
    if (known) return known
    const tokens = tokenize(text)
    if (text.length < cachedLength && seen.size < cacheSize) seen.set(text, tokens)
    return tokens
  }
}

/** Real vocabularies take some ten steps a character; one of ever longer runs would take as many as it has entries. */
export const stepLimit = (json: JsonPart, text: string): (() => void) => {
  let left = 256 * text.length + 2 ** 20
  return () => {
    if (--left < 0) json.fail(`has a vocabulary that takes too long on a word of ${text.length} characters`)
  }
}
