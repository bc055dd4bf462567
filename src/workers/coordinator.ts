/**
 * The coordinator of a run: gives shards to workers through a queue in Redis, and takes their results in order.
 *
 * Redis only hands out names. What a shard reads and what it came to go through the exchange, so an emptied Redis costs nothing but
 * time: shards that are gone from the queue are put there again. A result counts once, whoever sends it and however often. While
 * there is no worker, or no Redis, shards are computed in this process.
 */
import { randomBytes } from 'node:crypto'
import { hostname, networkInterfaces } from 'node:os'
import { resolve } from 'node:path'
import type { Redis } from 'ioredis'
import { oneAtATime } from '../util/oneAtATime.ts'
import { sha256File } from '../util/sha256.node.ts'
import type { Sharing } from '../util/sharing.ts'
import type { Content, Exchange } from './exchange.ts'
import { folderExchange } from './folder.ts'
import { serveExchange } from './http.ts'
import { openJobQueue } from './jobQueue.ts'
import { arithmetic } from './machine.ts'
import { makeMetrics } from './metrics.ts'
import { openPendingJobs } from './pendingJobs.ts'
import { connect, dropEntry, failAtOnce, putEntry, type RunEntry, readWorkers, renewSeconds } from './redis.ts'
import { sha256 } from './seal.ts'
import { makeShareOut } from './shareOut.ts'
import { onceEach, watchWorkers } from './watch.ts'

export type CoordinatorOptions = {
  url: string
  /** A folder that all machines see, in place of HTTP. */
  files?: string
  /** The address at which workers reach this machine; by default the one through which it reaches Redis. */
  host?: string
  /** Of the run, in lists. */
  name: string
  version: string
  /** Is told what a user should know: workers that come and go, a Redis that does not answer. */
  note(message: string): void
}

export type Coordinator = Sharing & { close(): Promise<void> }

const renew = renewSeconds * 1000

export const openCoordinator = async (options: CoordinatorOptions): Promise<Coordinator> => {
  const { url, name, version, note } = options
  const redis = await connect(url, '--workers', failAtOnce)
  const id = randomBytes(8).toString('hex')
  const token = randomBytes(32).toString('base64url')
  const host = options.host ?? addressTo(redis)
  let alive = 0
  const workers = () => alive
  const metrics = makeMetrics(() => ({ ...pending.counts(), workers: alive, bytes: exchange.bytes }))
  const exchange = await openExchange(options.files, id, { host, token }, metrics).catch((error) => {
    redis.disconnect()
    throw error
  })
  const noteOnce = onceEach(note)
  const queue = openJobQueue(redis, version, id)
  const pending = openPendingJobs(exchange, queue, noteOnce)
  const mine = arithmetic()
  const watch = watchWorkers({ version, arithmetic: mine }, { note, noteOnce })
  const self = {
    ...{ name, version, host: hostname(), arithmetic: mine, address: exchange.address, token },
    started: new Date().toISOString(),
  }

  let [isAway, isClosed] = [false, false]
  const renewAll = async () => {
    if (isClosed) return
    try {
      await putEntry(redis, 'run', id, { ...self, ...pending.counts() } satisfies RunEntry)
      alive = watch(await readWorkers(redis))
      await pending.take()
      await pending.enqueueLost()
      if (isAway) note('Redis answers again')
      isAway = false
    } catch (error) {
      alive = 0
      if (!isAway) note(`Redis does not answer (${(error as Error).message}); shards are computed here until it does`)
      isAway = true
    }
  }
  await renewAll()
  const keepRenewing = oneAtATime(renewAll)
  const renewTimer = setInterval(keepRenewing, renew)
  const lookTimer = setInterval(() => pending.counts().waiting && pending.take(), exchange.lookEvery)

  return {
    workers,
    async publish(content: Content) {
      const hash = content instanceof Uint8Array ? sha256(content).toString('hex') : await sha256File(content.path)
      await exchange.offer(hash, content)
      return hash
    },
    withdraw(hashes) {
      for (const hash of hashes) exchange.withdraw(hash).catch(() => {})
    },
    results: makeShareOut({ run: id, exchange, queue, pending, workers }),
    async close() {
      isClosed = true
      clearInterval(renewTimer)
      clearInterval(lookTimer)
      await Promise.all([keepRenewing(), pending.take()])
      await dropEntry(redis, 'run', id).catch(() => {})
      await queue.close()
      redis.disconnect()
      await exchange.close()
    },
  }
}

const openExchange = async (
  files: string | undefined,
  run: string,
  server: Parameters<typeof serveExchange>[0],
  metrics: () => Promise<string>,
): Promise<Exchange> => {
  if (files === undefined) return serveExchange(server, metrics)
  return files.startsWith('s3:')
    ? (await import('./s3.ts')).s3Exchange(files, run)
    : folderExchange(resolve(files), run)
}

/** The address of this machine on the network of its Redis. */
const addressTo = (redis: Redis): string => {
  const { localAddress } = (redis as unknown as { stream?: { localAddress?: string } }).stream ?? {}
  if (localAddress) return localAddress.replace(/^::ffff:/, '')
  const outside = Object.values(networkInterfaces()).flatMap(
    (all) => all?.filter(({ internal, family }) => !internal && family === 'IPv4') ?? [],
  )
  return outside[0]?.address ?? '127.0.0.1'
}
