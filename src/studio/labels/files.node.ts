/** Files that the owner may import: those below the studio's folder, and uploads, which lie in a folder of their own for a while. */
import { createWriteStream } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { httpError } from '../../http/errors.ts'
import { quoted } from '../../util/quote.ts'
import { insideRoot } from '../insideRoot.node.ts'
import type { FileEntry } from './api.ts'

const rowFile = /\.(jsonl|ndjson|json|csv|tsv|xml)(\.gz)?$|\.parquet$/i
const mostEntries = 2000

export const filesBelow = async (root: string, folder: string): Promise<FileEntry[]> => {
  const path = await insideRoot(root, folder)
  const found = await readdir(path, { withFileTypes: true }).catch(() => {
    throw httpError(400, `${quoted(folder)} is no folder`)
  })
  const entries = found.filter((entry) => !entry.name.startsWith('.') && entry.name !== 'node_modules')
  const listed: FileEntry[] = []
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1)).slice(0, mostEntries)) {
    const own = join(path, entry.name)
    const real = entry.isSymbolicLink() ? await insideRoot(root, relative(root, own)).catch(() => undefined) : own
    const info = real === undefined ? undefined : await stat(real).catch(() => undefined)
    if (info?.isDirectory()) listed.push({ path: relative(root, own), kind: 'folder' })
    else if (info?.isFile() && rowFile.test(entry.name))
      listed.push({ path: relative(root, own), kind: 'file', bytes: info.size })
  }
  return listed
}

/** Bytes of an upload, at most. */
export const uploadLimit = 1024 ** 3
/** Uploads that are kept at once; the oldest goes first. */
const mostUploads = 8

export type Uploads = {
  /** Stores a body under a name; one of the same name is replaced. Status 413 for one that is too large. */
  store(name: string, body: ReadableStream<Uint8Array> | null): Promise<{ upload: string; bytes: number }>
  /** Status 404 for what was not uploaded, or is there no more. */
  path(name: string): string
  close(): Promise<void>
}

export const openUploads = (limit = uploadLimit): Uploads => {
  let folder: Promise<string> | undefined
  const paths = new Map<string, string>()
  let count = 0
  const forget = async (name: string) => {
    const path = paths.get(name)
    paths.delete(name)
    if (path) await rm(path, { force: true })
  }
  return {
    async store(name, body) {
      folder ??= mkdtemp(join(tmpdir(), 'attune-studio-'))
      const path = join(await folder, `${++count}-${name.replace(/[^\w.-]/g, '_').slice(-100)}`)
      let bytes = 0
      try {
        const counted = async function* () {
          for await (const chunk of body ?? []) {
            bytes += chunk.length
            if (bytes > limit)
              throw httpError(413, `the file is larger than ${limit} bytes; put it below the studio's folder`)
            yield chunk
          }
        }
        await pipeline(Readable.from(counted()), createWriteStream(path, { flags: 'wx', mode: 0o600 }))
      } catch (error) {
        await rm(path, { force: true })
        throw error
      }
      await forget(name)
      paths.set(name, path)
      if (paths.size > mostUploads) await forget(paths.keys().next().value!)
      return { upload: name, bytes }
    },
    path(name) {
      const path = paths.get(name)
      if (path === undefined) throw httpError(404, `there is no upload ${quoted(name)}; send it again`)
      return path
    },
    async close() {
      if (folder) await rm(await folder, { recursive: true, force: true })
    },
  }
}
