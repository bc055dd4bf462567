/** Worker thread of a worker: computes shards, so that the thread that talks to Redis is never busy. */
import { parentPort, workerData } from 'node:worker_threads'
import { pack } from '../util/packed.ts'
import type { JobAnswer } from './answer.ts'
import { openExecutors } from './executors.ts'
import { sealBytes, sha256 } from './seal.ts'

export type ThreadSettings = { folder: string; threads?: number }
export type ThreadRequest = { packed: Uint8Array; files: ReadonlyMap<string, string> }

const { folder, threads } = workerData as ThreadSettings
const executors = openExecutors(folder, threads)

parentPort!.on('message', async ({ packed, files }: ThreadRequest) => {
  const of = sha256(packed).toString('hex')
  const answer: JobAnswer = await executors.compute(packed, files).then(
    (values) => ({ of, values }),
    (error) => ({ of, error: error instanceof Error ? error.message : String(error) }),
  )
  const sealed = sealBytes(pack(answer))
  parentPort!.postMessage({ sealed, failed: 'error' in answer })
})
