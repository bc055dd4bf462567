/**
 * What the studio remembers of its jobs: `.attune/jobs/N/` below its folder with the record and what the command printed. A
 * job goes on while the studio is closed, and the next studio reads on where this one stopped.
 */
import { closeSync, openSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { diskFault, writeWhole } from '../../util/files.node.ts'
import { parseJson } from '../../util/json.ts'

const recordSchema = z.object({
  kind: z.enum(['train', 'generate', 'score', 'judge']),
  title: z.string(),
  /** Of a training. */
  method: z.string().optional(),
  state: z.enum(['waiting', 'running', 'stopping', 'done', 'stopped', 'failed', 'ended']),
  /** The words after `attune`. */
  argv: z.array(z.string()),
  output: z.string().optional(),
  project: z.number().optional(),
  created: z.string(),
  started: z.string().optional(),
  ended: z.string().optional(),
  exitCode: z.number().optional(),
  problem: z.string().optional(),
  /** How far it came. */
  progress: z.object({ done: z.number(), total: z.number(), what: z.string() }).optional(),
  pid: z.number().optional(),
  /** When the process began, as the system counts: process ids are used again. */
  began: z.string().optional(),
  /** Lines that it will print, where that is known. */
  expected: z.number().optional(),
  /** What is done with its output when it has ended. */
  after: z.record(z.string(), z.unknown()).optional(),
})

export type JobRecord = z.output<typeof recordSchema>
export type StoredJob = { id: number; record: JobRecord }

export type Records = {
  all(): Promise<StoredJob[]>
  /** Takes the next number. Throws Faults 'disk'. */
  add(record: JobRecord): Promise<number>
  write(id: number, record: JobRecord): Promise<void>
  remove(id: number): Promise<void>
  /** Files that a process writes its output to. The caller closes them. */
  outputs(id: number): { stdout: number; stderr: number; close(): void }
  path(id: number, file: 'stdout.jsonl' | 'stderr.txt'): string
}

export const openRecords = (root: string): Records => {
  const folder = join(root, '.attune', 'jobs')
  const place = (id: number) => join(folder, String(id))
  const write = async (id: number, record: JobRecord) =>
    writeWhole(join(place(id), 'job.json'), [Buffer.from(JSON.stringify(record))])
  const numbers = async () => (await readdir(folder).catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number)
  return {
    write,
    async all() {
      const found = await Promise.all(
        (await numbers()).map(async (id) => {
          const text = await readFile(join(place(id), 'job.json'), 'utf8').catch(() => undefined)
          const record = text === undefined ? undefined : recordIn(text)
          return record && { id, record }
        }),
      )
      return found.filter((job) => job !== undefined).sort((a, b) => a.id - b.id)
    },
    async add(record) {
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 })
        for (let id = Math.max(0, ...(await numbers())) + 1; ; id++) {
          const isNew = await mkdir(place(id), { mode: 0o700 }).then(
            () => true,
            (error) => {
              if (error.code !== 'EEXIST') throw error
              return false
            },
          )
          if (!isNew) continue
          await write(id, record)
          return id
        }
      } catch (error) {
        throw diskFault(error, folder)
      }
    },
    remove: (id) => rm(place(id), { recursive: true, force: true }),
    outputs(id) {
      const [stdout, stderr] = ['stdout.jsonl', 'stderr.txt'].map((file) => openSync(join(place(id), file), 'a', 0o600))
      return {
        stdout,
        stderr,
        close() {
          closeSync(stdout)
          closeSync(stderr)
        },
      }
    },
    path: (id, file) => join(place(id), file),
  }
}

const recordIn = (text: string): JobRecord | undefined => {
  try {
    return recordSchema.parse(parseJson(text, () => new Error('no record')))
  } catch {
    return undefined
  }
}

/** The last bytes of a text file. */
export const endOf = async (path: string, bytes: number): Promise<string> => {
  const size = await stat(path).then(
    (info) => info.size,
    () => 0,
  )
  return (await readFrom(path, Math.max(0, size - bytes), bytes)).toString('utf8')
}

/** Bytes of a file from a place on, at most so many; none where there is no file. */
export const readFrom = async (path: string, start: number, most: number): Promise<Buffer> => {
  const file = await open(path, 'r').catch(() => undefined)
  if (!file) return Buffer.alloc(0)
  try {
    const bytes = Buffer.alloc(Math.max(0, Math.min(most, (await file.stat()).size - start)))
    const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}
