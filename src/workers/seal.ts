/** Bytes with their SHA-256 before them, so that a torn or changed result is known. */
import { createHash } from 'node:crypto'

export const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()

export const sealBytes = (bytes: Uint8Array): Uint8Array => Buffer.concat([sha256(bytes), bytes])

/** The bytes; undefined where they are not those that were sealed. */
export const unsealBytes = (sealed: Uint8Array): Uint8Array | undefined => {
  const bytes = sealed.subarray(32)
  return sealed.length >= 32 && sha256(bytes).equals(sealed.subarray(0, 32)) ? bytes : undefined
}
