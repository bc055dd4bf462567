/**
 * Added tokens: found in a text before the tokenizer's model sees it, most of them in the text as it is, those with
 * `normalized` in the normalized text. Where several begin at the same place the longest is taken. A token may also
 * take the white space beside it (lstrip, rstrip) or match whole words only (single_word).
 */

import type { JsonPart } from './jsonPart.ts'
import type { Normalizer } from './normalize.ts'
import type { Piece } from './pieces.ts'
import { slicePiece, wholePiece, width } from './pieces.ts'
import type { Trie } from './trie.ts'
import { longestIn, trie } from './trie.ts'
import { isWhiteSpace } from './unicode.ts'
import type { Model } from './vocabulary.ts'
import { workFor } from './work.ts'

export type AddedToken = {
  readonly content: string
  readonly singleWord: boolean
  readonly lstrip: boolean
  readonly rstrip: boolean
  readonly normalized: boolean
  readonly special: boolean
}

export const readAddedToken = (json: JsonPart): AddedToken => {
  const record = json.record()
  const flag = (key: string): boolean | undefined => {
    const value = record[key] ?? undefined
    return value === undefined || typeof value === 'boolean' ? value : json.at(key).flag()
  }
  const special = flag('special') ?? false
  return {
    content: typeof record.content === 'string' ? record.content : json.at('content').text(),
    singleWord: flag('single_word') ?? false,
    lstrip: flag('lstrip') ?? false,
    rstrip: flag('rstrip') ?? false,
    normalized: flag('normalized') ?? !special,
    special,
  }
}

export type AddedTokens = {
  readonly ids: ReadonlyMap<string, number>
  readonly tokens: ReadonlyMap<number, AddedToken>
  /** The text of an id as the decoder gets it: a normalized token as the normalizer wrote it. */
  written(id: number): string | undefined
  isSpecial(written: string): boolean
  /** Cuts out the tokens that are matched in the text as it is, or those that are matched in normalized text. */
  extract(piece: Piece, normalized: boolean, splitSpecial: boolean): Piece[]
}

/**
 * A token keeps the id that the model has for it. Any other gets the next free id: after the vocabulary, or after the
 * highest added token of an earlier list.
 */
export const addTokens = (
  lists: readonly (readonly AddedToken[])[],
  model: Model,
  normalizer: Normalizer,
  file: string,
): AddedTokens => {
  const work = workFor(
    lists.flat().reduce((sum, { content }) => sum + content.length, 0),
    file,
  )
  const ids = new Map<string, number>()
  const tokens = new Map<number, AddedToken>()
  const written = new Map<number, string>()
  /** A token that one list calls special stays special. */
  const specials = new Set<string>()
  let highest = -1
  for (const list of lists) {
    let next = Math.max(highest + 1, model.size)
    for (const token of list) {
      if (!token.content) continue
      const id = ids.get(token.content) ?? model.idOf(token.content) ?? next
      if (id === next) next++
      highest = Math.max(highest, id)
      if (token.special) specials.add(token.content)
      ids.set(token.content, id)
      tokens.set(id, token)
      written.set(id, token.normalized ? normalizer(wholePiece(token.content, work)).text : token.content)
    }
  }
  const tries = [false, true].map((normalized) => {
    const found = trie(tokens.size)
    for (const [id, token] of tokens) if (token.normalized === normalized) found.add(written.get(id)!, id)
    return found
  })
  return {
    ids,
    tokens,
    written: (id) => written.get(id),
    isSpecial: (text) => specials.has(text),
    extract: (piece, normalized, splitSpecial) => {
      const found = tries[Number(normalized)]
      return found.empty ? [piece] : extract(piece, found, tokens, splitSpecial ? specials : undefined)
    },
  }
}

const extract = (
  piece: Piece,
  wanted: Trie,
  tokens: ReadonlyMap<number, AddedToken>,
  /** These stay in the text. */
  ignored: ReadonlySet<string> | undefined,
): Piece[] => {
  const { text, work } = piece
  const step = () => work.write(1)
  const pieces: Piece[] = []
  let done = 0
  for (let at = 0; at < text.length; ) {
    const found = longestIn(wanted, text, at, step)
    if (!found) {
      at++
      continue
    }
    const token = tokens.get(found.value)!
    const start = at
    at = found.end
    if (ignored?.has(token.content)) continue
    if (token.singleWord && (endsInWord(text, start) || beginsWithWord(text, found.end))) continue
    const from = token.lstrip ? spaceBefore(text, start, done) : start
    const to = token.rstrip ? spaceAfter(text, found.end, step) : found.end
    if (done < from) pieces.push(slicePiece(piece, done, from))
    pieces.push({ ...slicePiece(piece, from, to), id: found.value })
    done = to
  }
  if (done === 0) return pieces.length ? pieces : [piece]
  if (done < text.length) pieces.push(slicePiece(piece, done, text.length))
  return pieces
}

/** As Rust's \w, which includes joiners. */
const wordChar = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u
const endsInWord = (text: string, at: number): boolean =>
  at > 0 && wordChar.test(text.slice(at > 1 && width(text, at - 2) === 2 ? at - 2 : at - 1, at))
const beginsWithWord = (text: string, at: number): boolean => wordChar.test(text.slice(at, at + 2))

const spaceBefore = (text: string, at: number, least: number): number => {
  while (at > least && isWhiteSpace(text[at - 1])) at--
  return Math.max(at, least)
}
const spaceAfter = (text: string, at: number, step: () => void): number => {
  for (; at < text.length && isWhiteSpace(text[at]); at++) step()
  return at
}
