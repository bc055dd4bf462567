/**
 * Rows that a program gives, as a file: checked, hashed and read back like any other. The name is the content's hash, so
 * a run that is resumed with the same rows finds the same settings.
 */
import { createHash, randomUUID } from 'node:crypto'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from '../util/cacheFolder.node.ts'
import { makeFolders, syncFolder, writeSynced } from '../util/files.node.ts'
import { stringify } from '../util/written.ts'

/** @returns the path of a jsonl file in the cache */
export const keptRows = async (rows: Iterable<object> | AsyncIterable<object>): Promise<string> => {
  const folder = join(cacheFolder(), 'rows')
  await makeFolders(folder)
  const temporary = join(folder, `${randomUUID()}.tmp`)
  const hash = createHash('sha256')
  const lines = async function* () {
    for await (const row of rows) {
      const line = Buffer.from(`${stringify(row)}\n`)
      hash.update(line)
      yield line
    }
  }
  await writeSynced(temporary, lines())
  const path = join(folder, `${hash.digest('hex').slice(0, 32)}.jsonl`)
  await rename(temporary, path)
  await syncFolder(folder)
  return path
}
