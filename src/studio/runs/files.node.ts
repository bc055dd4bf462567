/** The files of a run's folder: listed, and sent one at a time. Links are neither followed nor sent. */
import { constants } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Readable } from 'node:stream'
import { httpError } from '../../http/errors.ts'
import { quoted } from '../../util/quote.ts'
import { insideRoot } from '../insideRoot.node.ts'
import type { RunFile } from './api.ts'

/** Of a folder with more files the rest is left out. */
const mostFiles = 2000

export const filesOf = async (dir: string): Promise<RunFile[]> => {
  const found: RunFile[] = []
  const look = async (below: string) => {
    const entries = await readdir(join(dir, below), { withFileTypes: true }).catch(() => [])
    for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))) {
      const path = below ? `${below}/${entry.name}` : entry.name
      if (found.length >= mostFiles) return
      if (entry.isDirectory()) await look(path)
      else if (entry.isFile()) {
        const info = await stat(join(dir, path)).catch(() => undefined)
        if (info) found.push({ path, bytes: info.size, changed: info.mtime.toISOString() })
      }
    }
  }
  await look('')
  return found
}

/** @param dir a run's folder, a real path. Throws HTTP errors 404. */
export const sendFile = async (dir: string, path: string) => {
  const real = await insideRoot(dir, path)
  const file = await open(real, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(() => undefined)
  const info = await file?.stat()
  if (!file || !info?.isFile()) {
    await file?.close()
    throw httpError(404, `${quoted(path)} is no file of this run`)
  }
  // A file that grows meanwhile ends where it did when the answer began
  const read = info.size ? file.createReadStream({ end: info.size - 1 }) : Readable.from([])
  if (!info.size) await file.close()
  return { stream: Readable.toWeb(read) as ReadableStream, bytes: info.size, name: basename(real) }
}
