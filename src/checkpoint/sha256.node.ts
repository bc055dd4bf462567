/** SHA-256 of files, streamed, and of short texts. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

/** Hex digest. Rejects as the file system does. */
export const sha256File = async (path: string): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}

/** The same of several files. */
export const sha256Files = (paths: Iterable<string>): Promise<{ path: string; sha256: string }[]> =>
  Promise.all(Array.from(paths, async (path) => ({ path, sha256: await sha256File(path) })))

/** 128 bits of a text's digest, in hex: a name for what the text describes. */
export const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)
