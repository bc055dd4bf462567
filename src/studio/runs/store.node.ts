/** The runs of the studio's folder, read when they are asked for: each has its log in memory until others need the room. */
import { realpath, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { type ForeignRun, foreignRunsBelow } from '../../runs/foreign.node.ts'
import { isRunning } from '../../runs/lock.node.ts'
import { startName } from '../../runs/modelName.node.ts'
import { type RunInfo, readInfo } from '../../runs/run.node.ts'
import { Fault } from '../../util/fault.ts'
import type { RunRow } from './api.ts'
import { folderOf, foldersBelow, isName, logOf } from './folders.node.ts'
import { type ForeignLog, foreignInfo, makeForeignLog, toolOf } from './foreignLog.node.ts'
import { type LogIndex, makeLogIndex } from './logIndex.node.ts'
import { figuresOf, judgingFacts, stateOf } from './row.ts'
import { readTags } from './tags.node.ts'

export type OpenRun = {
  name: string
  dir: string
  info: RunInfo
  log: LogIndex
  row: RunRow
  /** Of a run of another tool: what is wrong with its files, where something is. */
  foreign?: { problem?: string }
}

export type RunStore = {
  readonly root: string
  /** Rows of all runs. Logs that are not read within `patience` milliseconds have `reading` set, and are read on. */
  list(patience?: number): Promise<RunRow[]>
  /** A run with its log as it is now. Throws HTTP errors 404, and the Faults of `readInfo`. */
  open(name: string): Promise<OpenRun>
  /** Names of the runs that were read. */
  names(): string[]
  /** The last row of a run, without reading anything. */
  known(name: string): RunRow | undefined
  forget(name: string): void
}

/** Memory of all logs together, about; the least recently used are let go beyond. */
const mostBytes = 768 * 2 ** 20

type Foreign = { run: ForeignRun; log: ForeignLog }

type Entry = {
  name: string
  dir: string
  log: LogIndex
  used: number
  row?: RunRow
  stamp?: string
  work?: Promise<OpenRun>
  foreign?: Foreign
}

/**
 * @param root a real path
 * @param failureOf what went wrong with the process that the studio started for a run, where it failed
 */
export const openRunStore = (root: string, failureOf: (name: string) => string | undefined): RunStore => {
  const entries = new Map<string, Entry>()
  const entryOf = async (name: string, dir: string): Promise<Entry> => {
    const there = entries.get(name)
    if (there?.dir === dir) return there
    const made = { name, dir, log: makeLogIndex((await logOf(root, dir)) ?? join(dir, 'no-log')), used: 0 }
    entries.set(name, made)
    return made
  }
  const foreignEntry = (run: ForeignRun): Entry => {
    const there = entries.get(run.name)
    if (there?.foreign) {
      there.foreign.run = run
      there.foreign.log.found(run)
      return there
    }
    const log = makeForeignLog(run)
    const made = { name: run.name, dir: run.dir, log, used: 0, foreign: { run, log } }
    entries.set(run.name, made)
    return made
  }
  const makeRoom = () => {
    const byUse = [...entries.values()].sort((a, b) => b.used - a.used)
    let bytes = 0
    for (const entry of byUse) {
      bytes += entry.log.bytes()
      if (bytes > mostBytes && entry !== byUse[0]) entry.log.forget()
    }
  }
  const read = (entry: Entry): Promise<OpenRun> => {
    entry.used = Date.now()
    entry.work ??= (entry.foreign ? readForeign(entry, entry.foreign) : readRun(entry, failureOf(entry.name))).finally(
      () => {
        entry.work = undefined
        makeRoom()
      },
    )
    return entry.work
  }
  const changed = async (entry: Entry): Promise<boolean> => {
    const stamp = entry.foreign
      ? `${entry.foreign.run.bytes}@${entry.foreign.run.changed}`
      : `${await stampOf(entry.dir)} ${failureOf(entry.name) ?? ''}`
    const isNew = stamp !== entry.stamp || entry.row === undefined || entry.row.state === 'running'
    entry.stamp = stamp
    return isNew
  }
  return {
    root,
    async list(patience = 400) {
      const found = await foldersBelow(root)
      const own = new Set(found.map(({ name }) => name))
      const others = (await foreignRunsBelow(root)).filter(({ name }) => !own.has(name))
      const names = new Set([...own, ...others.map(({ name }) => name)])
      for (const name of entries.keys()) if (!names.has(name)) entries.delete(name)
      const until = Date.now() + patience
      const all = await Promise.all(found.map(({ name, dir }) => entryOf(name, dir)))
      const waiting: Entry[] = []
      all.push(...others.map(foreignEntry))
      for (const entry of all) if (await changed(entry)) waiting.push(entry)
      const reading = inTurn(waiting, (entry) =>
        read(entry).catch((error) => {
          entry.row = unreadable(entry, error)
        }),
      )
      await Promise.race([reading, new Promise((done) => setTimeout(done, Math.max(0, until - Date.now())).unref())])
      return all.flatMap((entry) => (entry.row ? [entry.row] : waiting.includes(entry) ? [unread(entry)] : []))
    },
    async open(name) {
      const known = entries.get(name)
      const other = (known?.foreign || !known) && (await foreignRunNamed(root, name))
      return read(other ? foreignEntry(other) : await entryOf(name, await folderOf(root, name)))
    },
    names: () => [...entries.keys()],
    known: (name) => entries.get(name)?.row,
    forget(name) {
      entries.delete(name)
    },
  }
}

/** Undefined where the name is none, or that of a run of attune's own. */
const foreignRunNamed = async (root: string, name: string): Promise<ForeignRun | undefined> => {
  if (!isName(name)) return undefined
  const dir = await realpath(join(root, name)).catch(() => undefined)
  if (dir !== join(root, name)) return undefined
  const [run] = await foreignRunsBelow(dir)
  return run?.dir === dir ? { ...run, name } : undefined
}

/** A run of another tool says nothing when it ends, so one that has written lately counts as running. */
const lately = 120_000

const readForeign = async (entry: Entry, { run, log }: Foreign): Promise<OpenRun> => {
  await log.update()
  const info = foreignInfo(run)
  const steps = Math.max(log.steps.column('step')?.at(-1) ?? 0, log.evaluations.column('step')?.at(-1) ?? 0)
  const isDone = log.totalSteps !== undefined && steps >= log.totalSteps
  const row: RunRow = {
    ...{ name: entry.name, kind: toolOf(run), method: toolOf(run), model: '', steps, tags: [] },
    state: !isDone && Date.now() - run.changed < lately ? 'running' : 'done',
    ...{ totalSteps: log.totalSteps ?? steps, created: info.created, alive: info.created },
    ...figuresOf(log),
  }
  entry.row = row
  return { name: entry.name, dir: entry.dir, info, log, row, foreign: { problem: log.problem } }
}

/** Two at a time, so that a long log does not hold up all others. */
const inTurn = async <T>(items: readonly T[], work: (item: T) => Promise<unknown>) => {
  const rest = [...items]
  const one = async () => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item)
  }
  await Promise.all([one(), one()])
}

const stampOf = async (dir: string): Promise<string> => {
  const parts = ['run.json', 'events.jsonl', 'tags.json', 'run.lock'].map((name) =>
    stat(join(dir, name)).then(
      ({ size, mtimeMs }) => `${size}@${mtimeMs}`,
      () => '',
    ),
  )
  return (await Promise.all(parts)).join(' ')
}

const readRun = async (entry: Entry, failure: string | undefined): Promise<OpenRun> => {
  const { name, dir, log } = entry
  const [info, running, tags] = await Promise.all([readInfo(dir), isRunning(dir), readTags(dir), log.update()])
  const [end] = await log.read(log.marks.filter(({ event }) => event === 'end').slice(-1))
  const [state, reason] = stateOf(running, end, failure)
  const steps = log.steps.column('step')?.at(-1) ?? 0
  const row: RunRow = {
    ...{ name, kind: 'attune', method: info.method, model: startName(info) },
    ...{ state, ...(reason !== undefined && { reason }), steps, tags, created: info.created },
    totalSteps: typeof info.total_steps === 'number' ? info.total_steps : steps,
    alive: new Date(log.changed || Date.parse(info.created) || 0).toISOString(),
    ...figuresOf(log, judgingFacts(info)),
  }
  entry.row = row
  return { name, dir, info, log, row }
}

const unread = ({ name }: Entry): RunRow => ({
  ...{ name, kind: 'attune', method: '', model: '', state: 'done', steps: 0, totalSteps: 0, tags: [], created: '' },
  ...{ alive: '', spark: [], reading: true },
})

/** A run whose run.json or log is damaged. */
const unreadable = (entry: Entry, error: unknown): RunRow => ({
  ...unread(entry),
  ...{ state: 'failed', reason: error instanceof Fault ? error.message : 'cannot be read', reading: undefined },
})

/** The folder of a run as people see it. */
export const shownFolder = (root: string, dir: string): string => relative(root, dir) || '.'
