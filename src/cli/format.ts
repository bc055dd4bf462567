/** Numbers, durations, tables and paths as the terminal shows them. */
import { relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { whole } from '../util/format.ts'

/** 0:42, 12:05, 1:02:03 */
export const duration = (seconds: number): string => {
  const total = Math.max(0, Math.round(seconds))
  const hours = Math.floor(total / 3600)
  const minutes = Math.floor(total / 60) % 60
  const twoDigits = (n: number) => String(n).padStart(2, '0')
  const rest = twoDigits(total % 60)
  return hours ? `${hours}:${twoDigits(minutes)}:${rest}` : `${minutes}:${rest}`
}

/** 1.2 MB */
export const bytes = (n: number): string => {
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB']
  const power = n < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(n) / 3))
  return `${power ? (n / 1000 ** power).toFixed(1) : n} ${units[power]}`
}

/** Lines of a table with columns two spaces apart. @param right indices of the columns that are aligned to the right */
export const columns = (rows: readonly (readonly string[])[], right: readonly number[] = []): string => {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i].length)))
  const cell = (text: string, i: number) => (right.includes(i) ? text.padStart(widths[i]) : text.padEnd(widths[i]))
  return rows.map((row) => row.map(cell).join('  ').trimEnd()).join('\n')
}

const shownLength = (text: string) => stripVTControlCharacters(text).length

/** Relative to the current folder, if that is shorter. */
export const shortPath = (path: string): string => {
  const near = relative('.', path) || '.'
  return near.length < path.length ? near : path
}

/** Lines are no longer than this, however wide the terminal. */
const comfortable = 100

/** A text in lines that fit a terminal of some columns, broken between words and all indented alike. */
export const paragraph = (text: string, columns: number, indent: number): string =>
  ' '.repeat(indent) + wrapped(text, Math.min(columns - 1, comfortable), indent)

/** Breaks a text into lines of a width; colours have none. Its first line begins in column `indent`; further lines are indented to it. */
export const wrapped = (text: string, width: number, indent: number): string => {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line && indent + shownLength(line) + 1 + shownLength(word) > width) {
      lines.push(line)
      line = word
    } else line = line ? `${line} ${word}` : word
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`)
}

/** A command in lines that fit a terminal of some columns: a backslash continues it, so that it can be pasted as it is. */
export const commandLines = (text: string, columns: number, indent: number): string => {
  // A break inside of quotes would be part of the word
  const words = text.replace(/'[^']*'|"[^"]*"/g, (quotes) => quotes.replaceAll(' ', '\u00a0'))
  const lines = wrapped(words, columns - ' \\'.length, indent).replaceAll('\n', ' \\\n')
  return ' '.repeat(indent) + lines.replaceAll('\u00a0', ' ')
}

/** "too-long: 3, empty: 1,000". */
export const countsText = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([why, n]) => `${why}: ${whole(n)}`)
    .join(', ')
