/**
 * Prompts to token ids, so that one long prompt holds nobody up: short ones are encoded at once, long ones one after the
 * other on a thread of their own, where each has a limit of time.
 */
import { Worker } from 'node:worker_threads'
import { encodePrompt } from '../data/examples.ts'
import type { ChatEncodeOptions, Message } from '../text/chat.ts'
import type { TokenizerPlace } from '../text/tokenizer.node.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { badInput, Fault } from '../util/fault.ts'

/** A conversation with what its template is given, or a plain text. */
export type PromptInput = { messages: readonly Message[]; options: ChatEncodeOptions } | { text: string }

export type PromptEncoder = {
  /** Rejects with the signal's reason where the client has left. Faults are those of the template, and 'too-slow'. */
  encode(wording: PromptInput, signal?: AbortSignal): Promise<number[]>
  close(): Promise<void>
}

export const encodeInput = (tokenizer: Tokenizer, wording: PromptInput): number[] =>
  'text' in wording
    ? encodePrompt(tokenizer, wording.text)
    : tokenizer.chat!.encode(wording.messages, wording.options).ids

/** Everything at once, on this thread. */
export const directEncoder = (tokenizer: Tokenizer): PromptEncoder => ({
  encode: async (wording) => encodeInput(tokenizer, wording),
  close: async () => {},
})

/** Characters of a prompt that is encoded at once. */
const shortPrompt = 16_384

/** MiB that the thread may take. */
const mostMemory = 1024

const outgrown = (error: Error) =>
  (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY'
    ? badInput('too-large', `the prompt takes more than ${mostMemory} MiB to be cut into tokens`)
    : error

export type ThreadOptions = {
  /** For one prompt on the thread; its time in the queue does not count. */
  seconds?: number
}

type Answer = { ids: number[] } | { fault: string; code: string } | { defect: string }
type Task = { wording: PromptInput; resolve(ids: number[]): void; reject(error: unknown): void }

/** @param place where the tokenizer was read from; the thread reads it again when the first long prompt comes */
export const threadEncoder = (
  tokenizer: Tokenizer,
  place: TokenizerPlace,
  { seconds = 10 }: ThreadOptions = {},
): PromptEncoder => {
  const queue: Task[] = []
  let worker: Worker | undefined
  let current: Task | undefined
  let timer: NodeJS.Timeout | undefined

  const end = () => {
    clearTimeout(timer)
    current = undefined
  }
  const stop = async () => {
    const old = worker
    worker = undefined
    await old?.terminate()
  }
  const fail = (error: unknown) => {
    current?.reject(error)
    end()
    void stop()
    next()
  }
  const start = () => {
    const made = new Worker(threadUrl(), {
      workerData: place,
      resourceLimits: { maxOldGenerationSizeMb: mostMemory },
    })
    made.on('message', (answer: Answer | 'ready') => {
      if (made !== worker) return
      if (answer === 'ready') return limit()
      if ('ids' in answer) current?.resolve(answer.ids)
      else current?.reject('code' in answer ? new Fault(answer.code, answer.fault) : new Error(answer.defect))
      end()
      next()
    })
    made.on('error', (error) => made === worker && fail(outgrown(error)))
    made.unref()
    return made
  }
  /** Reading the tokenizer is not the prompt's time. */
  const limit = () => {
    clearTimeout(timer)
    timer = setTimeout(
      () => fail(badInput('too-slow', `the prompt takes more than ${seconds} seconds to be cut into tokens`)),
      seconds * 1000,
    )
    timer.unref()
  }
  const next = () => {
    if (current || queue.length === 0) return
    current = queue.shift()!
    if (worker) limit()
    worker ??= start()
    worker.postMessage(current.wording)
  }

  const encode = async (wording: PromptInput, signal?: AbortSignal): Promise<number[]> => {
    signal?.throwIfAborted()
    if (sizeOf(wording, shortPrompt) < shortPrompt) return encodeInput(tokenizer, wording)
    return new Promise((resolve, reject) => {
      const task = { wording, resolve, reject }
      signal?.addEventListener(
        'abort',
        () => {
          const at = queue.indexOf(task)
          if (at >= 0) queue.splice(at, 1)
          reject(signal.reason)
        },
        { once: true },
      )
      queue.push(task)
      next()
    })
  }
  const close = async () => {
    for (const { reject } of queue.splice(0)) reject(new Fault('closed', 'the server is closing', {}, 1))
    current?.reject(new Fault('closed', 'the server is closing', {}, 1))
    end()
    await stop()
  }
  return { encode, close }
}

/** Characters in all texts of a value, and its parts; no more are counted than `enough`. */
const sizeOf = (value: unknown, enough: number): number => {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 1
  let size = 2
  for (const [key, item] of Object.entries(value)) {
    size += key.length + sizeOf(item, enough - size)
    if (size >= enough) break
  }
  return size
}

/** Under a test runner this file is TypeScript and a thread cannot load its neighbour: the built one is taken. */
const threadUrl = () =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../dist/serve/encoderThread.js', import.meta.url)
    : new URL('./encoderThread.js', import.meta.url)
