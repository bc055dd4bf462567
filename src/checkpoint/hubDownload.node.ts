/**
 * Downloads one file from the hub into the cache. It is appended to `<hash>.incomplete`, resumed there by byte range
 * after an interruption, and named by its hash only when its bytes have that hash. The library's own downloader starts
 * over, checks nothing and prints to stdout, so only its protocol (URLs, redirects, ranges) is used.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { downloadFile, HubApiError } from '@huggingface/hub'
import { Fault, runFailure } from '../util/fault.ts'
import { diskFault, openAppending, syncFolder } from '../util/files.node.ts'
import { sha256File } from '../util/sha256.node.ts'

export type HubFile = { path: string; size: number /** SHA-256 (LFS) or git's SHA-1. */; hash: string }

export type HubAccess = { hubUrl: string; accessToken?: string; fetch: typeof fetch }

/** The parameters of every call to the library, whose types do not take an undefined token. */
export const credentials = ({ hubUrl, accessToken, fetch }: HubAccess) =>
  accessToken ? { hubUrl, fetch, accessToken } : { hubUrl, fetch }

const ATTEMPTS = 5

/**
 * Downloads to `blob`, resuming an earlier download. `onBytes` gets the number of bytes of the file that are there.
 * Throws Faults 'hub' (gave up, wrong hash) and 'disk'; HubApiErrors pass.
 */
export const downloadBlob = async (
  access: HubAccess,
  source: { repo: { type: 'model' | 'dataset'; name: string }; revision: string },
  file: HubFile,
  blob: string,
  onBytes: (bytes: number) => void,
) => {
  const partial = `${blob}.incomplete`
  for (let failures = 0, before = await sizeOf(partial); ; failures++) {
    try {
      const resumed = await append(access, source, file, partial, onBytes)
      await verify(file, partial, resumed)
      await rename(partial, blob)
      return await syncFolder(dirname(blob))
    } catch (error) {
      const after = await sizeOf(partial)
      // attempts that made progress do not count as failures
      if (after > before) failures = 0
      before = after
      const lasting = lastingFault(error, partial)
      if (lasting) throw lasting
      if (failures + 1 >= ATTEMPTS)
        throw runFailure(
          'hub',
          `the download was interrupted ${ATTEMPTS} times (${reason(error)}); run again to go on from byte ${after}`,
          { file: file.path },
        )
      await sleep(250 * 2 ** failures)
    }
  }
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    (info) => info.size,
    () => 0,
  )

const reason = (error: unknown): string => {
  const { cause, message } = error instanceof Error ? error : { cause: undefined, message: String(error) }
  return cause instanceof Error && cause.message ? cause.message : message
}

/** The error, if trying again cannot help. */
const lastingFault = (error: unknown, path: string): unknown => {
  if (error instanceof Fault || error instanceof HubApiError) return error
  const disk = diskFault(error, path)
  return disk instanceof Fault ? disk : undefined
}

/** Downloads the missing bytes; returns whether it resumed what an earlier attempt left. */
const append = async (
  access: HubAccess,
  { repo, revision }: { repo: { type: 'model' | 'dataset'; name: string }; revision: string },
  file: HubFile,
  partial: string,
  onBytes: (bytes: number) => void,
): Promise<boolean> => {
  let there = await sizeOf(partial)
  if (there > file.size || (await isNotOurs(partial))) {
    await rm(partial, { recursive: true })
    there = 0
  }
  const resumed = there > 0
  const output = await openAppending(partial)
  try {
    onBytes(there)
    if (there < file.size) {
      const params = { repo, revision, path: file.path, ...credentials(access), xet: false }
      const whole = await downloadFile(params)
      if (whole?.size !== file.size)
        throw runFailure('hub', `the hub lists ${file.size} bytes and offers ${whole?.size ?? 'none'}`, {
          file: file.path,
        })
      for await (const chunk of (there ? whole.slice(there) : whole).stream()) {
        there += chunk.length
        if (there > file.size)
          throw runFailure('hub', `more comes than the ${file.size} bytes that the hub lists`, { file: file.path })
        await output.appendFile(chunk)
        onBytes(there)
      }
    }
    await output.sync()
  } finally {
    await output.close()
  }
  if (there < file.size) throw new Error(`the connection closed at byte ${there} of ${file.size}`)
  return resumed
}

/** Whether the path is a link, or a second name of a file elsewhere: writing to it would change that file. */
const isNotOurs = async (path: string): Promise<boolean> => {
  const info = await lstat(path).catch(() => undefined)
  return info !== undefined && (!info.isFile() || info.nlink > 1)
}

/** Removes a file with the wrong hash. One that was resumed is downloaded again from the beginning. */
const verify = async (file: HubFile, partial: string, resumed: boolean) => {
  const found = file.hash.length === 64 ? await sha256File(partial) : await gitHash(partial, file.size)
  if (found === file.hash) return
  await rm(partial)
  if (resumed) throw new Error('the pieces did not fit together')
  throw runFailure('hub', 'what came does not have the hash that the hub lists; run again', { file: file.path })
}

const gitHash = async (path: string, size: number): Promise<string> => {
  const hash = createHash('sha1').update(`blob ${size}\0`)
  for await (const chunk of createReadStream(path)) hash.update(chunk)
  return hash.digest('hex')
}
