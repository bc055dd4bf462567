/**
 * The lines of a chat, typed by a person or read from a pipe.
 *
 * readline owns the terminal only while it asks for a line. So Ctrl-C during a completion is a signal to the process, and
 * what is typed meanwhile waits for the next prompt.
 */
import { createInterface } from 'node:readline'

export type ChatInput = {
  /** The next line; undefined at the end: Ctrl-D, Ctrl-C twice, or the end of the pipe. */
  next(): Promise<string | undefined>
  close(): void
}

const promptLabel = '> '

export const openChatInput = (note: (text: string) => void): ChatInput =>
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
      let typedLine: string | undefined
      let warned = false
      lines.on('history', (known) => {
        history = known
      })
      lines.on('SIGINT', () => {
        if (warned && !lines.line) return lines.close()
        warned = !lines.line
        // Ctrl-E and Ctrl-U: delete what was typed
        lines.write(null, { ctrl: true, name: 'e' })
        lines.write(null, { ctrl: true, name: 'u' })
        if (!warned) return
        process.stdout.write('\n')
        note('Ctrl-C again leaves the chat; /help lists the commands')
        lines.prompt()
      })
      lines.on('line', (line) => {
        typedLine = line
        lines.close()
      })
      lines.on('close', () => {
        if (typedLine === undefined) process.stdout.write('\n')
        resolve(typedLine)
      })
      lines.setPrompt(promptLabel)
      lines.prompt()
    })
  return { next, close: () => {} }
}
