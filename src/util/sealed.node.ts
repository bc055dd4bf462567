/**
 * Sealed JSON: the last member of the object, `hash`, is a SHA-256 over the text before it, so that damage is found. The lines
 * of a file form a chain in which each hash covers the one before, so lines that were swapped, lost or taken from another file
 * are found too. This guards against accidents, not against forgers.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { assert } from './fault.ts'

/** 128 bits in hex. */
const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)

const ending = /,\s*"hash": ?"([0-9a-f]{32})"\s*\}\s*$/

/** The JSON text of an object with its hash. @param before what the hash covers too: the hash of the line before, or a name */
export const sealed = (value: object, before = '', indent = 0): { text: string; hash: string } => {
  const body = JSON.stringify(value, null, indent)
  const open = body.slice(0, -1).trimEnd()
  assert(body.endsWith('}') && open !== '{', 'only an object that holds something is sealed')
  const hash = digest(before + open)
  const text = indent ? `${open},\n${' '.repeat(indent)}"hash": "${hash}"\n}` : `${open},"hash":"${hash}"}`
  return { text, hash }
}

/** The text up to the hash, and the hash; undefined where the hash is wrong. */
const opened = (text: string, before: string): { open: string; hash: string } | undefined => {
  const tail = ending.exec(text.slice(-100))
  if (!tail) return undefined
  const open = text.slice(0, text.length - tail[0].length)
  return digest(before + open) === tail[1] ? { open, hash: tail[1] } : undefined
}

/** The hash of a text; undefined where the text is not what `sealed` wrote. */
export const sealOf = (text: string, before = ''): string | undefined => opened(text, before)?.hash

/** The object without its hash; undefined where the text is not what `sealed` wrote. */
export const unsealed = (text: string, before = ''): Record<string, unknown> | undefined => {
  const found = opened(text, before)
  return found && JSON.parse(`${found.open}}`)
}

/** A file of one sealed object, for `writeWhole`. Its name is covered, so that no other file can stand for it. */
export const sealedFile = (path: string, value: object, indent = 0): Uint8Array[] => [
  new TextEncoder().encode(`${sealed(value, basename(path), indent).text}\n`),
]

/** What `sealedFile` wrote; undefined where the file is not that, or is not there. */
export const readSealed = async (path: string): Promise<Record<string, unknown> | undefined> => {
  const text = await readFile(path, 'utf8').catch(() => '')
  return unsealed(text, basename(path))
}
