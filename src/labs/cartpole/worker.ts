/** A run in a thread of its own, so that several cores are used and the terminal stays alive. */
import { parentPort, workerData } from 'node:worker_threads'
import { type RunResult, type Snapshot, trainRun } from './run.ts'
import type { Method, RunSettings } from './settings.ts'

export type Order = { method: Method; seed: number; settings: RunSettings }
export type Report = { progress: number } | { snapshot: Snapshot } | { result: RunResult }

const port = parentPort
if (port) {
  const { method, seed, settings } = workerData as Order
  const post = (report: Report) => port.postMessage(report)
  const result = trainRun(method, seed, settings, {
    progress: (progress) => post({ progress }),
    snapshot: (snapshot) => post({ snapshot }),
  })
  post({ result })
}
