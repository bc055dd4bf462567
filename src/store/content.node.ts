/**
 * Files that are named by a hash of what they are about, so that equal content is found again, by a later run or by another
 * process. A record that was torn counts as missing.
 */
import { createHash, randomUUID } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { z } from 'zod'
import { cacheFolder } from '../util/cacheFolder.node.ts'
import { badInput } from '../util/fault.ts'
import { diskFault, makeFolders, syncFolder, writeSynced } from '../util/files.node.ts'
import { readSealed, sealedFile } from '../util/sealed.node.ts'
import { digestOf } from '../util/sha256.node.ts'
import { stringify } from '../util/written.ts'

/** 128 bits of the SHA-256 of a value's JSON, in hex: equal values have equal keys. */
export const contentKey = (value: unknown): string => digestOf(JSON.stringify(value))

export type ContentFiles<R extends object> = {
  /** The record of this key; undefined where there is none, or its file is damaged. */
  find(key: unknown): Promise<R | undefined>
  /**
   * The record outlives the process, killed or not. It is not forced onto the disk, which would take longer than most servers
   * take to answer, so the last ones may be lost with the power. Throws Faults 'disk'.
   */
  add(key: unknown, record: R): Promise<void>
}

/**
 * A folder of JSON records, one sealed file each, at the SHA-256 of the JSON of its key: `ab/abcd....json`. Throws a Fault
 * 'disk' where the folder cannot be made.
 */
export const openContentFiles = async <R extends object>(
  folder: string,
  schema: z.ZodType<R>,
): Promise<ContentFiles<R>> => {
  await makeFolders(folder).catch((error) => {
    throw badInput('disk', `cannot be made (${error.code}); set ATTUNE_CACHE to a folder that can be written`, {
      file: folder,
    })
  })
  const pathOf = (key: unknown) => {
    const name = createHash('sha256').update(JSON.stringify(key)).digest('hex')
    return join(folder, name.slice(0, 2), `${name}.json`)
  }
  /** Folders that are there for certain. */
  const made = new Map<string, Promise<unknown>>()
  const makeOnce = (dir: string) => {
    const making = made.get(dir) ?? makeFolders(dir)
    made.set(dir, making)
    return making
  }
  return {
    async find(key) {
      const path = pathOf(key)
      // Of most keys there is no record, and this is the quickest way to know
      return existsSync(path) ? schema.safeParse(await readSealed(path)).data : undefined
    },
    async add(key, record) {
      const path = pathOf(key)
      try {
        await makeOnce(dirname(path))
        // A small file is written sooner than a thread is woken to write it
        writeFileSync(path, Buffer.concat(sealedFile(path, record)))
      } catch (error) {
        made.delete(dirname(path))
        throw diskFault(error, path)
      }
    },
  }
}

/**
 * Writes the rows that a program gives into the cache, named by the hash of the file's content: a run that is resumed with
 * the same rows has the same settings.
 * @returns the path of a jsonl file
 */
export const storeRows = async (rows: Iterable<object> | AsyncIterable<object>): Promise<string> => {
  const folder = join(cacheFolder(), 'rows')
  await makeFolders(folder)
  const temporary = join(folder, `${randomUUID()}.tmp`)
  const hash = createHash('sha256')
  const lines = async function* () {
    for await (const row of rows) {
      const line = Buffer.from(`${stringify(row)}\n`)
      hash.update(line)
      yield line
    }
  }
  await writeSynced(temporary, lines())
  const path = join(folder, `${hash.digest('hex').slice(0, 32)}.jsonl`)
  await rename(temporary, path)
  await syncFolder(folder)
  return path
}
