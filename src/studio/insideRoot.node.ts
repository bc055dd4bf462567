/** Paths of requests: they stay inside the studio's folder, also where a link leads out of it. */
import { realpath } from 'node:fs/promises'
import { resolve, sep } from 'node:path'
import { httpError } from '../http/errors.ts'
import { quoted } from '../util/quote.ts'

/**
 * The real path of something below a folder. Throws an HTTP error 404 for what is not there or lies elsewhere; the message
 * does not tell which.
 * @param root itself a real path
 */
export const insideRoot = async (root: string, path: string): Promise<string> => {
  const real = path.includes('\0') ? undefined : await realpath(resolve(root, path)).catch(() => undefined)
  if (real === undefined || !isInside(root, real))
    throw httpError(404, `there is no ${quoted(path)} in the folder of the studio`)
  return real
}

export const isInside = (root: string, path: string): boolean =>
  path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)
