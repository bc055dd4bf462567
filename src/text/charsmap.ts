/**
 * SentencePiece's precompiled character map: a double-array trie (Darts) from UTF-8 to offsets in a block of
 * replacements that end in a zero byte. Two oddities are kept, because models were trained with them: of the keys that
 * begin a grapheme cluster the shortest wins and replaces the whole cluster, and only clusters of under six bytes are
 * looked up as a whole.
 */

import type { JsonPart } from './jsonPart.ts'
import type { Edit, Piece } from './pieces.ts'
import { rewrite } from './pieces.ts'
import { utf8 } from './unicode.ts'
import type { Work } from './work.ts'

export const readCharsmap = (json: JsonPart): ((piece: Piece) => Piece) => {
  const { units, replacements } = unpack(json)
  const memo = new Map<string, string | undefined>()
  const transform = (chunk: string, work: Work): string | undefined => {
    if (memo.has(chunk)) return memo.get(chunk)
    const found = lookUp(units, replacements, utf8(chunk), work)
    if (memo.size < 10_000 && (found ?? '').length < 100) memo.set(chunk, found)
    return found
  }
  return (piece) => mapPiece(piece, (chunk) => transform(chunk, piece.work))
}

const unpack = (json: JsonPart): { units: Uint32Array; replacements: Uint8Array } => {
  const bytes = decodeBase64(json)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const size = bytes.length >= 4 ? view.getUint32(0, true) : 0
  if (bytes.length < 8 || size % 4 || size < 4 || size > bytes.length - 4) return json.fail('is no character map')
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true))
  return { units, replacements: bytes.subarray(4 + size) }
}

const decodeBase64 = (json: JsonPart): Uint8Array => {
  try {
    return Uint8Array.from(atob(json.text()), (char) => char.charCodeAt(0))
  } catch {
    return json.fail('is no base64')
  }
}

const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6)

const lookUp = (units: Uint32Array, replacements: Uint8Array, key: Uint8Array, work: Work): string | undefined => {
  let node = offsetOf(units[0])
  for (const byte of key) {
    if (byte === 0) return undefined
    node ^= byte
    const unit = units[node]
    if (unit === undefined || (unit & 0x800000ff) >>> 0 !== byte) return undefined
    node ^= offsetOf(unit)
    if (unit & 0x100) return textAt(replacements, (units[node] ?? 0) & 0x7fffffff, work)
  }
  return undefined
}

const decoder = new TextDecoder()
const textAt = (replacements: Uint8Array, from: number, work: Work): string => {
  const end = replacements.indexOf(0, from)
  work.write(end < 0 ? replacements.length : end - from)
  return decoder.decode(replacements.subarray(from, end < 0 ? replacements.length : end))
}

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

const mapPiece = (piece: Piece, transform: (chunk: string) => string | undefined): Piece => {
  const edits: Edit[] = []
  let changed = false
  const put = (chunk: string): boolean => {
    const found = transform(chunk)
    if (found === undefined) return false
    changed = true
    pushReplacement(edits, [...chunk].length, [...found])
    return true
  }
  for (const chunk of chunks(piece.text)) {
    if (utf8Length(chunk) < 6 && put(chunk)) continue
    for (const char of chunk) if (!put(char)) edits.push([char, 0])
  }
  return changed ? rewrite(piece, edits) : piece
}

/**
 * Two ASCII characters are never one grapheme cluster, except CR LF, so only the text around other characters is
 * segmented.
 */
const stretches = /[^\r\u0080-\uffff]+(?![\r\u0080-\uffff])|[\s\S]?(?:[\r\u0080-\uffff]+[^\r\u0080-\uffff]?)+/g

/** The grapheme clusters of a text. */
const chunks = (text: string): string[] => {
  const out: string[] = []
  for (const stretch of text.match(stretches) ?? []) {
    if (/[\r\u0080-\uffff]/.test(stretch)) pushClusters(out, stretch)
    else for (const char of stretch) out.push(char)
  }
  return out
}

/**
 * Segments in windows, since the segmenter's time grows with the square of the text. The last cluster of a window is
 * segmented again with the next.
 */
const pushClusters = (out: string[], text: string) => {
  for (let from = 0, size = 1000; from < text.length; ) {
    const clusters = Array.from(graphemes.segment(text.slice(from, from + size)), (part) => part.segment)
    if (from + size < text.length) {
      const last = clusters.pop() as string
      if (!clusters.length) {
        size *= 2
        continue
      }
      from -= last.length
    }
    for (const cluster of clusters) out.push(cluster)
    from += size
    size = 1000
  }
}

const utf8Length = (text: string): number => {
  let length = 0
  for (const char of text) length += char < '\u0080' ? 1 : char < '\u0800' ? 2 : char.length === 2 ? 4 : 3
  return length
}

/**
 * Pairs old characters with new ones; extra new ones count as inserted, extra old ones as removed after the last edit.
 */
const pushReplacement = (edits: Edit[], oldCount: number, chars: string[]) => {
  chars.forEach((char, i) => {
    edits.push([char, i < oldCount ? 0 : 1])
  })
  const missing = oldCount - chars.length
  if (missing <= 0 || !edits.length) return
  const [char, change] = edits[edits.length - 1]
  edits[edits.length - 1] = [char, change - missing]
}
