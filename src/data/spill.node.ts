/**
 * A temporary file of rows, each one line of JSON after its length, read by offset. Its name is unlinked as soon as it
 * is open, so that nothing is left however the process ends; systems that forbid this (Windows) remove it at the end.
 */
import { rmSync } from 'node:fs'
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assert, badInput } from '../util/fault.ts'
import { withWritten } from '../util/jsonNotes.ts'
import { stringify } from '../util/written.ts'
import type { Row } from './rows.ts'

const FLUSH = 2 ** 20
const HEAD = 4

/** @throws Fault disk, naming the folder, when it is full */
export const openSpill = () => {
  let file: { handle: FileHandle; remove: () => Promise<void> } | undefined
  let pending: Buffer[] = []
  let held = 0
  let written = 0
  const flush = async () => {
    if (!held) return
    file ??= await temporary().catch(full)
    const bytes = Buffer.concat(pending)
    pending = []
    held = 0
    try {
      for (let at = 0; at < bytes.length; ) {
        const done = await file.handle.write(bytes, at, bytes.length - at, written)
        at += done.bytesWritten
        written += done.bytesWritten
      }
    } catch (error) {
      full(error as NodeJS.ErrnoException)
    }
  }
  const read = async (length: number, offset: number) => {
    assert(file, 'the rows are closed')
    const bytes = Buffer.alloc(length)
    const { bytesRead } = await file.handle.read(bytes, 0, length, offset)
    assert(bytesRead === length, 'the temporary file of rows is cut off')
    return bytes
  }
  return {
    /** Appends a row and returns its offset. */
    write: async (row: Row): Promise<number> => {
      const offset = written + held
      const text = Buffer.from(stringify(row))
      const head = Buffer.alloc(HEAD)
      head.writeUInt32LE(text.length)
      pending.push(head, text)
      held += HEAD + text.length
      if (held >= FLUSH) await flush()
      return offset
    },
    flush,
    row: async (offset: number): Promise<Row> => {
      const length = (await read(HEAD, offset)).readUInt32LE()
      const text = (await read(length, offset + HEAD)).toString('utf8')
      return withWritten(JSON.parse(text), text) as Row
    },
    close: async () => {
      pending = []
      held = 0
      const open = file
      file = undefined
      await open?.handle.close()
      await open?.remove()
    },
  }
}

const full = (error: NodeJS.ErrnoException): never => {
  throw badInput(
    'disk',
    `rows cannot be put aside there (${error.code}); free some space, or set TMPDIR to another folder`,
    {
      file: tmpdir(),
    },
  )
}

export type Spill = ReturnType<typeof openSpill>

const temporary = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'attune-rows-'))
  const handle = await open(join(folder, 'rows'), 'wx+', 0o600).catch(async (error) => {
    await rm(folder, { recursive: true })
    throw error
  })
  const gone = await rm(folder, { recursive: true }).then(
    () => true,
    () => false,
  )
  const atExit = () => rmSync(folder, { recursive: true, force: true })
  if (!gone) process.once('exit', atExit)
  const remove = async () => {
    if (gone) return
    process.off('exit', atExit)
    await rm(folder, { recursive: true, force: true })
  }
  return { handle, remove }
}
