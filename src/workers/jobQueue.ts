/** The jobs of one run in the queue (BullMQ), which hands them to workers of its version. */
import { Queue } from 'bullmq'
import type { Redis } from 'ioredis'
import type { OpenJob } from './jobs.ts'
import { type Job, queueName, queuePrefix } from './redis.ts'

export type JobQueue = {
  /** Rejects while Redis is away. */
  add(jobs: readonly OpenJob[]): Promise<void>
  /** Whether it waits there, or a worker has it. Rejects while Redis is away. */
  has(job: OpenJob): Promise<boolean>
  /** Nobody waits for it any more. One that a worker has already, or that is gone, is left alone. */
  remove(job: OpenJob): void
  close(): Promise<void>
}

/** @param run the id of the run, which its jobs have in their names */
export const openJobQueue = (redis: Redis, version: string, run: string): JobQueue => {
  const queue = new Queue<Job>(queueName(version), { connection: redis, prefix: queuePrefix, skipVersionCheck: true })
  // The coordinator learns from its own commands that Redis is away
  queue.on('error', () => {})
  const idOf = ({ hash }: OpenJob) => `${run}-${hash}`
  return {
    async add(jobs) {
      if (jobs.length === 0) return
      await queue.addBulk(
        jobs.map((job) => ({
          name: job.shards[0].kind,
          data: { run, shards: job.hash, files: [...new Set(job.shards.flatMap(({ files }) => files))] },
          opts: { jobId: idOf(job), removeOnComplete: true, removeOnFail: true },
        })),
      )
      for (const job of jobs) job.given++
    },
    has: async (job) => (await redis.exists(queue.toKey(idOf(job)))) > 0,
    remove: (job) => void queue.remove(idOf(job)).catch(() => {}),
    close: () => queue.close().catch(() => {}),
  }
}
