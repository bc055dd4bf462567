/**
 * The lock of a run folder: `run.lock` names the one process that writes it. The lock of a process that no longer exists is
 * taken over. Processes of other machines cannot be checked, so their locks stay until somebody removes them.
 */
import { randomBytes } from 'node:crypto'
import { link, lstat, readdir, readFile, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { runFailure } from '../util/fault.ts'
import { notAFile, syncFolder, writeSynced } from '../util/files.node.ts'
import { sealed, unsealed } from '../util/sealed.node.ts'

const holderSchema = z.object({
  pid: z.number().int().positive(),
  host: z.string(),
  since: z.string(),
  /** When the process started, in the system's ticks, where that is known: process ids are used again. */
  began: z.string().optional(),
})
type Holder = z.infer<typeof holderSchema>

const lockName = 'run.lock'

/**
 * Takes the lock of a folder. Throws a Fault 'locked' where a process holds it.
 * @param warn called where a damaged lock was taken over
 * @returns a function that releases the lock
 */
export const takeLock = async (
  dir: string,
  warn: (message: string) => void = () => {},
): Promise<() => Promise<void>> => {
  const path = join(dir, lockName)
  const { text: mine } = sealed({
    pid: process.pid,
    host: hostname(),
    since: new Date().toISOString(),
    began: await startTimeOf(process.pid),
  } satisfies Holder)
  for (let attempt = 0; attempt < 3; attempt++) {
    if (await created(path, mine)) {
      await removeLeftovers(dir)
      return () => rm(path, { force: true })
    }
    const info = await lstat(path).catch(() => undefined)
    if (info && !info.isFile()) throw notAFile(path, info, 'remove it if no process writes this run')
    const holder = await holderIn(path)
    if (holder && (await isAlive(holder))) throw locked(holder, path)
    // A lock appears with its content, so that of a living process is never empty or torn
    if (info && !holder) warn(`${path} was damaged, as after a power cut, and was taken over`)
    await removeStale(path)
  }
  throw runFailure('locked', 'changes hands; try again', { file: path })
}

/** The process that the lock names, alive or not; undefined for a missing or damaged lock. */
const holderIn = async (path: string): Promise<Holder | undefined> => {
  const text = await readFile(path, 'utf8').catch(() => '')
  try {
    const found = JSON.parse(text)
    // Locks of earlier versions had no hash
    return holderSchema.parse('hash' in found ? unsealed(text) : found)
  } catch {
    return undefined
  }
}

/** Whether a process writes this run now, as far as this machine can tell. */
export const isRunning = async (dir: string): Promise<boolean> => {
  const holder = await holderIn(join(dir, lockName))
  return holder !== undefined && isAlive(holder)
}

/** The process of this machine that writes a run now; undefined where there is none, or where it is on another machine. */
export const writerOf = async (dir: string): Promise<number | undefined> => {
  const holder = await holderIn(join(dir, lockName))
  return holder && holder.host === hostname() && (await isAlive(holder)) ? holder.pid : undefined
}

/** Creates the file together with its content, so that no reader finds an empty lock. False where it exists already. */
const created = async (path: string, content: string): Promise<boolean> => {
  const own = `${path}.${process.pid}.${randomBytes(6).toString('hex')}`
  try {
    await writeSynced(own, [Buffer.from(content)])
    await link(own, path)
    await syncFolder(dirname(path))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    await rm(own, { force: true })
  }
}

/** Removes files of processes that were killed while they took the lock. */
const removeLeftovers = async (dir: string) => {
  for (const name of await readdir(dir)) {
    const pid = /^run\.lock\.(?:stale\.)?(\d+)(?:\.[0-9a-f]+)?$/.exec(name)?.[1]
    if (pid !== undefined && !exists(Number(pid))) await rm(join(dir, name), { recursive: true, force: true })
  }
}

/** Renames the lock away and reads it again before removing it, since another process may have taken it in between. */
const removeStale = async (path: string) => {
  const away = join(dirname(path), `${lockName}.stale.${process.pid}.${randomBytes(6).toString('hex')}`)
  await rename(path, away).catch(() => {})
  const holder = await holderIn(away)
  if (holder && (await isAlive(holder))) await link(away, path).catch(() => {})
  await rm(away, { force: true })
}

const isAlive = async ({ pid, host, began }: Holder): Promise<boolean> => {
  if (host !== hostname()) return true
  if (!exists(pid)) return false
  return began === undefined || began === ((await startTimeOf(pid)) ?? began)
}

const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * When a process started: on Linux the 22nd field of its stat file
 * (the second field, in brackets, is a name that may hold any character).
 */
const startTimeOf = async (pid: number): Promise<string | undefined> => {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
}

const locked = ({ pid, host, since }: Holder, path: string) =>
  runFailure(
    'locked',
    `process ${pid} of ${host} writes this run since ${since}; wait for it, or remove this file if it is gone`,
    { file: path },
  )
