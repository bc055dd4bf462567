/** A lab's folder: who may have it, and what is written there, each file whole or not at all. */
import { mkdir, readFile, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { badInput, type Fault } from '../util/fault.ts'
import { diskFault, writeWhole } from '../util/files.node.ts'
import { sealedFile, unsealed } from '../util/sealed.node.ts'
import { drawn, type Plot } from './plot.ts'
import { standalone } from './svg.ts'

/** Makes the folder where there is none, and takes it. Throws Faults 'taken' for a file, 'disk', and those of `take`. */
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

/** @param what the lab leaves, as in 'no sweep' */
export const foreignFault = (root: string, name: string, what: string): Fault =>
  badInput('taken', `holds ${name} and is ${what}; choose another --output`, { file: root })

export const writeText = (path: string, text: string) => writeWhole(path, [new TextEncoder().encode(text)])

export const writeJson = (path: string, value: unknown) => writeText(path, `${JSON.stringify(value, null, 2)}\n`)

/** A file that is read again. Throws Faults 'disk'. */
export const writeSealed = (path: string, value: object) => writeWhole(path, sealedFile(path, value, 2))

/** What `writeSealed` wrote; undefined where it is not that any more, or not there. Earlier versions wrote no hash. */
export const readOwn = async (path: string): Promise<unknown> => {
  const text = await readFile(path, 'utf8').catch(() => '')
  try {
    const value = JSON.parse(text)
    return 'hash' in value ? unsealed(text, basename(path)) : value
  } catch {
    return undefined
  }
}

/** JSON lines. */
export const writeRows = (path: string, rows: readonly object[]) =>
  writeText(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))

/** SVG files by name, in a folder of their own that is emptied before. */
export const writeDrawings = async (dir: string, drawings: Readonly<Record<string, string>>) => {
  await rm(dir, { recursive: true, force: true })
  await mkdir(dir, { recursive: true })
  for (const [name, drawing] of Object.entries(drawings)) await writeText(join(dir, `${name}.svg`), standalone(drawing))
}

/** Each plot as SVG and, as JSON, the numbers behind it. */
export const writePlots = async (dir: string, plots: Readonly<Record<string, Plot>>) => {
  await writeDrawings(dir, drawn(plots))
  for (const [name, plot] of Object.entries(plots)) await writeJson(join(dir, `${name}.json`), sixDigits(plot))
}

/** More than any of these numbers is sure of. */
const sixDigits = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, x) => (typeof x === 'number' ? Number(x.toPrecision(6)) : x)))
