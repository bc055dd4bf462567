/** Content on its way to a worker: a file appears whole, or not at all. */
import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { runFailure } from '../util/fault.ts'
import { isHash } from './exchange.ts'

/** The run no longer offers it: nobody waits for what needs it. */
export const isGone = (hash: string) => runFailure('gone', `the run no longer has ${hash}`)

/** Content that was read into memory. Throws where it is not what its hash says. */
export const checked = (bytes: Uint8Array, hash: string): Uint8Array => {
  if (createHash('sha256').update(bytes).digest('hex') !== hash) throw torn(hash)
  return bytes
}

const torn = (hash: string) => runFailure('exchange', `content arrived torn: it is not ${hash}`)

/**
 * Writes a stream to a file, which appears whole and with the content of its hash, or not at all.
 * @param onBytes is called when some have come
 */
export const writeChecked = async (
  from: Readable,
  hash: string,
  path: string,
  onBytes: () => void = () => {},
): Promise<void> => {
  if (!isHash(hash)) throw runFailure('exchange', 'a name that is no hash')
  // Several workers may share a folder, and in containers their process ids are alike
  const temporary = `${path}.${randomUUID()}.tmp`
  const sum = createHash('sha256')
  const counted = new Transform({
    transform(chunk, _, done) {
      sum.update(chunk)
      onBytes()
      done(null, chunk)
    },
  })
  try {
    await pipeline(from, counted, createWriteStream(temporary))
    if (sum.digest('hex') !== hash) throw torn(hash)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw error
  }
}
