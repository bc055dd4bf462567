/**
 * The files of a reward module that results depend on: itself, what it imports by a path, and what that imports. Of a package
 * the imported file stands for all of it. Imports are looked for in the text, so one whose path is computed while the module
 * runs is not found.
 */
import { readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { badInput } from '../util/fault.ts'
import { fileSource } from '../util/files.node.ts'

/** from '...', import '...', import('...'), require('...'), export ... from '...' */
const imports = /\b(?:from|import|require)\s*\(?\s*(['"])((?:(?!\1)[^\\\n])+)\1/g

/** What Node or TypeScript may add to an imported path. */
const endings = [
  '',
  '.ts',
  '.mts',
  '.cts',
  '.js',
  '.mjs',
  '.cjs',
  '.json',
  ...['ts', 'mts', 'js', 'mjs', 'cjs', 'json'].map((end) => `${sep}index.${end}`),
]

/** Paths, the module's own first, each once. Throws Faults 'no-file', and 'bad-reward' for one that is too large. */
export const moduleFiles = async (file: string): Promise<string[]> => {
  const found = new Set([file])
  for (const path of found) {
    if (path !== file && (path.endsWith('.json') || path.includes(`${sep}node_modules${sep}`))) continue
    const text = await textOf(path)
    for (const [, , name] of text.matchAll(imports)) {
      const imported = await resolveImport(name, path)
      if (imported !== undefined && resolve(imported) !== resolve(file)) found.add(imported)
    }
  }
  return [...found]
}

/** Bytes of a module's text, at most. */
const largest = 16 << 20

const textOf = async (path: string): Promise<string> => {
  const { size } = await fileSource(path)
  if (size > largest)
    throw badInput('bad-reward', `has ${size} bytes; a module holds at most ${largest}`, { file: path })
  return readFile(path, 'utf8')
}

const resolveImport = async (name: string, from: string): Promise<string | undefined> => {
  if (name.startsWith('node:')) return undefined
  if (name.startsWith('file:')) return fileURLToPath(name)
  if (/^\.{1,2}(\/|$)/.test(name) || isAbsolute(name)) return fileAt(resolve(dirname(from), name))
  try {
    const path = createRequire(resolve(from)).resolve(name)
    return isAbsolute(path) ? path : undefined
  } catch {
    return undefined
  }
}

/** TypeScript imports a file as .js that is .ts on disk. */
const fileAt = async (path: string): Promise<string | undefined> => {
  const twin = /\.([mc]?)js$/.test(path) ? [path.replace(/\.([mc]?)js$/, '.$1ts')] : []
  for (const candidate of [...endings.map((end) => path + end), ...twin])
    if ((await stat(candidate).catch(() => undefined))?.isFile()) return candidate
  return undefined
}
