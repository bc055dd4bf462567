/**
 * A project folder with attune in its node_modules, as after `npm i attune`, but without a network.
 * The package comes from `npm pack` of this checkout (built before), its dependencies from this checkout.
 */
import { execFile, execFileSync } from 'node:child_process'
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

/** Unpacks the npm package into node_modules/attune. @returns its paths */
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

/** Links this checkout as node_modules/attune. */
export const linkCheckout = (dir: string) => symlinkSync(root, join(dir, 'node_modules', 'attune'))

export const write = (dir: string, file: string, text: string) => writeFileSync(join(dir, file), text)

/**
 * Type-checks every .ts file of a project with the strictest settings, and writes the .js files. Declarations of dependencies are
 * checked too, unless `skipLibraries` is set.
 */
export const compile = async (dir: string, { skipLibraries = false } = {}): Promise<string> => {
  const strict = ['--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes', '--verbatimModuleSyntax']
  const target = ['--target', 'es2023', '--module', 'nodenext', '--types', 'node', '--skipLibCheck', `${skipLibraries}`]
  const files = readdirSync(dir).filter((file) => file.endsWith('.ts'))
  const tsc = join(modules, '@typescript', 'native', 'bin', 'tsc')
  return (await run(process.execPath, [tsc, ...strict, ...target, ...files], { cwd: dir })).stdout
}

export type Ended = { status: number | null; stdout: string; stderr: string }

/** Runs a process to its end. `env` is added to the environment. */
export const run = (
  command: string,
  args: readonly string[],
  { cwd, env = {} }: { cwd: string; env?: object },
): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const options = { cwd, env: { ...process.env, ...env }, encoding: 'utf8', maxBuffer: 2 ** 26 } as const
    const child = execFile(command, args, options, (_, stdout, stderr) =>
      resolve({ status: child.exitCode, stdout, stderr }),
    )
    child.on('error', reject)
  })

export const node = (dir: string, args: readonly string[], env: object = {}) =>
  run(process.execPath, args, { cwd: dir, env })
