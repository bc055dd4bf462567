/** A thread that saves the current fuzz input if it never ends, since the blocked main thread cannot. */
import { Worker } from 'node:worker_threads'
import type { Input } from './targets.ts'

const MOST = 2 ** 20

const code = `
const { workerData: { shared, file, seconds } } = require('node:worker_threads')
const { writeFileSync } = require('node:fs')
const head = new Int32Array(shared, 0, 2)
let last = -1
let since = 0
setInterval(() => {
  if (head[0] !== last) { last = head[0]; since = Date.now(); return }
  if (head[0] === 0 || Date.now() - since < seconds * 1000) return
  const bytes = Buffer.from(new Uint8Array(shared, 8, head[1]))
  writeFileSync(file, bytes)
  process._rawDebug('an input that does not end within ' + seconds + ' seconds: ' + file)
  process.kill(process.pid, 'SIGKILL')
}, 500)
`

/** Starts the thread. @returns functions to announce an input and to end the thread */
export const watchdog = (file: string, seconds: number) => {
  const shared = new SharedArrayBuffer(8 + MOST)
  const head = new Int32Array(shared, 0, 2)
  const place = Buffer.from(shared, 8)
  const worker = new Worker(code, { eval: true, workerData: { shared, file, seconds } })
  worker.unref()
  return {
    watch: (input: Input) => {
      head[1] = typeof input === 'string' ? place.write(input) : Buffer.from(input).copy(place)
      head[0] = (head[0] + 1) | 0
    },
    end: () => worker.terminate(),
  }
}
