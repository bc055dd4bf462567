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
import { onAbort } from '../util/onAbort.ts'
import { pack } from '../util/packed.ts'
import { sha256File } from '../util/sha256.node.ts'
import type { Shard, Sharing } from '../util/sharing.ts'
import type { Content, Exchange } from './exchange.ts'
import { folderExchange } from './folder.ts'
import { serveExchange } from './http.ts'
import { openJobQueue } from './jobQueue.ts'
import { answerIn, bundles, makeOpenJob, type OpenJob } from './jobs.ts'
import { arithmetic } from './machine.ts'
import { makeMetrics } from './metrics.ts'
import { connect, dropEntry, failAtOnce, putEntry, type RunEntry, readWorkers, renewSeconds } from './redis.ts'
import { sha256 } from './seal.ts'
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
/** A shard that was put into the queue as often, and is gone from it without a result, is computed here. */
const maxGiven = 4

export const openCoordinator = async (options: CoordinatorOptions): Promise<Coordinator> => {
  const { url, name, version, note } = options
  const redis = await connect(url, '--workers', failAtOnce)
  const id = randomBytes(8).toString('hex')
  const queue = openJobQueue(redis, version, id)
  const token = randomBytes(32).toString('base64url')
  const open = new Map<string, OpenJob>()
  let [done, alive, place] = [0, 0, 0]
  let [isAway, isClosed] = [false, false]
  const noteOnce = onceEach(note)
  const metrics = makeMetrics(() => ({ waiting: open.size, done, workers: alive, bytes: exchange.bytes }))
  const host = options.host ?? addressTo(redis)
  const exchange = await openExchange(options.files, id, { host, token }, metrics).catch((error) => {
    redis.disconnect()
    throw error
  })
  const started = new Date().toISOString()
  const mine = arithmetic()
  const watch = watchWorkers({ version, arithmetic: mine }, { note, noteOnce })

  const entry = (): RunEntry => ({
    name,
    version,
    host: hostname(),
    arithmetic: mine,
    address: exchange.address,
    token,
    started,
    waiting: open.size,
    done,
  })

  // Results

  const settle = (each: OpenJob, values: unknown[]) => {
    if (each.settled) return
    each.settled = true
    open.delete(each.hash)
    each.resolve(values)
    exchange.forget([each.hash]).catch(() => {})
  }

  const takeResults = async () => {
    for (const each of [...open.values()]) {
      const sealed = await exchange.result(each.hash)
      if (!sealed || each.settled || each.isUnderWay) continue
      const answer = answerIn(sealed, each)
      if (answer && 'values' in answer) {
        done += answer.values.length
        settle(each, answer.values)
        continue
      }
      await exchange.forget([each.hash])
      exchange.await([each.hash])
      each.isLocal = true
      noteOnce(
        `a worker could not compute a shard (${answer ? answer.error : 'what it sent is no result of it'}); it is computed here, as are others that fail so`,
      )
    }
  }

  const take = oneAtATime(() => takeResults().catch((error) => noteOnce(`results could not be read: ${error.message}`)))
  exchange.onResult(take)

  // The queue

  /** Puts shards into the queue that are no longer there: it was emptied, or a worker gave up. */
  const enqueueLost = async () => {
    const waiting = [...open.values()].filter(({ isLocal }) => !isLocal)
    const isThere = await Promise.all(waiting.map(queue.has))
    // What is gone from the queue may be done: its result was sent before
    if (isThere.includes(false)) await take()
    const lost = waiting.filter((each, i) => !isThere[i] && !each.settled)
    for (const each of lost) each.isLocal = each.given >= maxGiven
    if (lost.some(({ isLocal }) => isLocal))
      noteOnce(`a shard was given out ${maxGiven} times and no result came; it is computed here, as are others like it`)
    await queue.add(lost.filter(({ isLocal }) => !isLocal))
  }

  const renewAll = async () => {
    if (isClosed) return
    try {
      await putEntry(redis, 'run', id, entry())
      alive = watch(await readWorkers(redis))
      await take()
      await enqueueLost()
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
  const lookTimer = setInterval(() => open.size && take(), exchange.lookEvery)

  /** Computes shards here, one at a time, while no worker is there to take them. */
  const computeHere = async (shards: readonly OpenJob[], isOver: () => boolean) => {
    while (!isOver()) {
      const next = shards.find((each) => !each.settled && (each.isLocal || alive === 0))
      if (next) {
        next.isUnderWay = true
        const values = await next.local()
        // It may have been given out before
        if (next.given) queue.remove(next)
        settle(next, values)
      } else if (shards.every(({ settled }) => settled)) return
      else await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  async function* results<R>(
    shards: readonly Shard[],
    local: (i: number) => Promise<R>,
    signal?: AbortSignal,
  ): AsyncGenerator<R> {
    const all = await Promise.all(
      bundles(shards, alive).map(async ({ from, shards }) => {
        // Two shards of a run may be alike, and so may those of two runs
        const bytes = pack({ shards: shards.map(({ kind, input }) => ({ kind, input })), run: id, place: place++ })
        const hash = sha256(bytes).toString('hex')
        await exchange.offer(hash, bytes)
        return makeOpenJob(shards, hash, async () => {
          const values: R[] = []
          for (const i of shards.keys()) values.push(await local(from + i))
          return values
        })
      }),
    )
    for (const each of all) open.set(each.hash, each)
    exchange.await(all.map(({ hash }) => hash))
    let over = false
    let here = Promise.resolve()
    const fail = (error: unknown) => {
      for (const each of all) if (!each.settled) each.reject(error)
    }
    const forget = signal && onAbort(signal, () => fail(signal.reason))
    try {
      signal?.throwIfAborted()
      if (alive > 0) await queue.add(all).catch(() => {})
      here = computeHere(all, () => over).catch(fail)
      for (const each of all) yield* (await each.values) as R[]
    } finally {
      over = true
      forget?.()
      // The engine is free again before the run goes on, or ends
      if (all.some(({ isUnderWay, settled }) => isUnderWay && !settled)) await here
      const left = all.filter(({ settled }) => !settled)
      for (const each of left) {
        open.delete(each.hash)
        queue.remove(each)
      }
      for (const { hash } of all) await exchange.withdraw(hash).catch(() => {})
      // Nobody sends a result now. Of what was also computed here or given out twice there may be a late one
      const late = all.filter((each) => left.includes(each) || each.isUnderWay || each.given > 1)
      await exchange.forget(late.map(({ hash }) => hash)).catch(() => {})
    }
  }

  return {
    workers: () => alive,
    async publish(content: Content) {
      const hash = content instanceof Uint8Array ? sha256(content).toString('hex') : await sha256File(content.path)
      await exchange.offer(hash, content)
      return hash
    },
    withdraw(hashes) {
      for (const hash of hashes) exchange.withdraw(hash).catch(() => {})
    },
    results,
    async close() {
      isClosed = true
      clearInterval(renewTimer)
      clearInterval(lookTimer)
      await Promise.all([keepRenewing(), take()])
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

/** Work that is asked for while it is under way is done once more afterwards, however often it was asked for. */
const oneAtATime = (work: () => Promise<void>): (() => Promise<void>) => {
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  const begin = () => {
    running = work().finally(() => {
      running = undefined
    })
    return running
  }
  return () => {
    if (!running) return begin()
    next ??= running.then(() => {
      next = undefined
      return begin()
    })
    return next
  }
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
