/** The normalizers of tokenizer.json, one entry for each type: a function from a piece to a piece. */
import { readCharsmap } from './charsmap.ts'
import type { JsonPart } from './jsonPart.ts'
import { readPattern } from './pattern.ts'
import type { Edit, Piece } from './pieces.ts'
import { filterPiece, prependPiece, replacePiece, rewrite } from './pieces.ts'
import { byteAlphabet, isWhiteSpace } from './unicode.ts'
import { normalizeForm } from './unicodeForms.ts'

export type Normalizer = (piece: Piece) => Piece

export const readNormalizer = (json: JsonPart): Normalizer => {
  const type = json.at('type').text()
  const read = Object.hasOwn(normalizers, type) ? normalizers[type] : undefined
  return read ? read(json) : json.fail(`is of the unknown type ${type}`)
}

const normalizers: Record<string, (json: JsonPart) => Normalizer> = {
  Sequence: (json) => {
    const steps = json.at('normalizers').items().map(readNormalizer)
    return (piece) => steps.reduce((now, step) => step(now), piece)
  },
  NFC: () => (piece) => normalizeForm(piece, 'NFC'),
  NFD: () => (piece) => normalizeForm(piece, 'NFD'),
  NFKC: () => (piece) => normalizeForm(piece, 'NFKC'),
  NFKD: () => (piece) => normalizeForm(piece, 'NFKD'),
  Lowercase: () => lowercase,
  StripAccents: () => (piece) =>
    /\p{M}/u.test(piece.text) ? filterPiece(piece, (char) => !/\p{M}/u.test(char)) : piece,
  Strip: (json) => strip(json.at('strip_left').flag(), json.at('strip_right').flag()),
  Prepend: (json) => {
    const prefix = json.at('prepend').text()
    return (piece) => prependPiece(piece, prefix)
  },
  Replace: (json) => {
    const matches = readPattern(json.at('pattern'))
    const content = json.at('content').text()
    return (piece) => replacePiece(piece, matches(piece.text, piece.work), content)
  },
  Precompiled: (json) => readCharsmap(json.at('precompiled_charsmap')),
  ByteLevel: () => byteLevel,
  Nmt: () => nmt,
  BertNormalizer: (json) => {
    const lower = json.at('lowercase').flag()
    const strips = json.optional('strip_accents')?.flag() ?? lower
    return bert(json.at('clean_text').flag(), json.at('handle_chinese_chars').flag(), strips, lower)
  },
}

/** Lower case character by character, so a sigma at the end of a word is no final sigma. */
const lowercase: Normalizer = (piece) => {
  if (piece.text === piece.text.toLowerCase()) return piece
  const edits: Edit[] = []
  for (const char of piece.text)
    for (const [i, lower] of [...char.toLowerCase()].entries()) edits.push([lower, i > 0 ? 1 : 0])
  return rewrite(piece, edits)
}

const strip =
  (left: boolean, right: boolean): Normalizer =>
  (piece) => {
    const chars = [...piece.text]
    let [from, to] = [0, chars.length]
    while (left && from < to && isWhiteSpace(chars[from])) from++
    while (right && to > from && isWhiteSpace(chars[to - 1])) to--
    if (to - from === chars.length) return piece
    const edits = chars.slice(from, to).map((char): Edit => [char, 0])
    return rewrite(piece, edits, from)
  }

/** Each character becomes the characters of its UTF-8 bytes, all with the offsets of that character. */
export const byteLevel: Normalizer = (piece) => byteLevelAll([piece])[0]

/** The same for all pieces of a text at once, since there may be as many as characters. */
export const byteLevelAll = (pieces: readonly Piece[]): Piece[] => {
  const starts: number[] = []
  const ends: number[] = []
  return pieces.map((piece) => {
    const base = starts.length
    piece.work.write(piece.text.length)
    let text = ''
    for (let at = 0; at < piece.text.length; ) {
      const point = piece.text.codePointAt(at) as number
      const written = pointBytes(point)
      text += written
      for (let n = 0; n < written.length; n++) {
        starts.push(piece.starts[piece.base + at])
        ends.push(piece.ends[piece.base + at])
      }
      at += point > 0xffff ? 2 : 1
    }
    return { text, starts, ends, base, work: piece.work }
  })
}

/** A character's UTF-8 bytes in the alphabet of bytes. */
const pointBytes = (point: number): string => {
  const after = (shift: number) => byteAlphabet[0x80 | ((point >> shift) & 0x3f)]
  if (point < 0x80) return byteAlphabet[point]
  if (point < 0x800) return byteAlphabet[0xc0 | (point >> 6)] + after(0)
  if (point < 0x10000) return byteAlphabet[0xe0 | (point >> 12)] + after(6) + after(0)
  return byteAlphabet[0xf0 | (point >> 18)] + after(12) + after(6) + after(0)
}

const isNmtControl = (unit: number): boolean =>
  (unit >= 1 && unit <= 8) || unit === 0x0b || (unit >= 0x0e && unit <= 0x1f) || [0x7f, 0x8f, 0x9f].includes(unit)

const nmt: Normalizer = (piece) => {
  const kept = filterPiece(piece, (char) => !isNmtControl(char.charCodeAt(0)))
  const spaces = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/
  return { ...kept, text: kept.text.replace(new RegExp(spaces, 'g'), ' ') }
}

const bert = (clean: boolean, chinese: boolean, strips: boolean, lower: boolean): Normalizer => {
  const steps: Normalizer[] = []
  if (clean) steps.push(cleanText)
  if (chinese) steps.push(spaceChinese)
  if (strips) steps.push(stripMarks)
  if (lower) steps.push(lowercase)
  return (piece) => steps.reduce((now, step) => step(now), piece)
}

const cleanText: Normalizer = (piece) => {
  const kept = filterPiece(piece, (char) => /[\t\n\r]/.test(char) || !/[\0\ufffd\p{Cc}\p{Cf}\p{Co}]/u.test(char))
  return { ...kept, text: kept.text.replace(/\p{White_Space}/gu, ' ') }
}

const chineseChar =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/u

const spaceChinese: Normalizer = (piece) => {
  if (!chineseChar.test(piece.text)) return piece
  const edits: Edit[] = []
  for (const char of piece.text) {
    if (chineseChar.test(char)) edits.push([' ', 0], [char, 1], [' ', 1])
    else edits.push([char, 0])
  }
  return rewrite(piece, edits)
}

const stripMarks: Normalizer = (piece) => filterPiece(normalizeForm(piece, 'NFD'), (char) => !/\p{Mn}/u.test(char))
