/**
 * A worker: takes shards of any run of its version from the queue, computes them in a thread of its own, and sends what they come
 * to. It owns a shard while it renews its lock; when it is killed or stopped, the shard goes to another worker.
 */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { Worker as Thread } from 'node:worker_threads'
import { type Job as QueuedJob, Worker as QueueWorker, WaitingError } from 'bullmq'
import { disableTelemetry } from '../runtime/telemetry.node.ts'
import { runFailure } from '../util/fault.ts'
import { onAbort } from '../util/onAbort.ts'
import { unpack } from '../util/packed.ts'
import { openWorkerCache } from './cache.ts'
import type { ExchangeClient } from './exchange.ts'
import type { ThreadRequest, ThreadSettings } from './executorThread.ts'
import { folderClient } from './folder.ts'
import { httpClient } from './http.ts'
import { arithmetic, processor } from './machine.ts'
import {
  connect,
  dropEntry,
  type Job,
  jobSchema,
  lockMilliseconds,
  putEntry,
  queueName,
  queuePrefix,
  type RunEntry,
  readRunEntry,
  readRuns,
  renewSeconds,
  silence,
  type WorkerEntry,
} from './redis.ts'

export type WorkerOptions = {
  url: string
  name?: string
  threads?: number
  version: string
  /** A folder for the files of runs, and how many bytes may lie there. */
  cache: string
  cacheBytes: number
}

export type WorkerEvent =
  | { event: 'ready'; name: string; runs: number }
  /** A run of another version, which gets nothing done here. */
  | { event: 'other-version'; run: string; version: string }
  | { event: 'shard'; kind: string; run: string; seconds: number; done: number }
  /** A shard that could not be computed, and after which the worker rests; further ones that fail so are not told. */
  | { event: 'failed'; kind: string; run: string; message: string }
  | { event: 'redis'; message: string }

const openExchangeClient = async ({ address, token }: RunEntry): Promise<ExchangeClient> => {
  if (/^https?:/.test(address)) return httpClient(address, token)
  return address.startsWith('s3:') ? (await import('./s3.ts')).s3Client(address) : folderClient(address)
}

/** Milliseconds for which a worker takes no shards after it failed with one: at first, and at most, doubled from time to time. */
const rest = { first: 1000, most: 30_000 }

/** A thread that computes shards one at a time. It can be ended in the middle of one. */
const startThread = (settings: ThreadSettings) => {
  const url = import.meta.url.endsWith('.ts')
    ? new URL('../../dist/workers/executorThread.js', import.meta.url)
    : new URL('./executorThread.js', import.meta.url)
  const thread = new Thread(url, { workerData: settings })
  let settle:
    | { resolve(answer: { sealed: Uint8Array; failed: boolean }): void; reject(error: unknown): void }
    | undefined
  const end = (error: unknown) => {
    settle?.reject(error)
    settle = undefined
  }
  thread.on('message', (answer) => {
    settle?.resolve(answer)
    settle = undefined
  })
  thread.on('error', end)
  thread.on('exit', () => end(runFailure('ended', 'the thread that computes has ended')))
  return {
    compute: (request: ThreadRequest) =>
      new Promise<{ sealed: Uint8Array; failed: boolean }>((resolve, reject) => {
        settle = { resolve, reject }
        thread.postMessage(request)
      }),
    end: () => thread.terminate(),
  }
}

/** Works until `signal` aborts: the shard under way is then given back at once. */
export async function runWorker(
  { url, name, threads, version, cache: dir, cacheBytes }: WorkerOptions,
  tell: (event: WorkerEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  // A thread cannot do this for itself
  disableTelemetry()
  const redis = await connect(url, 'the address', {
    maxRetriesPerRequest: null,
    retryStrategy: (tries) => Math.min(2000, 200 * tries),
    socketTimeout: silence.worker,
  })
  const id = randomBytes(8).toString('hex')
  const self: WorkerEntry = {
    name: name ?? `${hostname()}-${process.pid}`,
    version,
    host: hostname(),
    pid: process.pid,
    threads: threads ?? 0,
    processor: processor(),
    arithmetic: arithmetic(),
    started: new Date().toISOString(),
    seen: new Date().toISOString(),
    done: 0,
    failed: 0,
  }
  /** What work comes to; undefined when the worker is to end. It leaves nothing at the signal, which lives as long as the worker. */
  const orStopped = <T>(work: Promise<T>): Promise<T | undefined> =>
    new Promise((resolve, reject) => {
      if (signal.aborted) resolve(undefined)
      const forget = onAbort(signal, () => resolve(undefined))
      work.then(resolve, reject).finally(forget)
    })
  const cache = await openWorkerCache(join(dir, 'content'), cacheBytes, join(dir, 'models'))
  const folder = join(dir, 'models')
  let thread = startThread({ folder, threads })
  const clients = new Map<string, { client: ExchangeClient; entry: RunEntry }>()

  const renew = () => putEntry(redis, 'worker', id, { ...self, seen: new Date().toISOString() }).catch(() => {})
  const clientOf = async (run: string) => {
    const known = clients.get(run)
    if (known) return known
    const entry = await readRunEntry(redis, run)
    if (!entry) return undefined
    const client = await openExchangeClient(entry)
    clients.set(run, { client, entry })
    return { client, entry }
  }

  let [failures, lastFailure] = [0, '']
  /** @returns for how long to rest */
  const failed = (kind: string, run: string, message: string): number => {
    self.failed++
    self.trouble = message
    if (message !== lastFailure) tell({ event: 'failed', kind, run, message })
    lastFailure = message
    return Math.min(rest.most, rest.first * 2 ** failures++)
  }
  const restFor = async (milliseconds: number) => {
    if (milliseconds === 0) return
    self.shard = undefined
    await renew()
    await orStopped(new Promise((resolve) => setTimeout(resolve, milliseconds).unref()))
    self.trouble = undefined
  }

  const work = async (job: QueuedJob<Job>, token: string | undefined): Promise<void> => {
    const { run, shards, files } = jobSchema.parse(job.data)
    const found = await clientOf(run)
    // The run has ended, or nobody waits for this any more
    if (!found) return
    const { client, entry } = found
    const began = performance.now()
    self.shard = { kind: job.name, run: entry.name, since: new Date().toISOString() }
    const giveBack = async (milliseconds = 0) => {
      await job.moveToWait(token).catch(() => {})
      await restFor(milliseconds)
      throw new WaitingError()
    }
    try {
      const fetched = await orStopped(Promise.all([client.read(shards), cache.fetchAll(client, files)]))
      if (!fetched) return await giveBack()
      const [packed, paths] = fetched
      const answer = await orStopped(thread.compute({ packed, files: paths }))
      if (!answer) return await giveBack()
      await client.send(shards, answer.sealed)
      const seconds = (performance.now() - began) / 1000
      if (answer.failed) {
        const { error } = unpack(answer.sealed.subarray(32)) as { error: string }
        return await restFor(failed(job.name, entry.name, error))
      }
      failures = 0
      lastFailure = ''
      tell({ event: 'shard', kind: job.name, run: entry.name, seconds, done: ++self.done })
    } catch (error) {
      if (error instanceof WaitingError) throw error
      if (signal.aborted) return await giveBack()
      const { code, message } = error as NodeJS.ErrnoException
      // Nobody waits for it any more
      if (code === 'gone') return
      // Its run may have come back at another address
      clients.delete(run)
      if (code === 'ended') thread = startThread({ folder, threads })
      return await giveBack(failed(job.name, entry.name, message))
    } finally {
      self.shard = undefined
    }
  }

  await renew()
  const renewTimer = setInterval(renew, renewSeconds * 1000)
  const queue = new QueueWorker<Job>(queueName(version), work, {
    connection: redis,
    prefix: queuePrefix,
    lockDuration: lockMilliseconds,
    stalledInterval: lockMilliseconds / 2,
    // Whoever loses a shard says nothing of the shard
    maxStalledCount: 1_000_000,
    skipVersionCheck: true,
  })
  let [lastError, isAway] = ['', false]
  // What Redis itself refuses, as for want of memory. That a connection is lost is told below; and another worker may have a shard
  // that this one was stopped with, whose result still counts where it comes first
  queue.on('error', ({ name, message }) => {
    if (name !== 'ReplyError' || message === lastError) return
    tell({ event: 'redis', message })
    lastError = message
  })
  redis.on('close', () => {
    if (!isAway && !signal.aborted) tell({ event: 'redis', message: 'Redis does not answer; trying again' })
    isAway = true
  })
  redis.on('ready', () => {
    if (isAway) tell({ event: 'redis', message: 'Redis answers again' })
    isAway = false
    renew()
  })
  try {
    const runs = await readRuns(redis)
    tell({ event: 'ready', name: self.name, runs: [...runs.values()].filter((run) => run.version === version).length })
    for (const run of runs.values())
      if (run.version !== version) tell({ event: 'other-version', run: run.name, version: run.version })
    await aborted(signal)
  } finally {
    clearInterval(renewTimer)
    // Closing waits until what is under way is given back, and a shard that was being fetched at the signal; and for a Redis that is away
    await withinSeconds(5, queue.close())
    await withinSeconds(1, dropEntry(redis, 'worker', id))
    redis.disconnect()
    await thread.end()
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else onAbort(signal, resolve)
  })

/** Redis may be away when a worker ends. */
const withinSeconds = (seconds: number, work: Promise<unknown>): Promise<unknown> =>
  Promise.race([work.catch(() => {}), new Promise((resolve) => setTimeout(resolve, seconds * 1000).unref())])
