/** The engine in a worker thread, so that the main thread stays free for progress, Ctrl-C and requests. */
import { availableParallelism, loadavg } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parentPort, receiveMessageOnPort } from 'node:worker_threads'
import type { Command, Engine } from './backend.ts'
import { type EngineOptions, ortEngine } from './ortNode.ts'

/** A thread has one engine at a time: after `close` it waits for another `open`, or for its end. */
type Request =
  | { open: EngineOptions }
  | { batch: number; commands: readonly Command[] }
  | { batch: number; close: true }
  | { end: true }

const port = parentPort!
let opened: Engine | undefined

/** Frees the memory of a closed engine, which the end of the thread would have freed. */
const collect = () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  gc()
}

const answer = async (request: Request) => {
  if ('end' in request) return port.close()
  if ('open' in request) {
    opened = ortEngine(request.open)
    port.postMessage({ ready: opened.description })
    return
  }
  const engine = opened!
  if ('close' in request) {
    await engine.close()
    opened = undefined
    collect()
    port.postMessage({ batch: request.batch, values: [] })
    return
  }
  try {
    const values = await engine.send(request.commands, [])
    port.postMessage(
      { batch: request.batch, values },
      values.map((array) => array.buffer as ArrayBuffer),
    )
  } catch (error) {
    port.postMessage({ batch: request.batch, error: (error as Error).message })
  }
}

/**
 * Milliseconds that the thread polls for the next request before it sleeps: in decoding, waking up could take as long as a
 * request. It does not poll where others need the core: on a single core, and while the machine has more to do than its cores.
 */
const pollTime = 2

let isBusy = false
let lookedAt = Number.NEGATIVE_INFINITY

/** The load of the last minute, looked at twice a second; 0 on Windows. */
const mayPoll = (now: number): boolean => {
  const cores = availableParallelism()
  if (cores === 1) return false
  if (now - lookedAt > 500) {
    isBusy = loadavg()[0] > cores + 1
    lookedAt = now
  }
  return !isBusy
}

const soon = (): Request | undefined => {
  const start = performance.now()
  if (!mayPoll(start)) return receiveMessageOnPort(port)?.message
  while (performance.now() < start + pollTime) {
    const received = receiveMessageOnPort(port)
    if (received) return received.message
  }
}

const answerAll = async (first: Request) => {
  for (let next: Request | undefined = first; next; next = soon()) await answer(next)
}

port.on('message', answerAll)
