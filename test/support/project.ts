/**
 * A program's own folder with attune in its node_modules, as `npm i attune` would leave it but without a network: the
 * package is what `npm pack` makes of this checkout (built before), its dependencies are this checkout's own.
 */
import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))
const modules = join(root, 'node_modules')

export type Project = { dir: string; remove(): void }

export const makeProject = (name: string): Project => {
  const dir = mkdtempSync(join(tmpdir(), `attune-${name}-`))
  mkdirSync(join(dir, 'node_modules'))
  for (const entry of readdirSync(modules))
    if (!entry.startsWith('.')) symlinkSync(join(modules, entry), join(dir, 'node_modules', entry))
  write(dir, 'package.json', JSON.stringify({ type: 'module', private: true }))
  return { dir, remove: () => rmSync(dir, { recursive: true }) }
}

/** Unpacks the tarball into node_modules/attune. @returns the paths in it */
export const installPacked = (dir: string): string[] => {
  const pack = ['pack', '--ignore-scripts', '--silent', '--json', '--pack-destination', dir]
  const [{ filename, files }] = Object.values(JSON.parse(npm(pack))) as {
    filename: string
    files: { path: string }[]
  }[]
  const target = join(dir, 'node_modules', 'attune')
  mkdirSync(target)
  execFileSync('tar', ['-xzf', join(dir, filename), '-C', target, '--strip-components=1'])
  return files.map(({ path }) => path)
}

const npm = (args: string[]) =>
  execFileSync('npm', args, { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' })

/** The checkout itself as node_modules/attune. */
export const linkCheckout = (dir: string) => symlinkSync(root, join(dir, 'node_modules', 'attune'))

export const write = (dir: string, file: string, text: string) => writeFileSync(join(dir, file), text)

/** Type-checks every .ts file of a project as strictly as it can be, and writes the .js beside it. */
export const compile = (dir: string): string => {
  const strict = ['--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes', '--verbatimModuleSyntax']
  const target = ['--target', 'es2023', '--module', 'nodenext', '--types', 'node', '--skipLibCheck', 'false']
  const files = readdirSync(dir).filter((file) => file.endsWith('.ts'))
  const { stdout } = node(dir, [join(modules, 'typescript', 'bin', 'tsc'), ...strict, ...target, ...files])
  return stdout
}

export const node = (dir: string, args: readonly string[], env: object = {}): SpawnSyncReturns<string> =>
  spawnSync(process.execPath, args, { cwd: dir, encoding: 'utf8', env: { ...process.env, ...env } })
