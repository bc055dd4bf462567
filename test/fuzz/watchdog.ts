/** A thread that looks on: an input that never ends cannot be told of by the thread that it holds, so this one saves it. */
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

/** Answers what is told of each input, and what ends the watch. */
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
