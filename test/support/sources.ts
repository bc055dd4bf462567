/** Reads the sources and finds their imports by pattern, without a compiler. Relies on the layout of the formatter. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../src', import.meta.url))

/** `path` is relative to src with forward slashes; `room` is its first folder, '' for a file at the top. */
export type Source = { path: string; room: string; lines: readonly string[]; imports: readonly Import[] }
/** `to` is a path relative to src, or the name of a package. */
export type Import = { to: string; local: boolean; typeOnly: boolean }

/** All source files except tests. */
export const readSources = (): Source[] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => /\.(ts|tsx|js|mjs)$/.test(path) && !/\.test\.tsx?$/.test(path))
    .sort()
    .map((path) => {
      const text = readFileSync(join(root, path), 'utf8')
      const room = path.includes('/') ? path.split('/')[0] : ''
      return { path, room, lines: text.trimEnd().split('\n'), imports: findImports(path, text) }
    })

const patterns = [
  // import x, { y } from 'z' and export { y } from 'z'
  /^(?:import|export)\s+(?<type>type\s)?(?<names>[\w*${}\s,]*?)\s*\bfrom\s+'(?<to>[^']+)'/gm,
  /^import\s+'(?<to>[^']+)'/gm,
  /\bimport\(\s*'(?<to>[^']+)'/g,
  /\bnew URL\(\s*'(?<to>[^']+)',\s*import\.meta\.url/g,
]

export const findImports = (path: string, text: string): Import[] => {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')
  return patterns.flatMap((pattern) =>
    [...code.matchAll(pattern)].map(({ groups }) => {
      const { type, names, to } = groups as Record<string, string | undefined>
      const local = to!.startsWith('.')
      const resolved = relative(root, resolve(root, dirname(path), to!))
        .split(sep)
        .join('/')
      return { to: local ? resolved : to!, local, typeOnly: type !== undefined || onlyTypes(names) }
    }),
  )
}

/** `{ type A, type B }` */
const onlyTypes = (names = ''): boolean =>
  /^\{.*\}$/s.test(names) &&
  names
    .slice(1, -1)
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean)
    .every((name) => name.startsWith('type '))
