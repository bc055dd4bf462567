/**
 * The event log of a run, `events.jsonl`: one JSON object a line, appended. A process that dies while it writes leaves
 * half a line at the end, which readers pass over and the next writer cuts off.
 */
import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { badInput, Fault } from '../util/fault.ts'
import { diskFault, openAppending } from '../util/files.node.ts'
import { parseJson } from '../util/json.ts'

export type LoggedEvent = { event: string; [field: string]: unknown }

/** The size of a log at a moment, and the hash of its content up to there. */
export type LogMark = { bytes: number; sha256: string }

export type LogWriter = {
  append(event: LoggedEvent): Promise<void>
  /** Writes what was appended to the disk. */
  sync(): Promise<LogMark>
  close(): Promise<void>
}

/** The beginning of a log that is kept when it is opened to append. */
export type LogStart = { bytes: number; hash: Hash }

export const emptyLog = (): LogStart => ({ bytes: 0, hash: createHash('sha256') })

/** Opens the log for appending, keeping its beginning. Throws Faults 'disk' and 'not-a-file'. */
export const openLog = async (path: string, start: LogStart): Promise<LogWriter> => {
  let { bytes } = start
  const { hash } = start
  const withDiskFault = <T>(work: Promise<T>) =>
    work.catch((error) => {
      throw diskFault(error, path)
    })
  const file = await openAppending(path)
  await withDiskFault(file.truncate(bytes))
  return {
    async append(event) {
      const line = Buffer.from(`${JSON.stringify(event)}\n`)
      await withDiskFault(file.appendFile(line))
      hash.update(line)
      bytes += line.length
    },
    async sync() {
      await withDiskFault(file.datasync())
      return { bytes, sha256: hash.copy().digest('hex') }
    },
    close: () => file.close(),
  }
}

/** The first bytes of a log. Throws a Fault 'bad-log' where they are not what was written. */
export const logUpTo = async (
  path: string,
  { bytes, sha256 }: { bytes: number; sha256?: string },
): Promise<LogStart> => {
  if (bytes === 0) return emptyLog()
  const hash = createHash('sha256')
  let there = 0
  try {
    for await (const chunk of createReadStream(path, { end: bytes - 1 })) {
      hash.update(chunk)
      there += chunk.length
    }
  } catch (error) {
    throw unreadable(error, path)
  }
  if (there === bytes && (sha256 === undefined || hash.copy().digest('hex') === sha256)) return { bytes, hash }
  throw badInput('bad-log', 'was cut or altered since it was written; put it back, or begin a new run', { file: path })
}

const unreadable = (error: unknown, path: string) => {
  const { code } = error as NodeJS.ErrnoException
  const what = code === 'ENOENT' ? 'is gone' : `cannot be read (${code})`
  return badInput('bad-log', `${what}; put the log of the run back, or begin a new run`, { file: path })
}

/**
 * Events in order, each with the byte after it. A torn last line is left out; a log that is not there has no events.
 * Throws a Fault 'bad-log' for another line that is no event.
 */
export async function* readLog(path: string): AsyncGenerator<LoggedEvent & { [end]: number }> {
  let at = 0
  let line = 0
  for await (const text of lines(path)) {
    at += Buffer.byteLength(text) + 1
    line++
    const event = parsed(text)
    if (!event) throw badInput('bad-log', 'is not an event; the log is damaged', { file: path, line })
    yield { ...event, [end]: at }
  }
}

/** The byte after an event's line. */
export const end = Symbol('end')

/** An event is some kilobytes. */
const LONGEST_LINE = 2 ** 23

/** Whole lines: what has no newline yet is torn. (readline would also split at U+2028, which JSON leaves as it is.) */
async function* lines(path: string): AsyncGenerator<string> {
  const input = createReadStream(path, 'utf8')
  let rest = ''
  try {
    for await (const chunk of input) {
      const parts = (rest + chunk).split('\n')
      rest = parts.pop()!
      yield* parts
      if (rest.length > LONGEST_LINE)
        throw badInput('bad-log', `holds a line of more than ${LONGEST_LINE} characters; the log is damaged`, {
          file: path,
        })
    }
  } catch (error) {
    if (error instanceof Fault) throw error
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw unreadable(error, path)
  } finally {
    input.destroy()
  }
}

const parsed = (text: string): LoggedEvent | undefined => {
  try {
    const value = parseJson(text, () => new Error('no event')) as LoggedEvent | null
    return typeof value?.event === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * How many bytes of a log belong to the run up to a step, for checkpoints of earlier versions, which do not say: all up to
 * the checkpoint of that step; where that line was lost, all up to the step itself.
 */
export const bytesUpTo = async (path: string, step: number): Promise<{ bytes: number; checkpoint: boolean }> => {
  let bytes = 0
  for await (const event of readLog(path)) {
    if (typeof event.step === 'number' && event.step > step) break
    if (event.event === 'end') break
    bytes = event[end]
    if (event.event === 'checkpoint' && event.step === step) return { bytes, checkpoint: true }
  }
  return { bytes, checkpoint: false }
}
