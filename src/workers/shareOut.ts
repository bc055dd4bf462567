/** How shards are shared out: as jobs in the queue, computed in this process where no worker takes them, with results in order. */
import { onAbort } from '../util/onAbort.ts'
import { pack } from '../util/packed.ts'
import type { Shard, Sharing } from '../util/sharing.ts'
import type { Exchange } from './exchange.ts'
import type { JobQueue } from './jobQueue.ts'
import { bundles, makeOpenJob, type OpenJob } from './jobs.ts'
import type { PendingJobs } from './pendingJobs.ts'
import { sha256 } from './seal.ts'

export type ShareOutOptions = {
  /** The id of the run. */
  run: string
  exchange: Exchange
  queue: JobQueue
  pending: PendingJobs
  /** How many can take a job now. */
  workers(): number
}

export const makeShareOut = ({ run, exchange, queue, pending, workers }: ShareOutOptions): Sharing['results'] => {
  let place = 0

  /** Jobs of some shards each, with what a worker reads in the exchange. */
  const jobsOf = <R>(shards: readonly Shard[], local: (i: number) => Promise<R>): Promise<OpenJob[]> =>
    Promise.all(
      bundles(shards, workers()).map(async ({ from, shards }) => {
        // Two shards of a run may be alike, and so may those of two runs
        const bytes = pack({ shards: shards.map(({ kind, input }) => ({ kind, input })), run, place: place++ })
        const hash = sha256(bytes).toString('hex')
        await exchange.offer(hash, bytes)
        return makeOpenJob(shards, hash, async () => {
          const values: R[] = []
          for (const i of shards.keys()) values.push(await local(from + i))
          return values
        })
      }),
    )

  /** Computes jobs here, one at a time, while no worker is there to take them. */
  const computeHere = async (jobs: readonly OpenJob[], isOver: () => boolean) => {
    while (!isOver()) {
      const next = jobs.find((job) => !job.settled && (job.isLocal || workers() === 0))
      if (next) {
        next.isUnderWay = true
        const values = await next.local()
        // It may have been given out before
        if (next.given) queue.remove(next)
        pending.settle(next, values)
      } else if (jobs.every(({ settled }) => settled)) return
      else await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Leaves nothing in the queue and the exchange. */
  const clear = async (jobs: readonly OpenJob[]) => {
    const left = jobs.filter(({ settled }) => !settled)
    pending.drop(left)
    for (const { hash } of jobs) await exchange.withdraw(hash).catch(() => {})
    // Nobody sends a result now. Of what was also computed here or given out twice there may be a late one
    const late = jobs.filter((job) => left.includes(job) || job.isUnderWay || job.given > 1)
    await exchange.forget(late.map(({ hash }) => hash)).catch(() => {})
  }

  return async function* results<R>(
    shards: readonly Shard[],
    local: (i: number) => Promise<R>,
    signal?: AbortSignal,
  ): AsyncGenerator<R> {
    const jobs = await jobsOf(shards, local)
    pending.add(jobs)
    let over = false
    let here = Promise.resolve()
    const fail = (error: unknown) => {
      for (const job of jobs) if (!job.settled) job.reject(error)
    }
    const forget = signal && onAbort(signal, () => fail(signal.reason))
    try {
      signal?.throwIfAborted()
      if (workers() > 0) await queue.add(jobs).catch(() => {})
      here = computeHere(jobs, () => over).catch(fail)
      for (const job of jobs) yield* (await job.values) as R[]
    } finally {
      over = true
      forget?.()
      // The engine is free again before the run goes on, or ends
      if (jobs.some(({ isUnderWay, settled }) => isUnderWay && !settled)) await here
      await clear(jobs)
    }
  }
}
