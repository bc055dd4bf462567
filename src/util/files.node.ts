/** Files of a disk as ByteSources, and the durable writes: a file appears whole under its name, or not at all. */
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
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

/** Files of settings and of facts about a model; parsed JSON can take twenty times its text. */
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

/** In the same folder. */
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

/** Writes chunks to `path.tmp`, syncs, renames: readers see the old file or the new one. Disk errors name the path. */
export const writeWhole = async (path: string, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) => {
  const temporary = `${path}.tmp`
  try {
    await writeSynced(temporary, chunks)
    await rename(temporary, path)
    await syncFolder(dirname(path))
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw diskFault(error, path)
  }
}

/** Writes and syncs a file under its own name, for folders that are renamed as a whole. Rejects as the file system does. */
export const writeSynced = async (path: string, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) => {
  const file = await open(path, 'w')
  try {
    for await (const chunk of chunks) await writeAll(file, chunk)
    await file.sync()
  } finally {
    await file.close()
  }
}

const writeAll = async (file: Awaited<ReturnType<typeof open>>, chunk: Uint8Array) => {
  for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done, chunk.length - done)).bytesWritten
}

/** Makes a rename durable. Windows cannot sync folders, and needs not. */
export const syncFolder = async (path: string) => {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  await folder.sync().finally(() => folder.close())
}

/**
 * Makes a folder and the parents it lacks, and returns those it made, outermost first. Rejects as the file system does.
 * (mkdir's own `recursive` does not say which it made, and never ends below /proc.)
 */
export const makeFolders = async (path: string): Promise<string[]> => {
  const missing: string[] = []
  for (let at = resolve(path); !(await isThere(at)); at = dirname(at)) missing.unshift(at)
  for (const folder of missing) await mkdir(folder)
  return missing
}

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
  EISDIR: 'is a folder; give the name of a file',
  EIO: 'the disk reported an error (EIO); look after it, and run again with --resume',
}

/**
 * A failed write as a fault that names the path and what it needed: a failure while running (exit code 1), or bad input
 * where nothing has begun. Who writes a folder of files says it again, of the folder. Other errors pass unchanged.
 */
export const diskFault = (error: unknown, path: string, needed?: number, fault = runFailure): unknown => {
  const cause = (error instanceof Fault ? error.cause : error) as NodeJS.ErrnoException | undefined
  const code = cause?.code ?? ''
  if (!Object.hasOwn(advice, code)) return error
  const bytes = needed === undefined ? '' : ` (${needed} bytes are needed)`
  return Object.assign(fault('disk', advice[code] + bytes, { file: path }), { cause })
}
