/**
 * NFC, NFD, NFKC and NFKD with offsets: for each new character, the old one that it came from. JavaScript's normalize()
 * gives the texts but not that, so the steps of the Unicode algorithm are done here: decompose each character (its
 * first part keeps its place, the others count as inserted), sort the combining marks, and for NFC and NFKC compose
 * again.
 */
import type { Edit, Piece } from './pieces.ts'
import { rewrite } from './pieces.ts'

export type Form = 'NFC' | 'NFD' | 'NFKC' | 'NFKD'

export const normalizeForm = (piece: Piece, form: Form): Piece => {
  if (!longMarks.test(piece.text) && piece.text.normalize(form) === piece.text) return piece
  piece.work.write(piece.text.length)
  const decomposed = decompose(piece.text, form === 'NFC' || form === 'NFD' ? 'NFD' : 'NFKD')
  return rewrite(piece, form === 'NFC' || form === 'NFKC' ? compose(decomposed) : decomposed)
}

/** JavaScript's normalize() takes time in the square of a run of marks. */
const longMarks = /\p{M}{100}/u

const decompose = (text: string, form: 'NFD' | 'NFKD'): Edit[] => {
  const parts: Edit[] = []
  for (const char of text) {
    let change = 0
    for (const part of char < '\u0080' ? char : char.normalize(form)) {
      parts.push([part, change])
      change = 1
    }
  }
  return sortMarks(parts)
}

/** Runs of marks in canonical order: a stable sort by class. */
const sortMarks = (parts: Edit[]): Edit[] => {
  for (let from = 0; from < parts.length; from++) {
    let to = from
    while (to < parts.length && isMark(parts[to][0])) to++
    if (to - from > 1) for (const [i, part] of parts.slice(from, to).sort(byClass).entries()) parts[from + i] = part
    from = to
  }
  return parts
}

const byClass = ([a]: Edit, [b]: Edit): number => (classBelow(a, b) ? -1 : classBelow(b, a) ? 1 : 0)

/** Canonical composition: a starter takes each following mark that no mark of the same class blocks. */
const compose = (parts: readonly Edit[]): Edit[] => {
  const out: [string, number][] = []
  let starter: [string, number] | undefined
  let last = ''
  for (const [char, change] of parts) {
    const mark = isMark(char)
    const blocked = last !== '' && (!mark || !classBelow(last, char))
    const composed = starter && !blocked && char >= '\u0300' ? pairOf(starter[0], char) : undefined
    if (starter && composed) {
      starter[0] = composed
      starter[1] += change - 1
      continue
    }
    out.push([char, change])
    if (!mark) [starter, last] = [out[out.length - 1], '']
    else if (starter) last = char
  }
  return out
}

const pairOf = (starter: string, char: string): string | undefined => {
  const composed = (starter + char).normalize('NFC')
  return composed.length <= 2 && [...composed].length === 1 ? composed : undefined
}

/** JavaScript does not tell a character's combining class, but its NFD sorts by it. U+0345 has the highest, 240. */
const highest = '\u0345'
const marks = new Map<string, boolean>()
const isMark = (char: string): boolean => {
  if (char < '\u0300') return false
  let mark = marks.get(char)
  if (mark === undefined) {
    mark = char === highest || (highest + char).normalize('NFD') === char + highest
    marks.set(char, mark)
  }
  return mark
}

/** Whether mark a has a lower class than mark b: NFD then puts a first. */
const classBelow = (a: string, b: string): boolean => {
  if (a === b) return false
  const pair = b + a
  let below = orders.get(pair)
  if (below === undefined) {
    below = pair.normalize('NFD') === a + b
    orders.set(pair, below)
  }
  return below
}
/** Pairs of marks that were compared; there are some 900 marks, of which a text has few. */
const orders = new Map<string, boolean>()
