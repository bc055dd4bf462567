/** A worker's files: content by its SHA-256, with a bound; what was used longest ago goes first. */
import { existsSync } from 'node:fs'
import { link, mkdir, readdir, rm, stat, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { badInput, runFailure } from '../util/fault.ts'
import { digestOf, sha256File } from '../util/sha256.node.ts'
import { type ExchangeClient, isHash } from './exchange.ts'

export type WorkerCache = {
  /** Paths of content, fetched where it is not there yet. */
  fetchAll(from: ExchangeClient, hashes: readonly string[]): Promise<Map<string, string>>
}

/** Milliseconds for which a file stays that a run's next job no longer reads: another worker may share the folder. */
const passedStay = 60_000

/**
 * @param limit bytes of all files together; on a disk with less room, what is there
 * @param models folders of links to these files (`linkFolder`), which keep what is removed here from being freed
 */
export const openWorkerCache = async (dir: string, limit: number, models: string): Promise<WorkerCache> => {
  await mkdir(dir, { recursive: true })
  for (const name of await readdir(dir))
    if (name.endsWith('.tmp') && (await isOld(join(dir, name)))) await rm(join(dir, name), { force: true })
  /** Files that this process has fetched or read through: a loss of power may have left others torn. */
  const checked = new Set<string>()
  const pathOf = (hash: string) => join(dir, hash)
  /** Bytes fetched since all files were last counted, and how many there was room for then. */
  let [added, room] = [0, 0]
  const makeRoom = async (kept: ReadonlySet<string>, limit: number) => {
    const names = (await readdir(dir)).filter(isHash)
    const files = await Promise.all(
      names.map(async (name) => {
        const { size, atimeMs } = await stat(pathOf(name)).catch(() => ({ size: 0, atimeMs: 0 }))
        return { name, size, used: atimeMs }
      }),
    )
    let total = files.reduce((sum, { size }) => sum + size, 0)
    // A tenth more than needed, or the next file would have all counted again
    const most = total > limit ? 0.9 * limit : limit
    for (const { name, size } of files.sort((a, b) => a.used - b.used)) {
      if (total <= most) break
      if (kept.has(name)) continue
      await removeFolders(models, pathOf(name))
      await rm(pathOf(name), { force: true })
      checked.delete(name)
      total -= size
    }
    added = 0
    room = limit - total
  }
  const isWhole = async (hash: string) => {
    if (!existsSync(pathOf(hash))) return false
    if (checked.has(hash) || (await sha256File(pathOf(hash))) === hash) return true
    await removeFolders(models, pathOf(hash))
    await rm(pathOf(hash), { force: true })
    return false
  }
  /** What the last job of each run read, and what jobs before it did. */
  const current = new WeakMap<ExchangeClient, readonly string[]>()
  const passed = new Set<string>()
  /** The parameters of a step are of no use after it; files of models stay, to which folders link. */
  const removePassed = async (from: ExchangeClient, hashes: readonly string[]) => {
    for (const hash of current.get(from) ?? []) passed.add(hash)
    current.set(from, hashes)
    for (const hash of hashes) passed.delete(hash)
    for (const hash of passed) {
      const file = await stat(pathOf(hash)).catch(() => undefined)
      // Those after it were used later
      if (file && Date.now() - file.atimeMs < passedStay) return
      passed.delete(hash)
      if (file && file.nlink > 1) continue
      await rm(pathOf(hash), { force: true })
      checked.delete(hash)
    }
  }
  const fetchEach = async (from: ExchangeClient, hashes: readonly string[]) => {
    const kept = new Set(hashes)
    for (const hash of hashes) {
      if (!isHash(hash)) throw badInput('bad-shard', 'a file of the shard has no hash for a name')
      const path = pathOf(hash)
      if (await isWhole(hash)) await utimes(path, new Date(), new Date()).catch(() => {})
      else {
        await from.fetch(hash, path).catch(async (error) => {
          if (error.code !== 'ENOSPC') throw error
          await makeRoom(kept, 0)
          await from.fetch(hash, path)
        })
        added += (await stat(path)).size
      }
      checked.add(hash)
    }
    await removePassed(from, hashes)
    if (added > room) await makeRoom(kept, limit)
    return new Map(hashes.map((hash) => [hash, pathOf(hash)]))
  }
  return {
    async fetchAll(from, hashes) {
      try {
        return await fetchEach(from, hashes)
      } catch (error) {
        const { code, syscall } = error as NodeJS.ErrnoException
        // Without the name of the file, so that failures of one kind are told once
        throw syscall && code ? runFailure('cache', `${dir} cannot be written or read (${code})`) : error
      }
    },
  }
}
/** Of a worker that was killed while it fetched. */
const isOld = async (path: string) => Date.now() - (await stat(path)).mtimeMs > 24 * 3_600_000

/** Removes the folders of models that link to a file. */
const removeFolders = async (models: string, path: string) => {
  const { ino, dev, nlink } = await stat(path)
  if (nlink === 1) return
  for (const folder of await readdir(models).catch(() => [])) {
    const names = await readdir(join(models, folder), { recursive: true })
    const files = await Promise.all(names.map((name) => stat(join(models, folder, name))))
    if (files.some((file) => file.ino === ino && file.dev === dev))
      await rm(join(models, folder), { recursive: true, force: true })
  }
}

const plainName = /^[\w.-]+(\/[\w.-]+)*$/

/**
 * A folder of files by their names, as links to the cache.
 * @param names the SHA-256 of each file by its name in the folder
 */
export const linkFolder = async (
  parent: string,
  names: Readonly<Record<string, string>>,
  files: ReadonlyMap<string, string>,
): Promise<string> => {
  const dir = join(parent, digestOf(JSON.stringify(names)))
  for (const [name, hash] of Object.entries(names)) {
    if (!plainName.test(name) || name.split('/').includes('..'))
      throw badInput('bad-shard', 'a file of the model has a name that leaves its folder')
    const from = files.get(hash)
    if (from === undefined) throw runFailure('bad-shard', `${name} of the model was not sent`)
    const to = join(dir, name)
    await mkdir(dirname(to), { recursive: true })
    if (!existsSync(to))
      await link(from, to).catch((error) => {
        if (error.code !== 'EEXIST') throw error
      })
  }
  return dir
}
