/**
 * One process writes a run at a time: `run.lock` names it. The lock of a process that is gone is taken over; whether a
 * process of another machine is gone cannot be seen from here, so that lock stands until somebody removes it.
 */
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { runFailure } from '../util/fault.ts'

export type Holder = { pid: number; host: string; since: string }

const lockName = 'run.lock'

/** Takes the lock of a folder and returns what gives it back. Throws a Fault 'locked' where a process holds it. */
export const takeLock = async (dir: string): Promise<() => Promise<void>> => {
  const path = join(dir, lockName)
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), since: new Date().toISOString() } satisfies Holder)
  for (let attempt = 0; attempt < 3; attempt++) {
    if (await created(path, mine)) return () => rm(path, { force: true })
    const holder = await lockHolder(dir)
    if (holder && isAlive(holder)) throw locked(holder, path)
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

/** Renamed away first and looked at again: between reading and removing another process may have taken it. */
const removeStale = async (path: string) => {
  const away = join(dirname(path), `${lockName}.stale.${process.pid}`)
  await rename(path, away).catch(() => {})
  const holder = await readFile(away, 'utf8').then(JSON.parse, () => undefined)
  if (holder && isAlive(holder)) await link(away, path).catch(() => {})
  await rm(away, { force: true })
}

const isAlive = ({ pid, host }: Holder): boolean => {
  if (host !== hostname()) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const locked = ({ pid, host, since }: Holder, path: string) =>
  runFailure(
    'locked',
    `process ${pid} of ${host} writes this run since ${since}; wait for it, or remove this file if it is gone`,
    { file: path },
  )
