/** SHA-256 of files, streamed. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'

/** Hex digest. Rejects as the file system does. */
export const sha256File = async (path: string): Promise<string> => {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk)
  return hash.digest('hex')
}
