/** The jobs of a studio: one at a time in the order in which they were asked for, watched until they end. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { runsRoot } from '../../runs/find.node.ts'
import { badInput, Fault, runFailure } from '../../util/fault.ts'
import { shellWord } from '../../util/format.ts'
import { cut } from '../../util/quote.ts'
import type { Live } from '../live.ts'
import type { Job, JobDetails, JobKind, JobProgress } from './api.ts'
import { eventIn, followLines, isAlive, type PrintedEvent, startProcess } from './process.ts'
import { endOf, type JobRecord, openRecords } from './records.ts'

export type NewRecord = {
  kind: JobKind
  title: string
  method?: string
  argv: string[]
  output?: string
  project?: number
  expected?: number
  after?: Record<string, unknown>
}

export type Jobs = {
  /** Follows what earlier studios left running, and begins what waits. */
  begin(): void
  list(): Job[]
  /** Throws a Fault 'no-job'. */
  get(id: number): Job
  details(id: number): Promise<JobDetails>
  add(job: NewRecord): Promise<Job>
  start(id: number): Promise<Job>
  stop(id: number): Promise<Job>
  forget(id: number): Promise<void>
  /** The record of a job, for what comes after it. */
  record(id: number): JobRecord
  /** What it printed. */
  printed(id: number): string
  /** Run folders that jobs have, or will make. */
  outputs(): string[]
  /** Ends the watching; the processes go on. */
  close(): Promise<void>
}

export type JobsOptions = {
  root: string
  live: Live
  /** Called when a job has ended well; its errors become the problem of the job. */
  onDone(id: number, record: JobRecord): Promise<void>
  onError(error: unknown): void
  /** The Redis that trainings may name: its address without a password, which is all that is kept and shown, and the whole one. */
  workers?: { address: string; url: string }
  /** A script in place of attune's own command. */
  command?: string
  /** Milliseconds between two looks at what a process printed. */
  every?: number
}

type Watched = {
  record: JobRecord
  progress?: JobProgress
  latest?: PrintedEvent
  lines: number
  stopping: boolean
  watching?: Promise<void>
}

/** At once; more wait. */
const runningAtOnce = 1
const keptJobs = 500

export const openJobs = async ({
  root,
  live,
  onDone,
  onError,
  workers,
  command,
  every = 300,
}: JobsOptions): Promise<Jobs> => {
  const records = openRecords(root)
  const jobs = new Map<number, Watched>()
  let closed = false

  const need = (id: number): Watched => {
    const job = jobs.get(id)
    if (!job) throw badInput('no-job', `there is no job ${id}`)
    return job
  }
  const shown = (id: number, { record, progress, stopping }: Watched): Job => {
    const { kind, title, method, argv, output, project, created, started, ended, exitCode, problem } = record
    const isOver = !isOpen(record)
    const state = stopping && record.state === 'running' ? 'stopping' : record.state
    const run = output !== undefined && existsSync(join(root, output, 'run.json')) ? runName(output) : undefined
    return {
      ...{
        id,
        kind,
        title,
        method,
        state,
        created,
        started,
        ended,
        exitCode,
        problem,
        project,
        output,
        run,
        progress: progress ?? record.progress,
      },
      command: ['attune', ...argv].map(shellWord).join(' '),
      can: {
        start: record.state === 'waiting',
        stop: !isOver,
        resume: isOver && kind === 'train' && record.state !== 'done' && run !== undefined,
        forget: isOver,
      },
    }
  }
  const changed = async (id: number, change: Partial<JobRecord>) => {
    const { record } = need(id)
    await records.write(id, { ...record, ...change })
    Object.assign(record, change)
    tell(id)
    live.publish({ topic: 'jobs' })
  }
  const tell = (id: number) => {
    const job = need(id)
    live.publish({ topic: `job/${id}`, data: { ...shown(id, job), ...(job.latest && { latest: short(job.latest) }) } })
  }

  const begin = async (id: number) => {
    const job = need(id)
    // Marked first, so that it is not begun twice while its process starts
    job.record.state = 'running'
    const files = records.outputs(id)
    try {
      const { stdout, stderr } = files
      const { pid, began, ended } = await startProcess([...withPassword(job.record.argv, workers), '--json'], {
        root,
        stdout,
        stderr,
        command,
      })
      await changed(id, { state: 'running', pid, began, started: new Date().toISOString() })
      job.watching = watch(id, ended)
    } catch (error) {
      await changed(id, { state: 'failed', problem: (error as Error).message, ended: new Date().toISOString() })
    } finally {
      files.close()
    }
  }

  /** Follows a job to its end. @param ended of a process that this studio started; of others nobody learns how they ended */
  const watch = async (id: number, ended?: Promise<{ exitCode?: number; signal?: string }>) => {
    const job = need(id)
    const path = records.path(id, 'stdout.jsonl')
    const lines = followLines(path)
    let outcome: { exitCode?: number; signal?: string } | undefined
    void ended?.then((how) => {
      outcome = how
    })
    const look = async (): Promise<boolean> => {
      const events = await lines.next()
      for (const event of events) take(job, event)
      if (events.length) tell(id)
      return events.length > 0
    }
    while (!closed) {
      const isOver = ended ? outcome !== undefined : !(await isAlive(job.record.pid ?? 0, job.record.began))
      const isMore = await look()
      if (isOver && !isMore) break
      if (!isMore) await Promise.race([pause(every), ended ?? never])
    }
    if (closed) return
    await close(id, outcome ?? {}).catch(onError)
    await next()
  }

  const close = async (id: number, { exitCode, signal }: { exitCode?: number; signal?: string }) => {
    const job = need(id)
    const { record } = job
    let state = endState(job, exitCode, signal)
    let problem = state === 'failed' ? await lastError(records.path(id, 'stderr.txt'), signal) : undefined
    if (state === 'done' && record.after)
      try {
        await onDone(id, record)
      } catch (error) {
        if (!(error instanceof Fault)) onError(error)
        state = 'failed'
        problem = (error as Error).message
      }
    await changed(id, {
      state,
      exitCode,
      problem,
      progress: job.progress,
      pid: undefined,
      ended: new Date().toISOString(),
    })
  }

  const isOpen = ({ state }: JobRecord) => state === 'waiting' || state === 'running' || state === 'stopping'

  /** Begins what waits, where there is room. */
  const next = async () => {
    for (const [id, { record }] of jobs) {
      const running = [...jobs.values()].filter((job) => job.record.state === 'running').length
      if (closed || running >= runningAtOnce) return
      if (record.state === 'waiting') await begin(id)
    }
  }

  for (const { id, record } of await records.all()) {
    jobs.set(id, { record, lines: 0, stopping: false })
  }

  return {
    begin() {
      for (const [id, job] of jobs) if (job.record.state === 'running') job.watching = watch(id)
      void next().catch(onError)
    },
    list: () => [...jobs].map(([id, job]) => shown(id, job)).reverse(),
    get: (id) => shown(id, need(id)),
    async details(id) {
      const job = shown(id, need(id))
      const [printed, stderr] = await Promise.all([
        endOf(records.path(id, 'stdout.jsonl'), 2 ** 17),
        endOf(records.path(id, 'stderr.txt'), 2 ** 14),
      ])
      const events = printed
        .split('\n')
        .map(eventIn)
        .filter((event) => event !== undefined)
      return { ...job, events: events.slice(-50).map(short), stderr }
    },
    async add(given) {
      if (jobs.size >= keptJobs) throw runFailure('too-many', `there are ${keptJobs} jobs; forget some that have ended`)
      const record: JobRecord = { ...given, state: 'waiting', created: new Date().toISOString() }
      const id = await records.add(record)
      jobs.set(id, { record, lines: 0, stopping: false })
      live.publish({ topic: 'jobs' })
      await next()
      return shown(id, need(id))
    },
    async start(id) {
      if (need(id).record.state !== 'waiting') throw badInput('not-waiting', `job ${id} does not wait`)
      await begin(id)
      return shown(id, need(id))
    },
    async stop(id) {
      const job = need(id)
      if (job.record.state === 'waiting') await changed(id, { state: 'stopped', ended: new Date().toISOString() })
      else if (job.record.state === 'running' && job.record.pid && (await isAlive(job.record.pid, job.record.began))) {
        job.stopping = true
        process.kill(job.record.pid, 'SIGINT')
        tell(id)
      } else throw badInput('not-running', `job ${id} has ended`)
      return shown(id, job)
    },
    async forget(id) {
      if (isOpen(need(id).record)) throw badInput('running', `job ${id} has not ended; stop it first`)
      jobs.delete(id)
      await records.remove(id)
      live.publish({ topic: 'jobs' })
    },
    record: (id) => need(id).record,
    printed: (id) => records.path(id, 'stdout.jsonl'),
    outputs: () => [...jobs.values()].flatMap(({ record }) => record.output ?? []),
    async close() {
      closed = true
      await Promise.all([...jobs.values()].map(({ watching }) => watching))
    },
  }
}

/** The words of a command with the whole address of the studio's Redis, where they name it. */
const withPassword = (argv: readonly string[], workers: JobsOptions['workers']): string[] =>
  argv.map((word, i) => (argv[i - 1] === '--workers' && word === workers?.address ? workers.url : word))

/** As the pages of runs name it. */
export const runName = (output: string): string =>
  output.startsWith(`${runsRoot}/`) ? output.slice(runsRoot.length + 1) : output

const take = (job: Watched, event: PrintedEvent) => {
  job.latest = event
  job.lines++
  const { done, total, phase, step, total_steps } = event
  const isPhase = event.event === 'progress' && job.progress?.what !== 'step'
  if (isPhase && typeof done === 'number' && typeof total === 'number')
    job.progress = { done, total, what: String(phase) }
  else if (event.event === 'step' && typeof step === 'number' && typeof total_steps === 'number')
    job.progress = { done: step, total: total_steps, what: 'step' }
  else if (job.record.expected !== undefined && event.event === undefined)
    job.progress = { done: job.lines, total: job.record.expected, what: 'row' }
}

/** A training that was interrupted ends with 130, and says so in its last event. */
const endState = (job: Watched, exitCode: number | undefined, signal: string | undefined): JobRecord['state'] => {
  const { record, latest, lines, stopping } = job
  if (exitCode === 0) return 'done'
  if (exitCode === 130 || (stopping && signal !== undefined)) return 'stopped'
  if (exitCode !== undefined || signal !== undefined) return 'failed'
  if (latest?.event === 'end') return latest.stopped === 'interrupted' ? 'stopped' : 'done'
  return record.expected !== undefined && lines === record.expected ? 'done' : 'ended'
}

const lastError = async (path: string, signal: string | undefined): Promise<string> => {
  const lines = (await endOf(path, 2 ** 13)).split('\n').filter((line) => line.startsWith('error: '))
  return lines.at(-1)?.slice('error: '.length) ?? (signal ? `was ended by ${signal}` : 'failed; its output says more')
}

/** An event as a page shows it: long texts and lists are cut. */
const short = (event: PrintedEvent): PrintedEvent =>
  Object.fromEntries(
    Object.entries(event)
      .slice(0, 60)
      .map(([key, value]) => {
        if (typeof value === 'string') return [key, cut(value, 500)]
        return [key, typeof value === 'object' && value !== null ? cut(JSON.stringify(value), 80) : value]
      }),
  )

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds).unref())
const never = new Promise<never>(() => {})
