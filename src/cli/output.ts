/**
 * The output of a command: results on stdout, everything else on stderr.
 *
 * A program that reads stdout may end before we do (`attune ... | head`). Then the work is given up, the engine closed, and
 * the process ends without a message.
 */
import { stringify } from '../util/written.ts'
import { makeScreen, type Screen, safeForTerminal } from './screen.ts'

export type Output = {
  /** --json */
  json: boolean
  /** Whether results are for people: stdout is a terminal, and there is no --json. */
  toTerminal: boolean
  /** Columns that text on stdout may take. */
  columns(): number
  /** Writes a value as one line of JSON on stdout, numbers of a file as they are written there. */
  jsonLine(value: unknown): Promise<void>
  /** Says once on stderr that results are JSON lines, where nobody asked for them and stdout is no terminal. */
  noteJsonLines(): void
  /** Writes text for people on stdout, and `end` after it (default: a line break). */
  text(text: string, end?: string): Promise<void>
  /** The terminal on stderr. */
  screen: Screen
}

export const makeOutput = (json: boolean): Output => ({
  json,
  toTerminal: !json && Boolean(process.stdout.isTTY),
  columns: () => (process.stdout.isTTY ? process.stdout.columns || 80 : 100),
  jsonLine: (value) => write(`${stringify(value)}\n`),
  noteJsonLines: () => {
    if (!json && !process.stdout.isTTY)
      process.stderr.write('stdout is no terminal: results are printed as JSON lines, as with --json\n')
  },
  text: (text, end = '\n') => write(safeForTerminal(text, makeScreen(process.stdout).color) + end),
  screen: makeScreen(process.stderr),
})

/** Thrown when nobody reads stdout any more. */
export const stdoutClosed = new Error('stdout was closed')

const write = (text: string) =>
  new Promise<void>((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(isBrokenPipe(error) ? stdoutClosed : error) : resolve()))
  })

const isBrokenPipe = (error: Error) => (error as NodeJS.ErrnoException).code === 'EPIPE'

/** Keeps Node from ending the process with a stack trace when a pipe closes; `write` rejects by itself. */
export const expectBrokenPipes = () => {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error) => {
      if (!isBrokenPipe(error)) throw error
    })
}
