/**
 * Encodes prompts into token ids without letting a long prompt block the server: short prompts are encoded at once, long ones
 * one after the other on a worker thread, where each has a time limit.
 */
import { Worker } from 'node:worker_threads'
import { encodePrompt } from '../data/examples.ts'
import type { ChatEncodeOptions, Message } from '../text/chat.ts'
import type { TokenizerPlace } from '../text/tokenizer.node.ts'
import type { Tokenizer } from '../text/tokenizer.ts'
import { badInput, Fault } from '../util/fault.ts'

/** A conversation with the options of its chat template, or a plain text. */
export type PromptInput = { messages: readonly Message[]; options: ChatEncodeOptions } | { text: string }

export type PromptEncoder = {
  /** Rejects with the signal's reason when the client disconnects, and with Faults of the template, 'too-slow' and 'too-large'. */
  encode(input: PromptInput, signal?: AbortSignal): Promise<number[]>
  close(): Promise<void>
}

export const encodeInput = (tokenizer: Tokenizer, input: PromptInput): number[] =>
  'text' in input ? encodePrompt(tokenizer, input.text) : tokenizer.chat!.encode(input.messages, input.options).ids

/** Encodes everything at once, on this thread. */
export const directEncoder = (tokenizer: Tokenizer): PromptEncoder => ({
  encode: async (input) => encodeInput(tokenizer, input),
  close: async () => {},
})

/** Prompts with fewer characters are encoded at once. */
const longPromptSize = 16_384

/** MiB of memory that the thread may use. */
const maxMemory = 1024

const workerFault = (error: Error) =>
  (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY'
    ? badInput('too-large', `the prompt takes more than ${maxMemory} MiB to be cut into tokens`)
    : error

export type ThreadOptions = {
  /** Time limit of one prompt on the thread, without its time in the queue. */
  seconds?: number
}

/** What the thread posts. */
export type ThreadReply = { ids: number[] } | { fault: string; code: string } | { defect: string }
type Task = { input: PromptInput; resolve(ids: number[]): void; reject(error: unknown): void }

/** @param place where the tokenizer was read from. The thread reads it again when the first long prompt comes. */
export const threadEncoder = (
  tokenizer: Tokenizer,
  place: TokenizerPlace,
  { seconds = 10 }: ThreadOptions = {},
): PromptEncoder => {
  const queue: Task[] = []
  let worker: Worker | undefined
  let current: Task | undefined
  let timer: NodeJS.Timeout | undefined

  const finish = () => {
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
    finish()
    void stop()
    next()
  }
  const start = () => {
    const made = new Worker(threadUrl(), {
      workerData: place,
      resourceLimits: { maxOldGenerationSizeMb: maxMemory },
    })
    made.on('message', (reply: ThreadReply | 'ready') => {
      if (made !== worker) return
      if (reply === 'ready') return startTimer()
      if ('ids' in reply) current?.resolve(reply.ids)
      else current?.reject('code' in reply ? new Fault(reply.code, reply.fault) : new Error(reply.defect))
      finish()
      next()
    })
    made.on('error', (error) => made === worker && fail(workerFault(error)))
    made.unref()
    return made
  }
  /** The time that the thread takes to read the tokenizer does not count. */
  const startTimer = () => {
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
    if (worker) startTimer()
    worker ??= start()
    worker.postMessage(current.input)
  }

  const encode = async (input: PromptInput, signal?: AbortSignal): Promise<number[]> => {
    signal?.throwIfAborted()
    if (sizeOf(input, longPromptSize) < longPromptSize) return encodeInput(tokenizer, input)
    return new Promise((resolve, reject) => {
      const task = { input, resolve, reject }
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
    finish()
    await stop()
  }
  return { encode, close }
}

/** Characters in all strings of a value, plus its number of items; counting stops at `enough`. */
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

/** Tests run this file as TypeScript, which a worker cannot load: there the built file is used. */
const threadUrl = () =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../dist/serve/encoderThread.js', import.meta.url)
    : new URL('./encoderThread.js', import.meta.url)
