/** The pre-tokenizers of tokenizer.json, one entry for each type: pieces in, smaller pieces out. */

import type { JsonPart } from './jsonPart.ts'
import { byteLevelAll } from './normalize.ts'
import { characterPattern, gpt2Pattern, readPattern, regexPattern, textPattern } from './pattern.ts'
import type { Piece, SplitBehavior } from './pieces.ts'
import { prependPiece, replacePiece, slicePiece, splitPiece, startOf, width } from './pieces.ts'
import { isNumeric, isPunctuation, isWhiteSpace } from './unicode.ts'

/** \w of Rust's regex, which includes joiners. */
const rustWord = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}'

/** Cuts each piece into smaller ones. */
export type PreTokenizer = (pieces: readonly Piece[]) => Piece[]

/** A pre-tokenizer from a rule for one piece. */
const each =
  (cut: (piece: Piece) => readonly Piece[]): PreTokenizer =>
  (pieces) => {
    const out: Piece[] = []
    for (const piece of pieces) for (const part of cut(piece)) out.push(part)
    return out
  }

export const readPreTokenizer = (json: JsonPart): PreTokenizer => {
  const type = json.at('type').text()
  const read = Object.hasOwn(preTokenizers, type) ? preTokenizers[type] : undefined
  return read ? read(json) : json.fail(`is of the unknown type ${type}`)
}

const preTokenizers: Record<string, (json: JsonPart) => PreTokenizer> = {
  Sequence: (json) => {
    const steps = json.at('pretokenizers').items().map(readPreTokenizer)
    return (pieces) => steps.reduce((now, step) => step(now), [...pieces])
  },
  ByteLevel: (json) => {
    const prefixed = json.at('add_prefix_space').flag()
    const pattern = (json.optional('use_regex')?.flag() ?? true) ? regexPattern(gpt2Pattern) : undefined
    const cut = each((piece) => {
      const spaced = prefixed && !piece.text.startsWith(' ') ? prependPiece(piece, ' ') : piece
      return pattern ? splitPiece(spaced, pattern(spaced.text, spaced.work), 'Isolated') : [spaced]
    })
    return (pieces) => byteLevelAll(cut(pieces))
  },
  Metaspace: metaspace,
  Split: (json) => {
    const pattern = readPattern(json.at('pattern'))
    const behavior = readBehavior(json.at('behavior'))
    const invert = json.optional('invert')?.flag() ?? false
    return each((piece) => splitPiece(piece, pattern(piece.text, piece.work), behavior, invert))
  },
  Digits: (json) => {
    const behavior = json.at('individual_digits').flag() ? 'Isolated' : 'Contiguous'
    const digits = characterPattern(isNumeric)
    return each((piece) => splitPiece(piece, digits(piece.text), behavior))
  },
  Punctuation: (json) => {
    const marks = characterPattern(isPunctuation)
    const behavior = json.has('behavior') ? readBehavior(json.at('behavior')) : 'Isolated'
    return each((piece) => splitPiece(piece, marks(piece.text), behavior))
  },
  BertPreTokenizer: () => {
    const spaces = characterPattern(isWhiteSpace)
    const marks = characterPattern(isPunctuation)
    return each((piece) =>
      splitPiece(piece, spaces(piece.text), 'Removed').flatMap((word) =>
        splitPiece(word, marks(word.text), 'Isolated'),
      ),
    )
  },
  Whitespace: () => {
    const words = regexPattern(`[${rustWord}]+|[^${rustWord}\\s]+`)
    return each((piece) => splitPiece(piece, words(piece.text, piece.work), 'Removed', true))
  },
  WhitespaceSplit: () => {
    const spaces = characterPattern(isWhiteSpace)
    return each((piece) => splitPiece(piece, spaces(piece.text), 'Removed'))
  },
  CharDelimiterSplit: (json) => {
    const delimiter = textPattern(json.at('delimiter').text())
    return each((piece) => splitPiece(piece, delimiter(piece.text), 'Removed'))
  },
  FixedLength: (json) => {
    const length = json.optional('length')?.count() ?? 5
    if (length < 1) json.fail('needs a length of at least 1')
    return each((piece) => fixedLength(piece, length))
  },
}

/** Replaces spaces by the marker; prepend_scheme says which pieces also get one in front. */
function metaspace(json: JsonPart): PreTokenizer {
  const marker = json.at('replacement').text()
  const prefixed = json.optional('add_prefix_space')?.flag() ?? true
  const scheme = prefixed ? (json.optional('prepend_scheme')?.text() ?? 'always') : 'never'
  if (!['first', 'always', 'never'].includes(scheme)) json.fail(`has the unknown prepend_scheme ${scheme}`)
  const split = json.optional('split')?.flag() ?? true
  const spaces = textPattern(' ')
  const markers = textPattern(marker)
  return each((piece) => {
    const marked = replacePiece(piece, spaces(piece.text), marker)
    const wanted = scheme === 'always' || (scheme === 'first' && startOf(piece, 0) === 0)
    const ready = wanted && !marked.text.startsWith(marker) ? prependPiece(marked, marker) : marked
    return split ? splitPiece(ready, markers(ready.text), 'MergedWithNext') : [ready]
  })
}

const readBehavior = (json: JsonPart): SplitBehavior => {
  const name = json.text()
  const behaviors: readonly SplitBehavior[] = [
    'Removed',
    'Isolated',
    'MergedWithPrevious',
    'MergedWithNext',
    'Contiguous',
  ]
  return behaviors.find((behavior) => behavior === name) ?? json.fail(`is the unknown behavior ${name}`)
}

const fixedLength = (piece: Piece, length: number): Piece[] => {
  const pieces: Piece[] = []
  for (let from = 0; from < piece.text.length; ) {
    let to = from
    for (let n = 0; n < length && to < piece.text.length; n++) to += width(piece.text, to)
    pieces.push(slicePiece(piece, from, to))
    from = to
  }
  return pieces
}
