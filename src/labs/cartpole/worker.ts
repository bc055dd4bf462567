/** Worker thread of one training run, so that several runs use several cores and the terminal stays responsive. */
import { parentPort, workerData } from 'node:worker_threads'
import { type RunResult, type Snapshot, trainRun } from './run.ts'
import type { Method, RunSettings } from './settings.ts'

export type RunRequest = { method: Method; seed: number; settings: RunSettings }
export type WorkerMessage = { progress: number } | { snapshot: Snapshot } | { result: RunResult }

const port = parentPort
if (port) {
  const { method, seed, settings } = workerData as RunRequest
  const post = (report: WorkerMessage) => port.postMessage(report)
  const result = trainRun(method, seed, settings, {
    progress: (progress) => post({ progress }),
    snapshot: (snapshot) => post({ snapshot }),
  })
  post({ result })
}
