/**
 * Where things go: results to stdout, everything else to stderr. Peculiar: whoever reads stdout may leave (`| head`);
 * then the work under way is given up, its engine closed, and the process ends without a word.
 */
import { harmless, makeScreen, type Screen } from './screen.ts'

export type Output = {
  /** --json */
  json: boolean
  /** Whether a person reads stdout. */
  readable: boolean
  /** One JSON line on stdout; resolves when it was taken. */
  line(value: unknown): Promise<void>
  /** Text for people, on stdout; `end` stands after it. */
  text(text: string, end?: string): Promise<void>
  /** stderr. */
  screen: Screen
}

export const makeOutput = (json: boolean): Output => ({
  json,
  readable: !json && Boolean(process.stdout.isTTY),
  line: (value) => write(`${JSON.stringify(value)}\n`),
  text: (text, end = '\n') => write(harmless(text, makeScreen(process.stdout).color) + end),
  screen: makeScreen(process.stderr),
})

/** Thrown where nobody reads stdout any more. */
export const readerLeft = new Error('stdout was closed')

const write = (text: string) =>
  new Promise<void>((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(isBrokenPipe(error) ? readerLeft : error) : resolve()))
  })

const isBrokenPipe = (error: Error) => (error as NodeJS.ErrnoException).code === 'EPIPE'

/** Without these, Node ends the process with a stack. What is written reports its own errors. */
export const expectBrokenPipes = () => {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error) => {
      if (!isBrokenPipe(error)) throw error
    })
}
