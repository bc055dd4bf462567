/** Sources of bytes that are read by ranges (a file on a disk, a Blob or memory), and the concatenation of bytes. */

/** A file on a disk, a Blob or memory. */
export type ByteSource = {
  /** What messages call it: a path, a URL, a name. */
  readonly name: string
  readonly size: number
  /** Bytes start (included) to end (excluded); rejects when fewer are there. */
  read(start: number, end: number): Promise<Uint8Array>
}

export const bytesOf = (name: string, bytes: Uint8Array): ByteSource => ({
  name,
  size: bytes.byteLength,
  read: async (start, end) => bytes.subarray(start, end),
})

/** The whole source as text; throws a TypeError where it is not UTF-8. */
export const textOf = async (source: ByteSource): Promise<string> =>
  new TextDecoder('utf-8', { fatal: true }).decode(await source.read(0, source.size))

/** These bytes one after the other, copied. */
export const concatBytes = (parts: readonly Uint8Array[]): Uint8Array => {
  const bytes = new Uint8Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
