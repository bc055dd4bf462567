/**
 * Reads files as ByteSources, and writes them safely: a file appears whole under its name or not at all, and is on the disk
 * afterwards. New files are created with O_EXCL and nothing is written through a link, so that another user who may write in
 * the folder cannot redirect a write to another file.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, link, lstat, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { ByteSource } from './bytes.ts'
import { badInput, Fault, runFailure } from './fault.ts'
import { badUtf8, decodeUtf8, jsonOf } from './json.ts'
import { nearest } from './nearest.ts'

/** Opens a file for ranged reading. The descriptor is opened per read, so nothing is left to close. */
export const fileSource = async (path: string): Promise<ByteSource> => {
  const info = await stat(path).catch(async (error) => {
    const near = error.code === 'ENOENT' ? await nearestFile(path) : undefined
    const advice = near ? `did you mean ${near}?` : 'check the path'
    throw badInput('no-file', `cannot be read (${error.code}); ${advice}`, { file: path })
  })
  if (!info.isFile()) throw badInput('no-file', 'is not a file', { file: path })
  return { name: path, size: info.size, read: (start, end) => readRange(path, start, end) }
}

/** Bytes of a text file, at most; parsed JSON can take twenty times the memory of its text. */
const TEXT_LIMIT = 32 * 2 ** 20

/** A file of text, such as config.json, as a whole. @throws Fault no-file, bad-file where it is too large, bad-utf8 */
export const textFile = async (path: string): Promise<string> => {
  const { size, read } = await fileSource(path)
  if (size > TEXT_LIMIT)
    throw badInput('bad-file', `has ${size} bytes, more than the ${TEXT_LIMIT} that such a file may have`, {
      file: path,
    })
  return decodeUtf8(await read(0, size)) ?? raise(badUtf8({ file: path }))
}

/** A file that is one JSON object, by its keys. @throws Fault as textFile, and bad-json */
export const jsonFile = async (path: string): Promise<{ [key: string]: unknown }> => {
  const value = jsonOf(await textFile(path), { file: path })
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw badInput('bad-json', 'is not a JSON object', { file: path })
  return value as { [key: string]: unknown }
}

const raise = (fault: Fault): never => {
  throw fault
}

/** The path in the same folder whose name is the most similar. */
const nearestFile = async (path: string): Promise<string | undefined> => {
  const name = nearest(basename(path), await readdir(dirname(path)).catch(() => []))
  return name && join(dirname(path), name)
}

const readRange = async (path: string, start: number, end: number): Promise<Uint8Array> => {
  const file = await open(path, 'r')
  try {
    const bytes = new Uint8Array(end - start)
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await file.read(bytes, done, Math.min(bytes.length - done, 1 << 30), start + done)
      if (bytesRead === 0) throw badInput('cut-file', `ends before byte ${end}; the file is truncated`, { file: path })
      done += bytesRead
    }
    return bytes
  } finally {
    await file.close()
  }
}

type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/**
 * Writes chunks under another name, syncs, renames: readers see the old file or the new one. Throws Faults 'disk', and
 * 'not-a-file' for a folder in its place.
 */
export const writeWhole = async (path: string, chunks: Chunks) => {
  let temporary: string | undefined
  try {
    await removeAbandoned(path)
    temporary = temporaryName(path)
    await writeSynced(temporary, chunks)
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    if (temporary) await rm(temporary, { force: true }).catch(() => {})
    const there = await lstat(path).catch(() => undefined)
    throw there?.isDirectory() ? notAFile(path, there) : diskFault(error, path)
  }
}

/** As writeWhole, but a file that is there already is left as it is: Fault 'taken', exit code 2. */
export const writeNew = async (path: string, chunks: Chunks) => {
  const temporary = temporaryName(path)
  try {
    await refuseTakenFile(path)
    await removeAbandoned(path)
    await writeSynced(temporary, chunks)
    await placeNew(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? takenFile(path) : diskFault(error, path)
  } finally {
    await rm(temporary, { force: true }).catch(() => {})
  }
}

/** Gives a file its name unless that is taken. Some file systems have no links. */
const placeNew = async (from: string, path: string) => {
  try {
    await link(from, path)
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    await refuseTakenFile(path)
    await rename(from, path)
  }
}

/** @throws Fault taken where something has this name */
export const refuseTakenFile = async (path: string) => {
  if (await lstat(path).catch(() => undefined)) throw takenFile(path)
}

const takenFile = (path: string) => badInput('taken', 'exists already; choose another --output', { file: path })

/** A path in the same folder with a name that nobody can guess. */
const temporaryName = (path: string) =>
  join(dirname(path), `${basename(path).slice(0, 100)}.${randomBytes(6).toString('hex')}.tmp`)

/** Whether a file has such a name: a killed process may have left it. */
export const isTemporary = (name: string): boolean => /\.[0-9a-f]{12}\.tmp$/.test(name)

/** Milliseconds without a write, after which a temporary file counts as abandoned. */
const abandonedAfter = 600_000

/** Removes the temporary files of this path that killed processes left. */
const removeAbandoned = async (path: string) => {
  const start = `${basename(path).slice(0, 100)}.`
  for (const name of await readdir(dirname(path)).catch(() => [])) {
    if (!name.startsWith(start) || !/^[0-9a-f]{12}\.tmp$/.test(name.slice(start.length))) continue
    const left = join(dirname(path), name)
    const info = await lstat(left).catch(() => undefined)
    if (info && Date.now() - info.mtimeMs > abandonedAfter) await rm(left, { force: true }).catch(() => {})
  }
}

/** Windows has no such flag, and lets few users make links. */
const O_NOFOLLOW = constants.O_NOFOLLOW ?? 0
const createFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | O_NOFOLLOW
const appendFlags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | O_NOFOLLOW

/** Writes and syncs a new file, for folders that are renamed as a whole. Rejects with the errors of the file system. */
export const writeSynced = async (path: string, chunks: Chunks) => {
  const file = await open(path, createFlags, 0o666)
  try {
    for await (const chunk of chunks) await writeAll(file, chunk)
    await file.sync()
  } finally {
    await file.close()
  }
}

const writeAll = async (file: FileHandle, chunk: Uint8Array) => {
  for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done, chunk.length - done)).bytesWritten
}

/**
 * Opens a file to read and to append; creates it durably where there is none. Throws Faults 'not-a-file' for a link, a folder
 * or a pipe in its place, and 'disk'.
 */
export const openAppending = async (path: string): Promise<FileHandle> => {
  const info = await lstat(path).catch(() => undefined)
  if (info && !info.isFile()) throw notAFile(path, info)
  try {
    const file = await open(path, appendFlags, 0o666)
    if (!info) await syncFolder(dirname(path))
    return file
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ELOOP') throw notAFile(path, { isSymbolicLink: () => true })
    throw diskFault(error, path)
  }
}

/** Appends in one write, so that lines of two processes do not mix. Throws the Faults of `openAppending`. */
export const appendText = async (path: string, text: string): Promise<void> => {
  const file = await openAppending(path)
  try {
    await file.appendFile(text)
  } catch (error) {
    throw diskFault(error, path)
  } finally {
    await file.close()
  }
}

type Kind = { isSymbolicLink(): boolean; isDirectory?(): boolean }

/** @param advice what the user should do about what lies there */
export const notAFile = (path: string, info: Kind, advice = 'remove it'): Fault => {
  const what = info.isSymbolicLink() ? 'a link' : info.isDirectory?.() ? 'a folder' : 'no regular file'
  return badInput('not-a-file', `is ${what}, where a file is written; ${advice}`, { file: path })
}

/** Makes a rename durable. Windows cannot sync folders, and does not need to. */
export const syncFolder = async (path: string) => {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  await folder.sync().finally(() => folder.close())
}

/**
 * Makes a folder and its missing parents, durably. Rejects with the errors of the file system. (The `recursive` option of
 * mkdir does not tell which folders it made, and never ends below /proc.)
 * @returns the folders that it made, outermost first
 */
export const makeFolders = async (path: string): Promise<string[]> => {
  const missing: string[] = []
  for (let at = resolve(path); !(await isThere(at)); at = dirname(at)) missing.unshift(at)
  const made: string[] = []
  for (const folder of missing) {
    if (!(await madeFolder(folder))) continue
    await syncFolder(dirname(folder))
    made.push(folder)
  }
  return made
}

/** False where another process made it first. */
const madeFolder = (path: string): Promise<boolean> =>
  mkdir(path).then(
    () => true,
    async (error) => {
      if (error.code === 'EEXIST' && (await stat(path)).isDirectory()) return false
      throw error
    },
  )

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => dirname(path) === path,
  )

const advice: Record<string, string> = {
  ENOSPC: 'the disk is full; free some space and run again with --resume',
  EDQUOT: 'the disk quota is used up; free some space and run again with --resume',
  EACCES: 'writing is not permitted; choose another --output',
  EPERM: 'writing is not permitted; choose another --output',
  EROFS: 'the file system is read-only; choose another --output',
  ENOENT: 'its folder is not there; make it first',
  ENOTDIR: 'part of this path is a file; choose another',
  EISDIR: 'is a folder, where a file is written; remove it, or give the name of a file',
  EEXIST: 'something is there already; remove it',
  ENOTEMPTY: 'something is there already; remove it',
  ELOOP: 'is a link where a file or a folder is made; remove it',
  ENAMETOOLONG: 'its name is too long for the file system; choose a shorter one',
  EFBIG: 'the file would be larger than is permitted (see ulimit -f); raise the limit and run again with --resume',
  EMFILE: 'too many files are open (see ulimit -n); raise the limit and run again with --resume',
  ENFILE: 'too many files are open on this machine; run again with --resume',
  EIO: 'the disk reported an error (EIO); look after it, and run again with --resume',
}

/**
 * A failed write as a Fault 'disk' that names the path and the bytes that were needed: a failure at run time (exit code 1) or,
 * before any work has begun, bad input. Applied to such a Fault again it names the new path, such as the folder of a file.
 * Other errors are returned unchanged.
 */
export const diskFault = (error: unknown, path: string, needed?: number, fault = runFailure): unknown => {
  const cause = (error instanceof Fault ? error.cause : error) as NodeJS.ErrnoException | undefined
  const code = cause?.code ?? ''
  if (!Object.hasOwn(advice, code)) return error
  const bytes = needed === undefined ? '' : ` (${needed} bytes are needed)`
  return Object.assign(fault('disk', advice[code] + bytes, { file: path }), { cause })
}
