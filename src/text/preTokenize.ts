/** The pre-tokenizers of tokenizer.json, one row each: pieces in, smaller pieces out. */
import { byteLevelAll } from './normalize.ts'
import { charPattern, gpt2Pattern, readPattern, regexPattern, textPattern } from './pattern.ts'
import type { Piece, SplitBehavior } from './pieces.ts'
import { prependPiece, replacePiece, slicePiece, splitPiece, startOf, width } from './pieces.ts'
import type { Shape } from './shape.ts'
import { isNumeric, isPunctuation, isWhiteSpace } from './unicode.ts'

/** \w of Rust's regex: joiners count. */
const rustWord = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}'

/** Cuts each piece into smaller ones. */
export type PreTokenizer = (pieces: readonly Piece[]) => Piece[]

/** From a rule for one piece. */
const each =
  (cut: (piece: Piece) => readonly Piece[]): PreTokenizer =>
  (pieces) => {
    const out: Piece[] = []
    for (const piece of pieces) for (const part of cut(piece)) out.push(part)
    return out
  }

export const readPreTokenizer = (shape: Shape): PreTokenizer => {
  const type = shape.at('type').text()
  const read = Object.hasOwn(preTokenizers, type) ? preTokenizers[type] : undefined
  return read ? read(shape) : shape.fail(`is of the unknown type ${type}`)
}

const preTokenizers: Record<string, (shape: Shape) => PreTokenizer> = {
  Sequence: (shape) => {
    const steps = shape.at('pretokenizers').items().map(readPreTokenizer)
    return (pieces) => steps.reduce((now, step) => step(now), [...pieces])
  },
  ByteLevel: (shape) => {
    const prefixed = shape.at('add_prefix_space').flag()
    const pattern = (shape.optional('use_regex')?.flag() ?? true) ? regexPattern(gpt2Pattern) : undefined
    const cut = each((piece) => {
      const spaced = prefixed && !piece.text.startsWith(' ') ? prependPiece(piece, ' ') : piece
      return pattern ? splitPiece(spaced, pattern(spaced.text, spaced.work), 'Isolated') : [spaced]
    })
    return (pieces) => byteLevelAll(cut(pieces))
  },
  Metaspace: metaspace,
  Split: (shape) => {
    const pattern = readPattern(shape.at('pattern'))
    const [behavior, invert] = [readBehavior(shape.at('behavior')), shape.optional('invert')?.flag() ?? false]
    return each((piece) => splitPiece(piece, pattern(piece.text, piece.work), behavior, invert))
  },
  Digits: (shape) => {
    const behavior = shape.at('individual_digits').flag() ? 'Isolated' : 'Contiguous'
    const digits = charPattern(isNumeric)
    return each((piece) => splitPiece(piece, digits(piece.text), behavior))
  },
  Punctuation: (shape) => {
    const marks = charPattern(isPunctuation)
    const behavior = shape.has('behavior') ? readBehavior(shape.at('behavior')) : 'Isolated'
    return each((piece) => splitPiece(piece, marks(piece.text), behavior))
  },
  BertPreTokenizer: () => {
    const [spaces, marks] = [charPattern(isWhiteSpace), charPattern(isPunctuation)]
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
    const spaces = charPattern(isWhiteSpace)
    return each((piece) => splitPiece(piece, spaces(piece.text), 'Removed'))
  },
  CharDelimiterSplit: (shape) => {
    const delimiter = textPattern(shape.at('delimiter').text())
    return each((piece) => splitPiece(piece, delimiter(piece.text), 'Removed'))
  },
  FixedLength: (shape) => {
    const length = shape.optional('length')?.count() ?? 5
    if (length < 1) shape.fail('needs a length of at least 1')
    return each((piece) => fixedLength(piece, length))
  },
}

/** Spaces become the marker; the scheme says which pieces also get one in front. */
function metaspace(shape: Shape): PreTokenizer {
  const marker = shape.at('replacement').text()
  const prefixed = shape.optional('add_prefix_space')?.flag() ?? true
  const scheme = prefixed ? (shape.optional('prepend_scheme')?.text() ?? 'always') : 'never'
  if (!['first', 'always', 'never'].includes(scheme)) shape.fail(`has the unknown prepend_scheme ${scheme}`)
  const split = shape.optional('split')?.flag() ?? true
  const [spaces, markers] = [textPattern(' '), textPattern(marker)]
  return each((piece) => {
    const marked = replacePiece(piece, spaces(piece.text), marker)
    const wanted = scheme === 'always' || (scheme === 'first' && startOf(piece, 0) === 0)
    const ready = wanted && !marked.text.startsWith(marker) ? prependPiece(marked, marker) : marked
    return split ? splitPiece(ready, markers(ready.text), 'MergedWithNext') : [ready]
  })
}

const readBehavior = (shape: Shape): SplitBehavior => {
  const name = shape.text()
  const behaviors: readonly SplitBehavior[] = [
    'Removed',
    'Isolated',
    'MergedWithPrevious',
    'MergedWithNext',
    'Contiguous',
  ]
  return behaviors.find((behavior) => behavior === name) ?? shape.fail(`is the unknown behavior ${name}`)
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
