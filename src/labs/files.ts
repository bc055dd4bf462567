/** Texts on the disk, whole or not at all. */
import { writeWhole } from '../util/files.node.ts'

export const writeText = (path: string, text: string) => writeWhole(path, [new TextEncoder().encode(text)])

export const writeJson = (path: string, value: unknown) => writeText(path, `${JSON.stringify(value, null, 2)}\n`)

/** JSON lines. */
export const writeRows = (path: string, rows: readonly object[]) =>
  writeText(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
