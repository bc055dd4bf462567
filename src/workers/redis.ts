/** What stands in Redis: the queue of shards (BullMQ), and who is there: runs and workers, whose entries end when they no longer renew them. */
import { Redis, type RedisOptions } from 'ioredis'
import { z } from 'zod'
import { badInput } from '../util/fault.ts'
import { withoutPassword } from './address.ts'

/** Seconds until an entry that is not renewed is gone, and between two renewals. */
export const entrySeconds = 6
export const renewSeconds = 2

/** Milliseconds without an answer after which a connection counts as lost; a worker waits for shards for five seconds at a time. */
export const silence = { coordinator: 5_000, worker: 15_000 }

/** For whoever does not wait for Redis: commands fail at once while it is away, and it is asked for again. */
export const failAtOnce: RedisOptions = {
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  retryStrategy: () => 500,
  socketTimeout: silence.coordinator,
  commandTimeout: silence.coordinator,
}

/** Milliseconds for which a worker owns a shard; it renews that while it works. A worker that stops loses it. */
export const lockMilliseconds = 10_000

const prefix = 'attune'
export const queuePrefix = `${prefix}:queue`

/** Workers of another version never see these shards. BullMQ allows no colon in a name. */
export const queueName = (version: string): string => `shards-${version}`

export type Job = {
  run: string
  /** SHA-256 of its packed shards, which are content of the exchange. */
  shards: string
  /** SHA-256 of the content that they read. */
  files: readonly string[]
}

export const jobSchema = z.object({ run: z.string(), shards: z.string(), files: z.array(z.string()) })

/** A worker, as it tells of itself. */
export const workerEntrySchema = z.object({
  name: z.string(),
  version: z.string(),
  host: z.string(),
  pid: z.number(),
  threads: z.number(),
  /** The model of the processor, and the kind of arithmetic that results depend on. */
  processor: z.string(),
  arithmetic: z.string(),
  /** ISO times. */
  started: z.string(),
  seen: z.string(),
  /** What it works on: kind of shard, its run, since when. */
  shard: z.object({ kind: z.string(), run: z.string(), since: z.string() }).optional(),
  done: z.number(),
  failed: z.number(),
  /** Why it takes no shards for a while: a full disk, a coordinator that it cannot reach. */
  trouble: z.string().optional(),
})
export type WorkerEntry = z.infer<typeof workerEntrySchema>

/** A run that gives out shards. */
export const runEntrySchema = z.object({
  name: z.string(),
  version: z.string(),
  host: z.string(),
  arithmetic: z.string(),
  /** Of the exchange. */
  address: z.string(),
  /** Opens an exchange over HTTP. Whoever can read this database can read the run's models and rows. */
  token: z.string(),
  started: z.string(),
  waiting: z.number(),
  done: z.number(),
})
export type RunEntry = z.infer<typeof runEntrySchema>

/**
 * @param options `failAtOnce`, or those of a worker, which waits instead
 * @throws Fault 'bad-flag' for an address that is none or where no Redis answers
 */
export const connect = async (url: string, flag: string, options: RedisOptions): Promise<Redis> => {
  if (!/^rediss?:\/\//.test(url))
    throw badInput(
      'bad-flag',
      `${withoutPassword(url)} is no address of Redis; redis://HOST:6379, or rediss:// with TLS`,
      { flag },
    )
  const redis = new Redis(url, { ...options, lazyConnect: true, connectTimeout: 5000 })
  let failure: Error | undefined
  redis.on('error', (error) => {
    failure = error
  })
  try {
    await redis.connect()
    await redis.ping()
    return redis
  } catch (error) {
    redis.disconnect()
    const { message } = (failure ?? error) as Error
    throw badInput(
      'bad-flag',
      `no Redis answers at ${withoutPassword(url)} (${message}); start one, or mend the address`,
      { flag },
    )
  }
}

const key = (kind: 'run' | 'worker', id: string) => `${prefix}:${kind}:${id}`

export const putEntry = (redis: Redis, kind: 'run' | 'worker', id: string, entry: WorkerEntry | RunEntry) =>
  redis.set(key(kind, id), JSON.stringify(entry), 'EX', entrySeconds)

export const dropEntry = (redis: Redis, kind: 'run' | 'worker', id: string) => redis.del(key(kind, id))

const parsed = <T>(schema: z.ZodType<T>, text: string | null): T | undefined => {
  try {
    return text === null ? undefined : schema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

export const readRunEntry = async (redis: Redis, id: string): Promise<RunEntry | undefined> =>
  parsed(runEntrySchema, await redis.get(key('run', id)))

const readEntries = async <T>(redis: Redis, kind: 'run' | 'worker', schema: z.ZodType<T>): Promise<Map<string, T>> => {
  const names: string[] = []
  for (let cursor = '0'; ; ) {
    const [next, found] = await redis.scan(cursor, 'MATCH', key(kind, '*'), 'COUNT', 1000)
    names.push(...found)
    cursor = next
    if (cursor === '0') break
  }
  const unique = [...new Set(names)].sort()
  const texts = unique.length ? await redis.mget(unique) : []
  return new Map(
    unique.flatMap((name, i) => {
      const entry = parsed(schema, texts[i])
      return entry ? [[name.slice(key(kind, '').length), entry] as const] : []
    }),
  )
}

export const readWorkers = (redis: Redis): Promise<Map<string, WorkerEntry>> =>
  readEntries(redis, 'worker', workerEntrySchema)

export const readRuns = (redis: Redis): Promise<Map<string, RunEntry>> => readEntries(redis, 'run', runEntrySchema)
