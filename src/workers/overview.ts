/** Who is at a Redis: its workers, and the runs that give out shards. Tokens of runs, which open their models and rows, stay here. */
import { withoutPassword } from './address.ts'
import { connect, failAtOnce, type RunEntry, readRuns, readWorkers, type WorkerEntry } from './redis.ts'

export type Overview = {
  /** Of the Redis, as it was given. */
  url: string
  /** Without its password, to be shown. */
  address: string
  /** Rejects while Redis is away, after five seconds at most. */
  read(): Promise<{ workers: ({ id: string } & WorkerEntry)[]; runs: ({ id: string } & Omit<RunEntry, 'token'>)[] }>
  close(): void
}

/** @throws Fault 'bad-flag' for an address where no Redis answers */
export const openOverview = async (url: string, flag: string): Promise<Overview> => {
  const redis = await connect(url, flag, failAtOnce)
  // A command that fails while Redis is away does not say why it is
  let failure: Error | undefined
  redis.on('error', (error) => {
    failure = error
  })
  redis.on('ready', () => {
    failure = undefined
  })
  const readBoth = () =>
    Promise.all([readWorkers(redis), readRuns(redis)]).catch((error) => {
      throw failure ?? error
    })
  return {
    url,
    address: withoutPassword(url),
    async read() {
      const [workers, runs] = await readBoth()
      return {
        workers: [...workers].map(([id, worker]) => ({ id, ...worker })),
        runs: [...runs].map(([id, { token: _, ...run }]) => ({ id, ...run })),
      }
    },
    close: () => redis.disconnect(),
  }
}
