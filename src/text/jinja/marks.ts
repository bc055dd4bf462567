/**
 * Marks: which characters of a rendered text come from the data, and which from the template. In a marked rendering
 * each character of the data is replaced by one from planes of Unicode where nothing is assigned. Whatever joins, cuts
 * or moves text then carries the mark along. Whatever reads text (comparisons, searches, changes of case) gets the true
 * characters, and its result is marked again (throughMarks.ts).
 */
import { carryNotes } from '../../util/written.ts'

/** Added to code points of planes 0 to 2, where all letters are; others are not marked. */
const shift = 0x40000
const lastMarked = 0x6ffff
/** High surrogates of the marked planes. */
const firstHalf = /[\ud8c0-\ud97f]/

export const hasMarks = (text: string): boolean => firstHalf.test(text)

export const markText = (text: string): string => {
  const parts: string[] = []
  for (const char of text) {
    const point = char.codePointAt(0)!
    parts.push(point < 0x30000 ? String.fromCodePoint(point + shift) : char)
  }
  return parts.join('')
}

const unmarkPoint = (point: number) => (point >= shift && point <= lastMarked ? point - shift : point)

export const unmarkText = (text: string): string => {
  if (!hasMarks(text)) return text
  const parts: string[] = []
  for (const char of text) parts.push(String.fromCodePoint(unmarkPoint(char.codePointAt(0)!)))
  return parts.join('')
}

/** The true text, and for each of its code points 1 where it came from the data. */
export const origins = (marked: string): { text: string; data: Uint8Array } => {
  const data = new Uint8Array(marked.length)
  let count = 0
  for (const char of marked) data[count++] = Number(hasMarks(char))
  return { text: unmarkText(marked), data: data.subarray(0, count) }
}

/** Applies a change, by default marking, to every text of plain data; names of fields stay as they are. */
export const markData = <T>(data: T, change: (text: string) => string = markText): T => changed(data, change) as T

const changed = (data: unknown, change: (text: string) => string): unknown => {
  if (typeof data === 'string') return change(data)
  if (typeof data !== 'object' || data === null) return data
  if (Array.isArray(data))
    return carryNotes(
      data,
      data.map((item) => changed(item, change)),
    )
  return carryNotes(data, Object.fromEntries(Object.entries(data).map(([key, item]) => [key, changed(item, change)])))
}

/** Applies a change of single characters, such as escaping, to marked and unmarked parts separately. */
export const inParts = (text: string, change: (part: string) => string): string =>
  hasMarks(text)
    ? (text.match(parts) ?? [])
        .map((part) => (hasMarks(part) ? markText(change(unmarkText(part))) : change(part)))
        .join('')
    : change(text)
const parts = /[\u{40000}-\u{6ffff}]+|[^\u{40000}-\u{6ffff}]+/gu
