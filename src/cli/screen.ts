/** The terminal on stderr: colours, and lines that are redrawn in place. */
import { styleText } from 'node:util'
import { printable } from '../util/quote.ts'

/** A stream as progress sees it; tests give one with a width and a clock of their own. */
export type Screen = {
  /** Whether lines can be redrawn in place. */
  live: boolean
  /** False where the stream is no terminal, TERM is dumb or NO_COLOR is set. */
  color: boolean
  columns(): number
  write(text: string): void
  /** Milliseconds. */
  now(): number
}

/** @param shared whether JSON lines go to the same terminal, so that nothing may be redrawn */
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

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'cyan' | 'magenta'
export type Paint = (style: Style, text: string) => string

/** Styles text where the screen has colours. styleText's own check of the stream is off: `color` has decided. */
export const painter =
  ({ color }: Pick<Screen, 'color'>): Paint =>
  (style, text) =>
    color ? styleText(style, text, { validateStream: false }) : text

/** White text on a background of this colour, 0 to 255 each. By hand: styleText has no 24-bit colours on Node 20. */
export const onBackground = (red: number, green: number, blue: number, text: string): string =>
  `\u001b[48;2;${red};${green};${blue}m\u001b[97m${text}\u001b[0m`

/** What `painter` and `onBackground` write. Any other escape code came with a text from outside. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: escape codes begin with one
const ownStyles = /(\u001b\[(?:0|1|2|22|32|33|35|36|39|97|48;2;\d+;\d+;\d+)m)/

/** Text that is safe to print: attune's own colours stay, if there are any; other control characters become visible. */
export const safeForTerminal = (text: string, color: boolean): string =>
  color
    ? text
        .split(ownStyles)
        .map((part, i) => (i % 2 ? part : printable(part)))
        .join('')
    : printable(text)

/** Moves to the beginning of the line and erases it. */
export const eraseLine = '\r\u001b[2K'

export const cursorUp = (lines: number): string => `\u001b[${lines}A`

/** The last line of a screen, redrawn in place. */
export type LiveLine = {
  draw(text: string): void
  /** Erases what was drawn, so that other lines can be written. */
  clear(): void
}

export const makeLiveLine = (screen: Pick<Screen, 'write'>): LiveLine => {
  let drawn = false
  return {
    draw(text) {
      screen.write(eraseLine + text)
      drawn = true
    },
    clear() {
      if (drawn) screen.write(eraseLine)
      drawn = false
    },
  }
}
