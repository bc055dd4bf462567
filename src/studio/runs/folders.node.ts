/**
 * The runs below the studio's folder by name. A name is the path of the run's folder; that of a run in attune-runs leaves
 * that out, unless another run has the shorter name.
 */
import { realpath } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { httpError } from '../../http/errors.ts'
import { runsBelow, runsRoot } from '../../runs/find.node.ts'
import { eventsFile } from '../../runs/run.node.ts'
import { quoted } from '../../util/quote.ts'
import { insideRoot, isInside } from '../insideRoot.node.ts'
import { isLookedInto } from '../lookedInto.ts'

export type RunFolder = { name: string; dir: string }

/** Folders are looked into so deep, and so many of them. */
const depth = 6
const folders = 50_000

/** @param root a real path */
export const foldersBelow = async (root: string): Promise<RunFolder[]> => {
  const found = await runsBelow(root, { depth, folders })
  const dirs = found.filter((dir) =>
    dirname(relative(root, dir))
      .split(sep)
      .every((part) => part === '.' || isLookedInto(part)),
  )
  const taken = new Set(dirs)
  return dirs.map((dir) => ({ name: nameOf(root, dir, (other) => taken.has(other)), dir }))
}

const nameOf = (root: string, dir: string, isRun: (dir: string) => boolean): string => {
  const path = relative(root, dir).split(sep).join('/')
  const short = path.startsWith(`${runsRoot}/`) ? path.slice(runsRoot.length + 1) : path
  return short !== path && isRun(join(root, short)) ? path : short
}

/** A name is what the list shows, so it never climbs. */
export const isName = (name: string): boolean =>
  !name.includes('\0') && !name.split('/').some((part) => part === '..' || part === '.' || part === '')

/** The folder of a run. Throws an HTTP error 404 where there is none, or where it lies outside of the studio's folder. */
export const folderOf = async (root: string, name: string): Promise<string> => {
  const none = httpError(404, `there is no run ${quoted(name)} in the folder of the studio`)
  if (!isName(name)) throw none
  for (const path of [join(root, name), join(root, runsRoot, name)]) {
    const dir = await realpath(path).catch(() => undefined)
    if (dir === undefined || dir !== path) continue
    if (!isInside(root, dir)) throw none
    if (await insideRoot(root, join(dir, 'run.json')).catch(() => undefined)) return dir
  }
  throw none
}

/** The log of a run; undefined where it is a link out of the studio's folder. */
export const logOf = async (root: string, dir: string): Promise<string | undefined> => {
  const path = join(dir, eventsFile)
  const real = await realpath(path).catch(() => path)
  return isInside(root, real) ? path : undefined
}
