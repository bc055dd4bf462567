import { printable } from '../util/quote.ts'

/** stderr as progress sees it: whether a bar can be redrawn there, how wide it is, and what time it is. */
export type Screen = {
  /** Whether lines can be redrawn in place. */
  live: boolean
  color: boolean
  columns(): number
  write(text: string): void
  /** Milliseconds. */
  now(): number
}

/** `shared`: JSON lines go to the same terminal, so nothing may be redrawn. */
export const makeScreen = (stream: NodeJS.WriteStream, shared = false): Screen => {
  const terminal = Boolean(stream.isTTY) && process.env.TERM !== 'dumb'
  return {
    live: terminal && !shared,
    color: terminal && !process.env.NO_COLOR,
    columns: () => stream.columns || 80,
    write: (text) => void stream.write(text),
    now: () => performance.now(),
  }
}

const codes = { bold: 1, dim: 2, green: 32, yellow: 33, cyan: 36 } as const
export type Style = keyof typeof codes

export const painter =
  ({ color }: Pick<Screen, 'color'>) =>
  (style: Style, text: string): string =>
    color ? `\u001b[${codes[style]}m${text}\u001b[0m` : text

/** What `painter` and `attune credit` write for colour; all else that steers a terminal came with a text from outside. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape codes begin with one
const styles = /(\u001b\[(?:0|1|2|32|33|36|97|48;2;\d+;\d+;\d+)m)/

/** Text as a terminal may have it: attune's own colours where there are any, other control characters as escapes. */
export const harmless = (text: string, color: boolean): string =>
  color
    ? text
        .split(styles)
        .map((part, i) => (i % 2 ? part : printable(part)))
        .join('')
    : printable(text)
