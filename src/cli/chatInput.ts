/**
 * Lines that a person types, or that come through a pipe. Peculiar: readline holds the terminal only while it asks, so
 * that Ctrl-C during an answer is a signal, and what is typed ahead waits for the next prompt.
 */
import { createInterface } from 'node:readline'

export type ChatInput = {
  /** The next line; undefined at the end (Ctrl-D, Ctrl-C twice, the end of the pipe). */
  next(): Promise<string | undefined>
  close(): void
}

const label = '> '

export const openInput = (note: (text: string) => void): ChatInput =>
  process.stdin.isTTY && process.stdout.isTTY ? typed(note) : piped()

const piped = (): ChatInput => {
  const lines = createInterface({ input: process.stdin })
  const iterator = lines[Symbol.asyncIterator]()
  return {
    next: async () => (await iterator.next()).value,
    close: () => lines.close(),
  }
}

const typed = (note: (text: string) => void): ChatInput => {
  let history: string[] = []
  const next = () =>
    new Promise<string | undefined>((resolve) => {
      const lines = createInterface({ input: process.stdin, output: process.stdout, history, historySize: 200 })
      let [answer, warned] = [undefined as string | undefined, false]
      lines.on('history', (known) => {
        history = known
      })
      lines.on('SIGINT', () => {
        if (warned && !lines.line) return lines.close()
        warned = !lines.line
        // Ctrl-U and Ctrl-K: what was typed goes
        lines.write(null, { ctrl: true, name: 'e' })
        lines.write(null, { ctrl: true, name: 'u' })
        if (!warned) return
        process.stdout.write('\n')
        note('Ctrl-C again leaves; /help lists what else there is')
        lines.prompt()
      })
      lines.on('line', (line) => {
        answer = line
        lines.close()
      })
      lines.on('close', () => {
        if (answer === undefined) process.stdout.write('\n')
        resolve(answer)
      })
      lines.setPrompt(label)
      lines.prompt()
    })
  return { next, close: () => {} }
}
