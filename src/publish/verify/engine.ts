/** Loads a program that reads exports from where it is installed: none of them is installed with attune. */
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { badInput } from '../../util/fault.ts'

/**
 * @param from the folder in whose node_modules it is; by default this one, then where attune is installed
 * Throws a Fault 'no-package' that says how to install it.
 */
export const loadEngine = async <T>(name: string, does: string, from?: string): Promise<T> => {
  const places = from === undefined ? [join(process.cwd(), 'x'), import.meta.url] : [join(resolve(from), 'x')]
  for (const place of places) {
    let path: string
    try {
      path = createRequire(place).resolve(name)
    } catch {
      continue
    }
    return import(pathToFileURL(path).href)
  }
  throw badInput(
    'no-package',
    `needs ${name}, which ${does} and is not installed with attune: npm install ${name} (with --ignore-scripts it takes the binaries that come with it), or say where it is with --engine DIR`,
    { flag: '--verify' },
  )
}
