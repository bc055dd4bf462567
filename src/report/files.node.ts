/** The output folder of a lab and its files: JSON, rows, pages, drawings. Each is written whole or not at all. */
import { mkdir, readFile, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { badInput, type Fault } from '../util/fault.ts'
import { diskFault, writeWhole } from '../util/files.node.ts'
import { sealedFile, unsealed } from '../util/sealed.node.ts'
import { stringify } from '../util/written.ts'
import { standalone } from './svg.ts'

/**
 * Makes the folder where there is none, and calls `take`, which may refuse it or lock it. Throws Faults 'taken' for a path
 * that is a file, 'disk', and those of `take`.
 */
export const claimFolder = async <T>(root: string, take: () => Promise<T>): Promise<T> => {
  try {
    await mkdir(root, { recursive: true })
    return await take()
  } catch (error) {
    if (['EEXIST', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? ''))
      throw badInput('taken', 'is a file; choose another --output', { file: root })
    throw diskFault(error, root)
  }
}

/** Of a folder that holds a file of something else. @param what the folder is not, as in 'no sweep' */
export const foreignFault = (root: string, name: string, what: string): Fault =>
  badInput('taken', `holds ${name} and is ${what}; choose another --output`, { file: root })

export const writeText = (path: string, text: string) => writeWhole(path, [new TextEncoder().encode(text)])

export const writeJson = (path: string, value: unknown) => writeText(path, `${JSON.stringify(value, null, 2)}\n`)

/** Writes JSON with a hash of itself, for a file that is read again. Throws Faults 'disk'. */
export const writeSealed = (path: string, value: object) => writeWhole(path, sealedFile(path, value, 2))

/** Reads what `writeSealed` wrote; undefined where it is missing or changed. Files of earlier versions have no hash. */
export const readSealed = async (path: string): Promise<unknown> => {
  const text = await readFile(path, 'utf8').catch(() => '')
  try {
    const value = JSON.parse(text)
    return 'hash' in value ? unsealed(text, basename(path)) : value
  } catch {
    return undefined
  }
}

/** Writes rows as JSON lines. */
export const writeRows = (path: string, rows: readonly object[]) =>
  writeText(path, rows.map((row) => `${stringify(row)}\n`).join(''))

/** Reads rows that are JSON lines. */
export const readRows = async <T>(path: string): Promise<T[]> =>
  (await readFile(path, 'utf8')).split('\n').flatMap((line) => (line.trim() ? [JSON.parse(line) as T] : []))

/** Writes `<svg>` elements as files NAME.svg into a folder of their own, which is emptied first. */
export const writeDrawings = async (dir: string, drawings: Readonly<Record<string, string>>) => {
  await rm(dir, { recursive: true, force: true })
  await mkdir(dir, { recursive: true })
  for (const [name, drawing] of Object.entries(drawings)) await writeText(join(dir, `${name}.svg`), standalone(drawing))
}
