/**
 * The lines of a chat, typed by a person or read from a pipe.
 *
 * readline owns the terminal only while it asks for a line. During a completion the terminal is raw too, so that it echoes nothing
 * into the answer, no ^C either; what is typed meanwhile waits for the next prompt.
 */
import { createInterface } from 'node:readline'

export type ChatInput = {
  /** The next line; undefined at the end: Ctrl-D, Ctrl-C twice, or the end of the pipe. */
  next(): Promise<string | undefined>
  /** Calls `onInterrupt` at Ctrl-C until the function that it returns is called. */
  watch(onInterrupt: () => void): () => void
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
    watch: onSignal,
    close: () => lines.close(),
  }
}

const onSignal: ChatInput['watch'] = (onInterrupt) => {
  process.on('SIGINT', onInterrupt)
  return () => void process.off('SIGINT', onInterrupt)
}

const ctrlC = '\u0003'

/** @returns the text up to the end of its first line, with it, and the rest */
export const firstLine = (text: string): [string, string] => {
  const end = text.search(/[\r\n]/) + 1
  return end === 0 ? [text, ''] : [text.slice(0, end), text.slice(end)]
}

const typed = (note: (text: string) => void): ChatInput => {
  let history: string[] = []
  /** Typed while there was no prompt. */
  let ahead = ''
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
      const [line, rest] = firstLine(ahead)
      ahead = rest
      if (line) lines.write(line)
    })
  const watch: ChatInput['watch'] = (onInterrupt) => {
    const onData = (data: Buffer | string) => {
      const text = data.toString()
      if (text.includes(ctrlC)) onInterrupt()
      else ahead += text
    }
    const unwatch = onSignal(onInterrupt)
    process.stdin.setRawMode(true)
    process.stdin.on('data', onData).resume()
    return () => {
      process.stdin.off('data', onData).pause()
      process.stdin.setRawMode(false)
      unwatch()
    }
  }
  return { next, watch, close: () => {} }
}
