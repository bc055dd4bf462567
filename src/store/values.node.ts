/**
 * Values by key in one append-only file, for caches: a sealed line `{"k": key, "v": value}` each. Several processes may append
 * to a file at once. A torn or damaged line counts as missing.
 */
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { appendText, makeFolders } from '../util/files.node.ts'
import { sealed, unsealed } from '../util/sealed.node.ts'

export type Values<V> = {
  get(key: string): V | undefined
  /** Never rejects: where the file cannot be written, the value is kept in memory alone. */
  set(key: string, value: V): Promise<void>
  /** Why values could not be written. Nothing is written after the first failure. */
  failure(): Error | undefined
}

/** Reads the values that the file holds already, if it is there. */
export const openValues = async <V>(path: string, schema: z.ZodType<V>): Promise<Values<V>> => {
  const lineSchema = z.object({ k: z.string(), v: schema })
  const text = await readFile(path, 'utf8').catch(() => '')
  const values = new Map<string, V>()
  for (const line of text.split('\n')) {
    const { data } = lineSchema.safeParse(objectIn(line))
    if (data) values.set(data.k, data.v as V)
  }
  let failure: Error | undefined
  return {
    get: (key) => values.get(key),
    async set(key, value) {
      values.set(key, value)
      if (failure) return
      try {
        await makeFolders(dirname(path))
        // The newline before it ends a line that was torn
        await appendText(path, `\n${sealed({ k: key, v: value }).text}\n`)
      } catch (error) {
        failure = error as Error
      }
    },
    failure: () => failure,
  }
}

const objectIn = (line: string): unknown => {
  try {
    return unsealed(line)
  } catch {
    return undefined
  }
}
