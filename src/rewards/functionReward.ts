/**
 * A reward function of the user's: a module whose default export takes rows and gives a number for each, null where it has
 * none to give.
 *
 * It runs in a worker with limits of time and memory. So a function that never returns or ends its process costs a reward and
 * not the run. What it throws later, from a timer or a promise, fails the call that runs at that moment, and is printed where
 * none does. TypeScript is read by jiti, on every Node.
 */
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { badInput, runFailure } from '../util/fault.ts'
import { cut, quoted } from '../util/quote.ts'
import { type Reply as FunctionReply, readValues, scoreByFunction } from './functionCall.ts'
import type { RewardSource, ScoredRow } from './rewards.ts'

/** Limit of the worker's heap. Typed arrays lie outside of it. */
const heapMegabytes = 2048

/** What the worker runs. As a text it is the same whether attune is built or not. */
const program = `
const { parentPort, workerData: { url, jiti } } = require('node:worker_threads')
const load = async () => {
  const found = /\\.m?ts$/.test(url) ? await require(jiti).createJiti(url, { fsCache: false }).import(url) : await import(url)
  const made = found.default?.default ?? found.default
  if (typeof made !== 'function') throw new Error('has no default export that is a function')
  return made
}
const postable = (value) => (value !== null && ['object', 'function', 'symbol'].includes(typeof value) ? {} : value)
const message = (error) => { try { return String(error?.message ?? error) } catch { return 'something that is no error' } }
let running
const reply = (message) => {
  parentPort.postMessage({ call: running, ...message })
  running = undefined
}
const listen = (reward) => {
  process.on('uncaughtException', (error) => {
    if (running === undefined) console.error(error)
    else reply({ threw: message(error) })
  })
  parentPort.on('message', async ({ call, rows }) => {
    running = call
    const ends = (message) => running === call && reply(message)
    try {
      const values = await reward(rows)
      const isList = Array.isArray(values) || ArrayBuffer.isView(values)
      ends({ given: isList ? Array.from(values, postable) : postable(values) })
    } catch (error) {
      ends({ threw: message(error) })
    }
  })
}
load().then(
  (reward) => {
    listen(reward)
    parentPort.postMessage({ call: 0 })
  },
  (error) => parentPort.postMessage({ call: 0, unready: message(error) }),
)
`

type Reply = FunctionReply & {
  /** The number of the call; 0 is the loading of the module. */
  call?: number
  /** What the function gave. */
  given?: unknown
  unready?: string
}

/**
 * @param seconds a call may take so long
 * Throws Faults 'bad-reward' (exit 2) where the module has no function or gives something else than a number or null a row.
 */
export const functionReward = async (
  file: string,
  seconds: number,
): Promise<Pick<RewardSource, 'score'> & { close(): Promise<void> }> => {
  let worker = await openWorker(file, seconds)
  const call = async (rows: readonly ScoredRow[]): Promise<Reply> => {
    // A call may have ended it, and so may what the function does between calls
    if (worker.gone()) worker = await openWorker(file, seconds)
    return worker.ask(rows)
  }
  return {
    score: (completions) => scoreByFunction({ name: file, seconds, call }, completions),
    close: () => worker.close(),
  }
}

const openWorker = async (file: string, seconds: number) => {
  const url = pathToFileURL(resolve(file)).href
  const jiti = createRequire(import.meta.url).resolve('jiti')
  const worker = new Worker(program, {
    eval: true,
    workerData: { url, jiti },
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
    stdout: true,
    stderr: true,
  })
  // attune's own lines go to stdout
  for (const stream of [worker.stdout, worker.stderr]) stream.on('data', (chunk) => process.stderr.write(chunk))
  let gone: string | undefined
  let onReply: (reply: Reply) => void = () => {}
  const end = (why: string) => {
    gone ??= why
    onReply({ gone })
  }
  worker.on('message', (reply: Reply) => onReply(reply))
  worker.on('error', (error: NodeJS.ErrnoException) =>
    end(
      error.code === 'ERR_WORKER_OUT_OF_MEMORY'
        ? `it needs more than ${heapMegabytes} MB of memory`
        : cut(String(error?.message ?? error), 200),
    ),
  )
  worker.on('exit', () => end('process.exit was called'))

  /** The reply to a call, or what came instead of it. A late reply to an earlier call is dropped. */
  const replyTo = (call: number) =>
    new Promise<Reply>((resolve) => {
      const timer = setTimeout(() => {
        gone ??= 'it was stopped'
        resolve({ late: true })
        void worker.terminate()
      }, seconds * 1000)
      onReply = (reply) => {
        if (reply.call !== undefined && reply.call !== call) return
        clearTimeout(timer)
        resolve(reply)
      }
      if (gone) onReply({ gone })
    })

  const loaded = await replyTo(0)
  if (loaded.late) throw runFailure('reward', `did not load within ${seconds} s (--reward-timeout)`, { file })
  const trouble = loaded.unready ?? loaded.gone
  if (trouble !== undefined) {
    await worker.terminate()
    throw badInput('bad-reward', `cannot be used as a reward: ${quoted(trouble)}`, { file })
  }
  worker.unref()
  let calls = 0
  return {
    gone: () => gone !== undefined,
    async ask(rows: readonly object[]): Promise<Reply> {
      worker.ref()
      worker.postMessage({ call: ++calls, rows })
      const reply = await replyTo(calls)
      worker.unref()
      return 'given' in reply ? readValues(reply.given, rows.length) : reply
    },
    close: async () => void (await worker.terminate()),
  }
}
