/**
 * Checks free disk space, before the first step of a run and before a download, so that hours are not lost to a full
 * disk.
 */
import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { runFailure } from '../util/fault.ts'

/**
 * Throws a Fault 'disk' where fewer than `bytes` are free to this user at `path`, which need not exist yet: a failure
 * while running, or bad input where nothing has begun.
 */
export const requireSpace = async (path: string, bytes: number, fault = runFailure) => {
  const free = await freeSpace(path)
  if (free < bytes)
    throw fault('disk', `${bytes} bytes are needed and ${free} are free; free some space or write elsewhere`, {
      file: path,
    })
}

const freeSpace = async (path: string): Promise<number> => {
  const info = await statfs(path).catch(() => undefined)
  if (info) return info.bavail * info.bsize
  const parent = dirname(resolve(path))
  return parent === resolve(path) ? Number.POSITIVE_INFINITY : freeSpace(parent)
}
