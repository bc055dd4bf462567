/** The part of the studio that shows workers: asks a Redis while a page shows it. */
import { hostname } from 'node:os'
import { Hono } from 'hono'
import type { Live } from '../live.ts'
import { requireRole, type StudioEnv } from '../session.ts'
import type { SharedRun, WorkerRow, WorkersState } from './api.ts'

type Told<Row, Since extends string> = Omit<Row, Since> & Record<Since, string>

/** What the part needs of the room of workers: `openOverview`. Times are in ISO form. */
export type WorkersSource = {
  /** With the password of the Redis: for the processes of jobs, and never shown. */
  url: string
  address: string
  /** Rejects while Redis is away. */
  read(): Promise<{
    workers: (Told<Omit<WorkerRow, 'shard'>, 'seen'> & { shard?: { kind: string; run: string; since: string } })[]
    runs: (Omit<SharedRun, 'isHere' | 'seconds'> & { started: string })[]
  }>
}

export type WorkersPart = { routes: Hono<StudioEnv>; close(): void }

/** Milliseconds between two looks while a page is open. */
const every = 1000

export const openWorkersPart = (source: WorkersSource, live: Live): WorkersPart => {
  let last: Awaited<ReturnType<WorkersSource['read']>> = { workers: [], runs: [] }
  let answered = Date.now()
  let failure: string | undefined
  let timer: NodeJS.Timeout | undefined
  let isClosed = false

  const read = async () => {
    try {
      last = await source.read()
      answered = Date.now()
      failure = undefined
    } catch (error) {
      failure = (error as Error).message
    }
  }
  let reading: Promise<void> | undefined
  /** Pages that ask at once get the same answer. */
  const look = () => {
    reading ??= read().finally(() => {
      reading = undefined
    })
    return reading
  }

  const state = (): WorkersState => ({
    address: source.address,
    ...(failure !== undefined && { away: { why: failure, seconds: secondsSince(answered) } }),
    workers: last.workers
      .map(({ id, name, host, version, threads, processor, shard, done, failed, trouble, seen }) => ({
        ...{ id, name, host, version, threads, processor, done, failed, trouble, seen: secondsSince(Date.parse(seen)) },
        ...(shard && {
          shard: { kind: shard.kind, run: shard.run, seconds: secondsSince(Date.parse(shard.since)) },
        }),
      }))
      .sort((a, b) => byName.compare(a.name, b.name)),
    runs: last.runs
      .map(({ id, name, host, version, waiting, done, started }) => ({
        ...{ id, name, host, version, isHere: host === hostname(), waiting, done },
        seconds: secondsSince(Date.parse(started)),
      }))
      .sort((a, b) => byName.compare(a.name, b.name)),
  })

  const again = () => {
    if (isClosed) return
    timer = setTimeout(async () => {
      if (live.isWanted('workers')) {
        await look()
        live.publish({ topic: 'workers', data: state() })
      }
      again()
    }, every)
    timer.unref()
  }
  again()

  const routes = new Hono<StudioEnv>()
  routes.use('/workers', requireRole('own'))
  routes.get('/workers', async (context) => {
    await look()
    return context.json(state())
  })
  return {
    routes,
    close() {
      isClosed = true
      clearTimeout(timer)
    },
  }
}

const byName = new Intl.Collator('en', { numeric: true })

/** Whole ones. The clocks of machines differ a little. */
const secondsSince = (time: number) => Math.max(0, Math.round((Date.now() - time) / 1000))
