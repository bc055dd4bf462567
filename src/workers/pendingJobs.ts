/** The jobs whose results a run waits for: results are taken from the exchange, and what is gone from the queue is put there again. */
import { oneAtATime } from '../util/oneAtATime.ts'
import type { Exchange } from './exchange.ts'
import type { JobQueue } from './jobQueue.ts'
import { answerIn, type OpenJob } from './jobs.ts'

export type PendingJobs = {
  /** Jobs without a result, and shards whose results workers have sent. */
  counts(): { waiting: number; done: number }
  add(jobs: readonly OpenJob[]): void
  /** The first result of a job counts. */
  settle(job: OpenJob, values: unknown[]): void
  /** Nobody waits for these any more. */
  drop(jobs: readonly OpenJob[]): void
  /** Takes the results that have come. It never rejects. */
  take(): Promise<void>
  /** Puts jobs into the queue that are no longer there: it was emptied, or a worker gave up. Rejects while Redis is away. */
  enqueueLost(): Promise<void>
}

/** A shard that was put into the queue as often, and is gone from it without a result, is computed here. */
const maxGiven = 4

export const openPendingJobs = (
  exchange: Exchange,
  queue: JobQueue,
  noteOnce: (message: string) => void,
): PendingJobs => {
  const open = new Map<string, OpenJob>()
  let done = 0

  const settle = (job: OpenJob, values: unknown[]) => {
    if (job.settled) return
    job.settled = true
    open.delete(job.hash)
    job.resolve(values)
    exchange.forget([job.hash]).catch(() => {})
  }

  const takeResults = async () => {
    for (const job of [...open.values()]) {
      const sealed = await exchange.result(job.hash)
      if (!sealed || job.settled || job.isUnderWay) continue
      const answer = answerIn(sealed, job)
      if (answer && 'values' in answer) {
        done += answer.values.length
        settle(job, answer.values)
        continue
      }
      await exchange.forget([job.hash])
      exchange.await([job.hash])
      job.isLocal = true
      noteOnce(
        `a worker could not compute a shard (${answer ? answer.error : 'what it sent is no result of it'}); it is computed here, as are others that fail so`,
      )
    }
  }
  const take = oneAtATime(() => takeResults().catch((error) => noteOnce(`results could not be read: ${error.message}`)))
  exchange.onResult(take)

  return {
    counts: () => ({ waiting: open.size, done }),
    add(jobs) {
      for (const job of jobs) open.set(job.hash, job)
      exchange.await(jobs.map(({ hash }) => hash))
    },
    settle,
    drop(jobs) {
      for (const job of jobs) {
        open.delete(job.hash)
        queue.remove(job)
      }
    },
    take,
    async enqueueLost() {
      const waiting = [...open.values()].filter(({ isLocal }) => !isLocal)
      const isThere = await Promise.all(waiting.map(queue.has))
      // What is gone from the queue may be done: its result was sent before
      if (isThere.includes(false)) await take()
      const lost = waiting.filter((job, i) => !isThere[i] && !job.settled)
      for (const job of lost) job.isLocal = job.given >= maxGiven
      if (lost.some(({ isLocal }) => isLocal))
        noteOnce(
          `a shard was given out ${maxGiven} times and no result came; it is computed here, as are others like it`,
        )
      await queue.add(lost.filter(({ isLocal }) => !isLocal))
    },
  }
}
