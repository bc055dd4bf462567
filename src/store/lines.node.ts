/**
 * An append-only file of sealed JSON lines (util/sealed.node.ts), filled a group of lines at a time, each group on the disk
 * before the next is begun. An unfinished group of a killed process, and everything after a damaged line, counts as missing: a
 * writer appends the same lines again, a reader gets a Fault.
 */
import { basename, dirname } from 'node:path'
import type { z } from 'zod'
import { badInput } from '../util/fault.ts'
import { diskFault, makeFolders, openAppending, writeWhole } from '../util/files.node.ts'
import { sealed, sealOf, unsealed } from '../util/sealed.node.ts'

export type LineFile<T> = {
  /** Undamaged lines that are on the disk. */
  readonly length: number
  /** Lines in each group. */
  readonly group: number
  append(values: readonly T[]): Promise<void>
  /** Throws a Fault 'bad-run' for a line that is missing or damaged. */
  read(i: number): Promise<T>
  close(): Promise<void>
}

export type LineOptions<T> = {
  schema: z.ZodType<T>
  /** Lines of the complete file. */
  total: number
  /** Lines in each group; the last may have fewer. */
  group: number
}

/** What the hash of the first line covers: the names of file and folder, so that no other file can stand in for it. */
const firstHash = (path: string): string => `${basename(dirname(path))}/${basename(path)}`

/** Opens or makes the file. Throws Faults 'disk', and 'not-a-file' for a link or a folder in its place. */
export const openLines = async <T extends object>(
  path: string,
  { schema, total, group }: LineOptions<T>,
): Promise<LineFile<T>> => {
  const withDiskFault = <V>(work: Promise<V>) =>
    work.catch((error) => {
      throw diskFault(error, path)
    })
  await withDiskFault(makeFolders(dirname(path)))
  const file = await openAppending(path)
  const found = await validLines(file, firstHash(path))
  // Line i ends before byte ends[i]; its hash is seals[i + 1]
  const { ends, seals } = found
  const whole = ends.length >= total ? total : ends.length - (ends.length % group)
  ends.length = whole
  seals.length = whole + 1
  let isCut = found.size === (ends.at(-1) ?? 0)
  return {
    group,
    get length() {
      return ends.length
    },
    async append(values) {
      if (!isCut) await withDiskFault(file.truncate(ends.at(-1) ?? 0))
      isCut = true
      const bytes: Buffer[] = []
      for (const value of values) {
        const { text, hash } = sealed(value, seals.at(-1))
        seals.push(hash)
        bytes.push(Buffer.from(`${text}\n`))
      }
      await withDiskFault(file.appendFile(Buffer.concat(bytes)))
      await withDiskFault(file.datasync())
      for (const { length } of bytes) ends.push((ends.at(-1) ?? 0) + length)
    },
    async read(i) {
      const altered = () =>
        badInput('bad-run', 'was lost or is not what was written; begin a new run', { file: path, line: i + 1 })
      if (i >= ends.length) throw altered()
      const start = i ? ends[i - 1] : 0
      const bytes = Buffer.alloc(ends[i] - start)
      await file.read(bytes, 0, bytes.length, start)
      const { data } = schema.safeParse(unsealed(bytes.toString(), seals[i]))
      if (data === undefined) throw altered()
      return data
    },
    close: () => file.close(),
  }
}

/** Writes a complete file as `openLines` reads it, whole or not at all. Throws Faults 'disk'. */
export const writeLines = (path: string, values: Iterable<object>): Promise<void> => {
  const lines = function* () {
    let before = firstHash(path)
    for (const value of values) {
      const { text, hash } = sealed(value, before)
      before = hash
      yield Buffer.from(`${text}\n`)
    }
  }
  return writeWhole(path, lines())
}

/** Bytes that are read at once. */
const chunkSize = 2 ** 20

/** Ends and hashes of the lines before the first damaged one, and the size of the file. */
const validLines = async (file: Awaited<ReturnType<typeof openAppending>>, first: string) => {
  const ends: number[] = []
  const seals = [first]
  const { size } = await file.stat()
  let rest: Buffer[] = []
  const bytes = Buffer.alloc(chunkSize)
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(bytes, 0, chunkSize, at)
    if (bytesRead === 0) return { ends, seals, size }
    let lineStart = 0
    for (let i = bytes.indexOf(10); i >= 0 && i < bytesRead; i = bytes.indexOf(10, lineStart)) {
      const line = Buffer.concat([...rest, bytes.subarray(lineStart, i)]).toString()
      rest = []
      const seal = sealOf(line, seals.at(-1)!)
      if (seal === undefined) return { ends, seals, size }
      lineStart = i + 1
      ends.push(at + lineStart)
      seals.push(seal)
    }
    rest.push(Buffer.from(bytes.subarray(lineStart, bytesRead)))
    at += bytesRead
  }
}
