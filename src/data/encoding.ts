/** Files of text as UTF-8, whatever of UTF-8 and UTF-16 they are written in, which their first bytes tell. */
import { badInput } from '../util/fault.ts'
import { type Chunks, joined } from './lines.ts'

export type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be'

/** Bytes of a file that its encoding, and the dialect of a csv, are found out from. */
export const HEAD = 2 ** 16

/**
 * The stream as UTF-8. A fault of the stream comes behind the bytes that were read before it.
 * @throws Fault bad-utf8 for UTF-16 without its mark, and from the stream for UTF-16 that is damaged
 */
export const asUtf8 = async (chunks: Chunks): Promise<{ encoding: Encoding; bytes: Chunks }> => {
  const { head, bytes } = await beginning(chunks)
  const encoding = encodingOf(head)
  return { encoding, bytes: encoding === 'utf-8' ? bytes : fromUtf16(encoding, bytes) }
}

/** At least HEAD bytes, or all; `bytes` begins with them again. */
export const beginning = async (chunks: Chunks): Promise<{ head: Uint8Array; whole: boolean; bytes: Chunks }> => {
  const iterator = chunks[Symbol.asyncIterator]()
  const pieces: Uint8Array[] = []
  let held = 0
  let ended = false
  let failed: { error: unknown } | undefined
  try {
    while (held < HEAD && !ended) {
      const next = await iterator.next()
      if (next.done) ended = true
      else {
        pieces.push(next.value)
        held += next.value.length
      }
    }
  } catch (error) {
    failed = { error }
  }
  const head = joined(pieces)
  async function* bytes() {
    try {
      yield head
      if (failed) throw failed.error
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
    } finally {
      await iterator.return?.()
    }
  }
  return { head, whole: ended, bytes: bytes() }
}

const encodingOf = (head: Uint8Array): Encoding => {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le'
  if (head[0] === 0xfe && head[1] === 0xff) return 'utf-16be'
  const [a, b, c, d] = head
  if (a && b === 0 && c && d === 0) throw unmarked('UTF-16LE')
  if (a === 0 && b && c === 0 && d) throw unmarked('UTF-16BE')
  return 'utf-8'
}

const unmarked = (name: string) =>
  badInput(
    'bad-utf8',
    `is not UTF-8 but looks like ${name} without its mark; save it as UTF-8, or: iconv -f ${name} -t UTF-8 FILE > NEW`,
  )

async function* fromUtf16(encoding: 'utf-16le' | 'utf-16be', chunks: Chunks): AsyncGenerator<Uint8Array> {
  const decoder = new TextDecoder(encoding, { fatal: true })
  const encoder = new TextEncoder()
  try {
    for await (const chunk of chunks) yield encoder.encode(decoder.decode(chunk, { stream: true }))
    yield encoder.encode(decoder.decode())
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw badInput('bad-utf8', 'is UTF-16 that is damaged or cut off; save the file as UTF-8 and try again')
  }
}
