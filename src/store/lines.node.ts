/**
 * A file that a run fills while it works, a JSON value a line: appended a group of lines at a time, each group on the disk
 * before the next is begun. Peculiar: every line carries a hash (see sealed.node.ts). What a killed process left of a group,
 * and whatever follows a line that is not what was written, counts as not there: who fills the file makes it again, the very
 * bytes; who only reads it is told.
 */
import { basename, dirname } from 'node:path'
import type { z } from 'zod'
import { badInput } from '../util/fault.ts'
import { diskFault, makeFolders, openAppending, writeWhole } from '../util/files.node.ts'
import { sealed, sealOf, unsealed } from '../util/sealed.node.ts'

export type LineFile<T> = {
  /** Lines that are on the disk. */
  readonly length: number
  /** Lines of a group. */
  readonly group: number
  append(values: readonly T[]): Promise<void>
  /** Throws a Fault 'bad-run' for a line that is not there, or is not what was written. */
  read(i: number): Promise<T>
  close(): Promise<void>
}

export type LineOptions<T> = {
  schema: z.ZodType<T>
  /** Lines when it is complete, and of each group but the last. */
  total: number
  group: number
}

/** What the first line's hash covers: the file's place, so that no other file can stand for it. */
const firstHash = (path: string): string => `${basename(dirname(path))}/${basename(path)}`

/** Opens or makes the file. Throws Faults 'disk', and 'not-a-file' for a link or a folder in its place. */
export const openLines = async <T extends object>(
  path: string,
  { schema, total, group }: LineOptions<T>,
): Promise<LineFile<T>> => {
  const watched = <V>(work: Promise<V>) =>
    work.catch((error) => {
      throw diskFault(error, path)
    })
  await watched(makeFolders(dirname(path)))
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
      if (!isCut) await watched(file.truncate(ends.at(-1) ?? 0))
      isCut = true
      const bytes: Buffer[] = []
      for (const value of values) {
        const { text, hash } = sealed(value, seals.at(-1))
        seals.push(hash)
        bytes.push(Buffer.from(`${text}\n`))
      }
      await watched(file.appendFile(Buffer.concat(bytes)))
      await watched(file.datasync())
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

/** All lines of a file at once, whole or not at all, as `openLines` reads them. Throws Faults 'disk'. */
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

const piece = 2 ** 20

/** Ends and hashes of the lines up to the first that is not what was written. */
const validLines = async (file: Awaited<ReturnType<typeof openAppending>>, first: string) => {
  const ends: number[] = []
  const seals = [first]
  const { size } = await file.stat()
  let rest: Buffer[] = []
  const bytes = Buffer.alloc(piece)
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(bytes, 0, piece, at)
    if (bytesRead === 0) return { ends, seals, size }
    let begin = 0
    for (let i = bytes.indexOf(10); i >= 0 && i < bytesRead; i = bytes.indexOf(10, begin)) {
      const line = Buffer.concat([...rest, bytes.subarray(begin, i)]).toString()
      rest = []
      const seal = sealOf(line, seals.at(-1)!)
      if (seal === undefined) return { ends, seals, size }
      begin = i + 1
      ends.push(at + begin)
      seals.push(seal)
    }
    rest.push(Buffer.from(bytes.subarray(begin, bytesRead)))
    at += bytesRead
  }
}
