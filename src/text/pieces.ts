/**
 * Pieces: text on its way to tokens. For each UTF-16 unit of its current text a piece knows the code points [start,
 * end) of the original text that the unit came from, so offsets of tokens are known however much a normalizer changed.
 * The rules for inserted and removed characters are those of Hugging Face tokenizers.
 */
import type { Work } from './work.ts'
import { workFor } from './work.ts'

export type Piece = {
  readonly text: string
  /** Code points of the original by unit, shared by all slices of a text; this piece begins at entry `base`. */
  readonly starts: readonly number[]
  readonly ends: readonly number[]
  readonly base: number
  /** What may still be done with the original text. */
  readonly work: Work
  /** Set where an added token was found: no later step touches the piece. */
  readonly id?: number
}

/** UTF-16 units of the character that begins at `at`. */
export const width = (text: string, at: number): 1 | 2 => {
  const unit = text.charCodeAt(at)
  return unit >= 0xd800 && unit < 0xdc00 && (text.codePointAt(at) as number) > 0xffff ? 2 : 1
}

export const wholePiece = (text: string, work: Work = workFor(text.length)): Piece => {
  const starts: number[] = new Array(text.length)
  const ends: number[] = new Array(text.length)
  for (let at = 0, point = 0; at < text.length; point++) {
    const next = at + width(text, at)
    for (; at < next; at++) {
      starts[at] = point
      ends[at] = point + 1
    }
  }
  return { text, starts, ends, base: 0, work }
}

/** First and last + 1 code point of the original for a stretch of units. */
export const startOf = ({ starts, base }: Piece, unit: number): number => starts[base + unit]
export const endOf = ({ ends, base }: Piece, unit: number): number => ends[base + unit]

export const slicePiece = (piece: Piece, from: number, to: number): Piece => ({
  text: piece.text.slice(from, to),
  starts: piece.starts,
  ends: piece.ends,
  base: piece.base + from,
  work: piece.work,
})

/** A character of the new text. 0: in place of the next old one; 1: inserted; -n: in place of one, and n more go. */
export type Edit = readonly [char: string, change: number]

/** The piece with its text replaced by the edits, after `skipped` old characters that go without a trace. */
export const rewrite = (piece: Piece, edits: readonly Edit[], skipped = 0): Piece => {
  const { text: old, base, work } = piece
  work.write(edits.length)
  const starts: number[] = []
  const ends: number[] = []
  const first = piece.starts[base] ?? 0
  let text = ''
  let at = 0
  for (let n = 0; n < skipped; n++) at += width(old, at)
  for (const [char, change] of edits) {
    const source = Math.min(change > 0 ? at - 1 : at, old.length - 1)
    for (let unit = 0; unit < char.length; unit++) {
      starts.push(source < 0 ? first : piece.starts[base + source])
      ends.push(source < 0 ? first : piece.ends[base + source])
    }
    text += char
    for (let n = change; n <= 0; n++) at += width(old, at)
  }
  return { text, starts, ends, base: 0, work }
}

/** Keeps the characters that pass. */
export const filterPiece = (piece: Piece, keep: (char: string) => boolean): Piece => {
  const edits: [string, number][] = []
  let skipped = 0
  for (const char of piece.text) {
    if (keep(char)) edits.push([char, 0])
    else if (edits.length) edits[edits.length - 1][1]--
    else skipped++
  }
  return rewrite(piece, edits, skipped)
}

/** Each match replaced by `content`, which then belongs to the last character of the match. */
export const replacePiece = (piece: Piece, matches: readonly number[], content: string): Piece => {
  if (!matches.length) return piece
  const { base, work } = piece
  work.write(piece.text.length + (matches.length / 2) * content.length)
  const starts: number[] = []
  const ends: number[] = []
  const first = piece.text ? piece.starts[base] : 0
  let text = ''
  let done = 0
  const copy = (to: number) => {
    text += piece.text.slice(done, to)
    for (; done < to; done++) {
      starts.push(piece.starts[base + done])
      ends.push(piece.ends[base + done])
    }
  }
  for (let m = 0; m < matches.length; m += 2) {
    copy(matches[m])
    done = matches[m + 1]
    text += content
    for (let unit = 0; unit < content.length; unit++) {
      starts.push(done > 0 ? piece.starts[base + done - 1] : first)
      ends.push(done > 0 ? piece.ends[base + done - 1] : first)
    }
  }
  copy(piece.text.length)
  return { text, starts, ends, base: 0, work }
}

/** Puts text in front; it belongs to the first character. An empty piece stays empty. */
export const prependPiece = (piece: Piece, prefix: string): Piece => {
  if (!piece.text) return piece
  const { base, work } = piece
  const length = piece.text.length
  work.write(prefix.length + length)
  const starts: number[] = new Array(prefix.length).fill(piece.starts[base])
  const ends: number[] = new Array(prefix.length).fill(piece.ends[base])
  for (let unit = base; unit < base + length; unit++) {
    starts.push(piece.starts[unit])
    ends.push(piece.ends[unit])
  }
  return { text: prefix + piece.text, starts, ends, base: 0, work }
}

export type SplitBehavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous'

/** Cuts a piece at the matches ([start, end] flat, in order); `invert` takes what lies between as the matches. */
export const splitPiece = (
  piece: Piece,
  matches: readonly number[],
  behavior: SplitBehavior,
  invert = false,
): Piece[] => {
  const spans = covering(piece.text.length, matches, invert)
  const kept = behavior === 'Removed' ? spans.filter((span) => !span.match) : merged(spans, behavior)
  const pieces: Piece[] = []
  for (const { from, to } of kept) if (from < to) pieces.push(slicePiece(piece, from, to))
  return pieces
}

type Span = { from: number; to: number; match: boolean }

const covering = (length: number, matches: readonly number[], invert: boolean): Span[] => {
  const spans: Span[] = []
  let done = 0
  for (let m = 0; m < matches.length; m += 2) {
    if (done < matches[m]) spans.push({ from: done, to: matches[m], match: invert })
    spans.push({ from: matches[m], to: matches[m + 1], match: !invert })
    done = matches[m + 1]
  }
  if (done < length) spans.push({ from: done, to: length, match: invert })
  return spans
}

const merged = (spans: Span[], behavior: SplitBehavior): Span[] => {
  if (behavior === 'Isolated') return spans
  const backwards = behavior === 'MergedWithNext'
  const joined: Span[] = []
  let before = false
  for (const span of backwards ? spans.toReversed() : spans) {
    const last = joined.at(-1)
    const join = behavior === 'Contiguous' ? span.match === before : span.match && !before
    if (last && join) backwards ? (last.from = span.from) : (last.to = span.to)
    else joined.push({ ...span })
    before = span.match
  }
  return backwards ? joined.reverse() : joined
}
