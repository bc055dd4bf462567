/**
 * The log of a run in memory: numbers of steps and evaluations as columns, of all other events where they stand in the file.
 * A log that grows is read on from where the last reading ended; one that was cut back, as a resumed run does, is read anew.
 */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { LoggedEvent } from '../../runs/log.node.ts'
import { makeTable, type Table } from './columns.ts'

/** An event that is neither a step nor an evaluation, and its place in the file. */
export type Mark = { event: string; step: number; at: number; length: number }

export type LogIndex = {
  readonly steps: Table
  readonly evaluations: Table
  readonly marks: readonly Mark[]
  /** Lines that are no events. */
  readonly damaged: number
  /** Bytes that were read, and when the file last changed, in milliseconds. */
  readonly size: number
  readonly changed: number
  /** Whether the file could be opened. */
  readonly isThere: boolean
  /** Reads what is new. @returns whether there was something. Calls at the same time share one reading. */
  update(): Promise<boolean>
  /** The text of events. */
  read(marks: readonly Mark[]): Promise<LoggedEvent[]>
  /** Memory that it takes, about. */
  bytes(): number
  /** Lets the memory go; the next `update` reads the log anew. */
  forget(): void
}

const chunkBytes = 2 ** 20
/** Longer lines are no events of a run. */
const longestLine = 2 ** 23
/** So many bytes before the place that was read up to must still be the same. */
const tailBytes = 256
const mostMarks = 1_000_000

type State = {
  steps: Table
  evaluations: Table
  marks: Mark[]
  damaged: number
  /** Of whole lines. */
  size: number
  changed: number
  tail: Buffer
  isThere: boolean
}

const empty = (): State => ({
  ...{ steps: makeTable(), evaluations: makeTable(), marks: [], damaged: 0, size: 0, changed: 0 },
  ...{ tail: Buffer.alloc(0), isThere: false },
})

/** @param path a regular file, or one that is not there yet */
export const makeLogIndex = (path: string): LogIndex => {
  let state = empty()
  let reading: Promise<boolean> | undefined
  return {
    get steps() {
      return state.steps
    },
    get evaluations() {
      return state.evaluations
    },
    get marks() {
      return state.marks
    },
    get damaged() {
      return state.damaged
    },
    get size() {
      return state.size
    },
    get changed() {
      return state.changed
    },
    get isThere() {
      return state.isThere
    },
    update() {
      reading ??= withFile(path, async (file) => {
        const was = state
        if (!file) {
          state = empty()
          return was.isThere
        }
        const { size, mtimeMs } = await file.stat()
        if (size < state.size || !(await isSameTail(file, state))) state = empty()
        state.isThere = true
        state.changed = mtimeMs
        const before = state.size
        if (size > before) await readOn(file, state)
        return state !== was || state.size !== before
      }).finally(() => {
        reading = undefined
      })
      return reading
    },
    read: (marks) => withFile(path, async (file) => (file ? readMarks(file, marks) : [])),
    forget() {
      if (!reading) state = empty()
    },
    bytes: () => state.steps.bytes() + state.evaluations.bytes() + state.marks.length * 80,
  }
}

/** Nothing that could be no regular file is waited for. */
const withFile = async <T>(path: string, work: (file: FileHandle | undefined) => Promise<T>): Promise<T> => {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(() => undefined)
  try {
    return await work(file && (await file.stat()).isFile() ? file : undefined)
  } finally {
    await file?.close()
  }
}

const isSameTail = async (file: FileHandle, { tail, size }: State): Promise<boolean> => {
  if (tail.length === 0) return true
  const { buffer, bytesRead } = await file.read(Buffer.alloc(tail.length), 0, tail.length, size - tail.length)
  return bytesRead === tail.length && buffer.equals(tail)
}

const newline = 0x0a

const readOn = async (file: FileHandle, state: State) => {
  let rest: Buffer = Buffer.alloc(0)
  // A line longer than any event is passed over up to its end
  let skipping = false
  for (let at = state.size; ; ) {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, at)
    if (bytesRead === 0) break
    at += bytesRead
    const text: Buffer = rest.length
      ? Buffer.concat([rest, buffer.subarray(0, bytesRead)])
      : buffer.subarray(0, bytesRead)
    let start = 0
    for (let end = text.indexOf(newline); end >= 0; end = text.indexOf(newline, start)) {
      if (skipping) state.damaged++
      else take(state, text.toString('utf8', start, end), state.size, end - start)
      skipping = false
      state.size += end + 1 - start
      start = end + 1
    }
    if (start > 0) state.tail = Buffer.from(text.subarray(Math.max(0, start - tailBytes), start))
    rest = text.subarray(start)
    if (rest.length > longestLine) {
      skipping = true
      state.size += rest.length
      state.tail = Buffer.from(rest.subarray(-tailBytes))
      rest = Buffer.alloc(0)
    }
  }
}

const take = (state: State, line: string, at: number, length: number) => {
  const event = eventIn(line)
  if (!event) state.damaged++
  else if (event.event === 'step' && typeof event.step === 'number') state.steps.append(event)
  else if (event.event === 'eval' && typeof event.step === 'number') state.evaluations.append(event)
  else if (state.marks.length < mostMarks)
    state.marks.push({
      ...{ event: event.event, at, length },
      step: typeof event.step === 'number' ? event.step : lastStep(state),
    })
}

const lastStep = ({ steps }: State): number => steps.column('step')?.at(-1) ?? 0

const eventIn = (line: string): LoggedEvent | undefined => {
  try {
    const value = JSON.parse(line)
    return typeof value?.event === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

const readMarks = async (file: FileHandle, marks: readonly Mark[]): Promise<LoggedEvent[]> => {
  const events: LoggedEvent[] = []
  for (const { at, length } of marks) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, at)
    const event = eventIn(buffer.toString('utf8', 0, bytesRead))
    if (event) events.push(event)
  }
  return events
}
