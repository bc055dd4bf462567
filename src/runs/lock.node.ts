/**
 * One process writes a run at a time: `run.lock` names it. The lock of a process that is gone is taken over; whether a
 * process of another machine is gone cannot be seen from here, so that lock stands until somebody removes it.
 */
import { link, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { runFailure } from '../util/fault.ts'

export type Holder = {
  pid: number
  host: string
  since: string
  /** When the process began, in the system's ticks, where it tells: numbers of processes come again. */
  began?: string
}

const lockName = 'run.lock'

/** Takes the lock of a folder and returns what gives it back. Throws a Fault 'locked' where a process holds it. */
export const takeLock = async (dir: string): Promise<() => Promise<void>> => {
  const path = join(dir, lockName)
  const mine = JSON.stringify({
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
    began: await beginningOf(process.pid),
  } satisfies Holder)
  for (let attempt = 0; attempt < 3; attempt++) {
    if (await created(path, mine)) {
      await removeLeftovers(dir)
      return () => rm(path, { force: true })
    }
    const holder = await lockHolder(dir)
    if (holder && (await isAlive(holder))) throw locked(holder, path)
    await removeStale(path)
  }
  throw runFailure('locked', 'changes hands; try again', { file: path })
}

/** Whoever the lock names, alive or not. */
export const lockHolder = async (dir: string): Promise<Holder | undefined> => {
  const text = await readFile(join(dir, lockName), 'utf8').catch(() => '')
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Whether a process writes this run now, as far as one can see from this machine. */
export const isRunning = async (dir: string): Promise<boolean> => {
  const holder = await lockHolder(dir)
  return holder !== undefined && isAlive(holder)
}

/** A file appears with its content at once, so no reader finds an empty lock. */
const created = async (path: string, content: string): Promise<boolean> => {
  const own = `${path}.${process.pid}`
  await writeFile(own, content)
  try {
    await link(own, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    await rm(own, { force: true })
  }
}

/** Of processes that were killed while they took the lock. */
const removeLeftovers = async (dir: string) => {
  for (const name of await readdir(dir)) {
    const pid = /^run\.lock\.(?:stale\.)?(\d+)$/.exec(name)?.[1]
    if (pid !== undefined && !exists(Number(pid))) await rm(join(dir, name), { force: true })
  }
}

/** Renamed away first and looked at again: between reading and removing another process may have taken it. */
const removeStale = async (path: string) => {
  const away = join(dirname(path), `${lockName}.stale.${process.pid}`)
  await rename(path, away).catch(() => {})
  const holder = await readFile(away, 'utf8').then(JSON.parse, () => undefined)
  if (holder && (await isAlive(holder))) await link(away, path).catch(() => {})
  await rm(away, { force: true })
}

const isAlive = async ({ pid, host, began }: Holder): Promise<boolean> => {
  if (host !== hostname()) return true
  if (!exists(pid)) return false
  return began === undefined || began === ((await beginningOf(pid)) ?? began)
}

const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Linux tells it as the 22nd field, the second of which is a name in brackets that may hold anything. */
const beginningOf = async (pid: number): Promise<string | undefined> => {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
}

const locked = ({ pid, host, since }: Holder, path: string) =>
  runFailure(
    'locked',
    `process ${pid} of ${host} writes this run since ${since}; wait for it, or remove this file if it is gone`,
    { file: path },
  )
