/**
 * A file that a run fills while it works, a JSON value a line: appended a group of lines at a time, each group on the disk
 * before the next is begun. Peculiar: what a killed process left of a group is cut off, so a group is made whole or not
 * at all, and a resumed run makes the very bytes of one that nobody killed.
 */
import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { z } from 'zod'
import { badInput } from '../util/fault.ts'
import { diskFault, syncFolder } from '../util/files.node.ts'

export type LineFile<T> = {
  /** Lines that are on the disk. */
  readonly length: number
  /** Lines of a group. */
  readonly group: number
  append(values: readonly T[]): Promise<void>
  read(i: number): Promise<T>
  close(): Promise<void>
}

export type LineOptions<T> = {
  schema: z.ZodType<T>
  /** Lines when it is complete, and of each group but the last. */
  total: number
  group: number
}

/** Opens or makes the file. Throws Faults 'disk'. */
export const openLines = async <T>(path: string, { schema, total, group }: LineOptions<T>): Promise<LineFile<T>> => {
  const watched = <V>(work: Promise<V>) =>
    work.catch((error) => {
      throw diskFault(error, path)
    })
  await watched(mkdir(dirname(path), { recursive: true }))
  const file = await watched(open(path, 'a+'))
  // ends[i] is the byte after line i
  const ends = await lineEnds(file)
  const whole = ends.length >= total ? total : ends.length - (ends.length % group)
  ends.length = whole
  await watched(file.truncate(ends.at(-1) ?? 0))
  if (whole === 0) await watched(syncFolder(dirname(path)))
  return {
    group,
    get length() {
      return ends.length
    },
    async append(values) {
      const lines = values.map((value) => Buffer.from(`${JSON.stringify(value)}\n`))
      await watched(file.appendFile(Buffer.concat(lines)))
      await watched(file.datasync())
      for (const { length } of lines) ends.push((ends.at(-1) ?? 0) + length)
    },
    async read(i) {
      const start = i ? ends[i - 1] : 0
      const bytes = Buffer.alloc(ends[i] - start)
      await file.read(bytes, 0, bytes.length, start)
      const { data } = schema.safeParse(parsed(bytes))
      if (data === undefined) throw badInput('bad-run', 'was altered; begin a new run', { file: path, line: i + 1 })
      return data
    },
    close: () => file.close(),
  }
}

const parsed = (bytes: Buffer): unknown => {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}

const piece = 2 ** 20

const lineEnds = async (file: Awaited<ReturnType<typeof open>>): Promise<number[]> => {
  const ends: number[] = []
  const bytes = Buffer.alloc(piece)
  for (let at = 0; ; ) {
    const { bytesRead } = await file.read(bytes, 0, piece, at)
    if (bytesRead === 0) return ends
    for (let i = bytes.indexOf(10); i >= 0 && i < bytesRead; i = bytes.indexOf(10, i + 1)) ends.push(at + i + 1)
    at += bytesRead
  }
}
