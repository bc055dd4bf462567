/** Python's textwrap.wrap for one line: words, and the parts of hyphenated words, filled into lines of a width. */
import type { Budget } from './budget.ts'
import { whiteSpace } from './pythonText.ts'
import { fail, pointLength } from './values.ts'

const [blank, word, letter] = ['[\\t-\\r ]', '[\\p{L}\\p{N}_]', '[\\p{L}_]']
const punctuation = '[\\p{L}\\p{N}_!"\'&.,?]'
/** Where a line may break: at white space, at a long dash, behind a hyphen between letters. */
const breaks = new RegExp(
  `(${blank}+|(?<=${punctuation})-{2,}(?=${word})|[^\\t-\\r ]+?(?:-(?:(?<=${letter}{2}-)|(?<=${letter}-${letter}-))(?=${letter}-?${letter})|(?=${blank}|$)|(?<=${punctuation})(?=-{2,}${word})))`,
  'u',
)
const words = new RegExp(`(${blank}+)`, 'u')

/** The lines, without white space at their ends but the first's beginning. */
export const wrapped = (
  line: string,
  width: number,
  breakLong: boolean,
  breakHyphens: boolean,
  budget: Budget,
): string[] => {
  if (width <= 0) return fail(`invalid width ${width} (must be > 0)`)
  const chunks = line.split(breakHyphens ? breaks : words).filter((chunk) => chunk !== '' && chunk !== undefined)
  chunks.reverse()
  const lines: string[] = []
  while (chunks.length) {
    const current: string[] = []
    let length = 0
    if (lines.length && isBlank(chunks.at(-1)!)) chunks.pop()
    while (chunks.length) {
      const next = pointLength(chunks.at(-1)!)
      budget.spend(1 + next / 16)
      if (length + next > width) break
      current.push(chunks.pop()!)
      length += next
    }
    if (chunks.length && pointLength(chunks.at(-1)!) > width) {
      budget.spend(chunks.at(-1)!.length)
      breakChunk(chunks, current, width - length, breakLong, breakHyphens)
    }
    if (current.length && isBlank(current.at(-1)!)) current.pop()
    if (current.length) lines.push(current.join(''))
  }
  return lines
}

const allBlank = new RegExp(`^[${whiteSpace}]*$`)
const isBlank = (chunk: string): boolean => allBlank.test(chunk)

/** A chunk too long for any line: its beginning goes into the room that is left on this one. */
const breakChunk = (chunks: string[], current: string[], room: number, breakLong: boolean, breakHyphens: boolean) => {
  if (!breakLong) {
    if (!current.length) current.push(chunks.pop()!)
    return
  }
  const chunk = [...chunks.at(-1)!]
  const hyphen = breakHyphens && chunk.length > room ? chunk.slice(0, room).lastIndexOf('-') : -1
  const end = hyphen > 0 && chunk.slice(0, hyphen).some((char) => char !== '-') ? hyphen + 1 : room
  current.push(chunk.slice(0, end).join(''))
  chunks[chunks.length - 1] = chunk.slice(end).join('')
}
