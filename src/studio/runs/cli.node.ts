/** Runs attune's own commands as child processes, for what needs a model: one at a time, each with a limit of time and output. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { runFailure } from '../../util/fault.ts'
import { visible } from '../../util/quote.ts'

const attune = fileURLToPath(new URL('../../../bin/attune.js', import.meta.url))

export type CliQueue = {
  /** @returns the JSON lines of a command. Throws a Fault 'failed' with the last line of its messages. */
  run(args: readonly string[], options: { cwd: string }): Promise<unknown[]>
  /** Ends the command that runs. */
  close(): void
}

const mostMilliseconds = 10 * 60_000
const mostOutput = 64 * 2 ** 20

export const openCliQueue = (): CliQueue => {
  let last: Promise<unknown> = Promise.resolve()
  let child: ChildProcess | undefined
  let closed = false
  const start = (args: readonly string[], cwd: string) =>
    new Promise<unknown[]>((resolve, reject) => {
      if (closed) return reject(runFailure('closed', 'the studio is closing'))
      const began = spawn(process.execPath, [attune, ...args, '--json'], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
      child = began
      const timer = setTimeout(() => began.kill(), mostMilliseconds)
      let [output, messages] = ['', '']
      began.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (output.length > mostOutput) began.kill()
      })
      began.stderr.setEncoding('utf8').on('data', (text: string) => {
        messages = (messages + text).slice(-4000)
      })
      began.on('error', reject)
      began.on('close', (code) => {
        clearTimeout(timer)
        child = undefined
        if (code === 0)
          resolve(
            output
              .split('\n')
              .filter(Boolean)
              .map((line) => JSON.parse(line)),
          )
        else reject(runFailure('failed', lastMessage(messages) ?? `attune ${args[0]} ended with code ${code}`))
      })
    })
  return {
    run(args, { cwd }) {
      const mine = last.catch(() => {}).then(() => start(args, cwd))
      last = mine
      return mine
    },
    close() {
      closed = true
      child?.kill()
    },
  }
}

/** What a command says last, without `error: `. */
const lastMessage = (text: string): string | undefined => {
  const lines = text.split(/[\r\n]+/).filter((line) => line.trim() !== '')
  const line = lines.findLast((each) => each.startsWith('error: ')) ?? lines.at(-1)
  return line === undefined ? undefined : visible(line.replace(/^error: /, '')).slice(0, 1000)
}
