/**
 * Where things go: results to stdout, everything else to stderr. Peculiar: whoever reads stdout may leave (`| head`);
 * then the process ends at once and says nothing.
 */
import { makeScreen, type Screen } from './screen.ts'

export type Output = {
  /** --json */
  json: boolean
  /** Whether a person reads stdout. */
  readable: boolean
  /** One JSON line on stdout; resolves when it was taken. */
  line(value: unknown): Promise<void>
  /** Text for people, on stdout. */
  text(text: string): Promise<void>
  /** stderr. */
  screen: Screen
}

export const makeOutput = (json: boolean): Output => ({
  json,
  readable: !json && Boolean(process.stdout.isTTY),
  line: (value) => write(`${JSON.stringify(value)}\n`),
  text: (text) => write(`${text}\n`),
  screen: makeScreen(process.stderr),
})

const write = (text: string) =>
  new Promise<void>((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()))
  })

export const endQuietlyWithoutReader = () => {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}
