/** SHA-256 of files, streamed, and of short texts. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { resolve } from 'node:path'
import { fileSource } from './files.node.ts'

/** Hex digest. Rejects with the errors of the file system. */
export const sha256File = async (path: string): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}

export type FileHash = {
  /** As the user named it. */
  path: string
  /** The absolute path. */
  absolute: string
  /** Bytes. */
  size: number
  sha256: string
}

/** Hashes of the files that results depend on, each once. Throws a Fault 'no-file' where one cannot be read. */
export const sha256Files = (paths: Iterable<string>): Promise<FileHash[]> =>
  Promise.all(
    Array.from(new Set(paths), async (path) => {
      const { size } = await fileSource(path)
      return { path, absolute: resolve(path), size, sha256: await sha256File(path) }
    }),
  )

/** 128 bits of a text's digest, in hex: a name for what the text describes. */
export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)
