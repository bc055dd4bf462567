/**
 * Models of the playground as child processes, `attune serve` each, started when they are first asked and closed when nobody has
 * asked for a while. A child answers only to a token that it alone is told, and ends when this process does, killed or not.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { visible } from '../../util/quote.ts'

/** Where a model answers. */
export type Upstream = { url: string; key: string | undefined; model: string }

export type LoadProgress = { phase: 'download' | 'load'; done: number; total: number }

export type ServedChild = {
  /** Rejects with the reason where the model cannot be opened. */
  ready: Promise<Upstream & { chat: boolean }>
  /** Resolves when the process is gone, for whatever reason. */
  gone: Promise<void>
  close(): Promise<void>
}

const program = fileURLToPath(new URL('../../../bin/attune.js', import.meta.url))
const tokenName = 'ATTUNE_SERVE_TOKEN'
/** By which it is asked for, whatever its folder is called. */
const modelName = 'model'
/** Milliseconds that a child has to end by itself. */
const patience = 1500

const lineSchema = z.union([
  z.object({ event: z.literal('listening'), url: z.string(), chat: z.boolean() }),
  z.object({
    event: z.literal('progress'),
    phase: z.enum(['download', 'load']),
    done: z.number(),
    total: z.number(),
  }),
])

type Child = ChildProcessByStdio<Writable, Readable, Readable>

/** @param root the folder from which the model's path is read */
export const serveModel = (model: string, root: string, onProgress: (at: LoadProgress) => void): ServedChild => {
  const key = randomBytes(32).toString('base64url')
  const flags = ['--model-name', modelName, '--port', '0', '--json', '--attached', '--token-env', tokenName]
  const child: Child = spawn(process.execPath, [program, 'serve', `--model=${model}`, ...flags], {
    cwd: root,
    env: { ...process.env, [tokenName]: key },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const gone = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
  // A child that has died closes its end first
  child.stdin.on('error', () => {})
  const said = lastLines(child.stderr)
  const ready = new Promise<Upstream & { chat: boolean }>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (text) => {
      const { data: line } = lineSchema.safeParse(parsed(text))
      if (line?.event === 'progress') onProgress({ phase: line.phase, done: line.done, total: line.total })
      else if (line) resolve({ url: line.url, key, model: modelName, chat: line.chat })
    })
    child.once('error', (error) => reject(error))
    child.once('close', () => reject(new Error(reasonIn(said()))))
  })
  ready.catch(() => {})
  return { ready, gone, close: () => endChild(child, gone) }
}

/** Asks a child to end, and kills it where it does not. */
export const endChild = async (
  child: { stdin?: Writable | null; kill(signal: NodeJS.Signals): boolean },
  gone: Promise<void>,
): Promise<void> => {
  child.stdin?.end()
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), patience)
  await gone
  clearTimeout(timer)
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The end of what a stream says. */
export const lastLines = (stream: Readable): (() => string) => {
  let said = ''
  stream.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000)
  })
  return () => said
}

/** The message of a command that failed, without what it said before. */
export const reasonIn = (said: string): string => {
  const at = said.lastIndexOf('error: ')
  const reason = at < 0 ? said.trim().split('\n').at(-1) : said.slice(at + 'error: '.length).split('\n')[0]
  return visible(reason || 'the model was closed')
}
