/**
 * The event log of a run, `events.jsonl`: one JSON object a line, appended. A process that dies while it writes leaves
 * half a line at the end, which readers pass over and the next writer cuts off.
 */
import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { badInput } from '../util/fault.ts'
import { diskFault } from '../util/files.node.ts'
import { parseJson } from '../util/json.ts'

export type LoggedEvent = { event: string; [field: string]: unknown }

export type LogWriter = {
  append(event: LoggedEvent): Promise<void>
  /** What was appended is on the disk afterwards. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** Opens the log for appending, keeping its first `bytes` bytes. Throws Faults 'disk'. */
export const openLog = async (path: string, bytes: number): Promise<LogWriter> => {
  const watched = <T>(work: Promise<T>) =>
    work.catch((error) => {
      throw diskFault(error, path)
    })
  const file = await watched(open(path, 'a'))
  await watched(file.truncate(bytes))
  return {
    append: (event) => watched(file.appendFile(`${JSON.stringify(event)}\n`)),
    sync: () => watched(file.datasync()),
    close: () => file.close(),
  }
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
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
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
 * How many bytes of a log belong to the run up to a step: all up to the checkpoint of that step, so that what comes
 * after it is done and logged again; where that line was lost, all up to the step itself.
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
