/** Paths that a page names: below the studio's folder, whatever links and dots they hold. */
import { existsSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve } from 'node:path'
import { badInput } from '../../util/fault.ts'
import { isInside } from '../insideRoot.node.ts'

/** The studio's own records, and whatever else is hidden, are no data. */
const isHidden = (path: string) =>
  path.split(/[\\/]/).some((part) => part.startsWith('.') && part !== '.' && part !== '..')

const outside = (path: string) =>
  badInput('bad-path', 'is outside the folder of the studio; name a file below it', { file: path })

/**
 * The path below the root, with / between its parts. What is not there yet may be named; links are followed as far as they go.
 * Throws a Fault 'bad-path' for one that leads outside, and for a hidden one.
 * @param root a real path
 */
export const pathBelow = async (root: string, path: string): Promise<string> => {
  if (path.includes('\0')) throw badInput('bad-path', 'holds a character that no path has', { file: path })
  const full = resolve(root, path)
  if (!isInside(root, full)) throw outside(path)
  const below = relative(root, full)
  if (isHidden(below)) throw badInput('bad-path', 'is hidden; name another', { file: path })
  // The nearest part that is there decides where the rest goes
  let there = full
  while (!existsSync(there) && there !== dirname(there)) there = dirname(there)
  if (!isInside(root, await realpath(there))) throw outside(path)
  return below.replaceAll('\\', '/')
}

/** The same for a file that must be there. Throws a Fault 'no-file' too. */
export const fileBelow = async (root: string, path: string): Promise<string> => {
  const below = await pathBelow(root, path)
  if (!existsSync(join(root, below))) throw badInput('no-file', 'is not there', { file: path })
  return below
}

/** OWNER/NAME of the hub. */
const hubId = /^[\w-][\w.-]*\/[\w-][\w.-]*$/

/** Rows: a file below the root, or a data set of the hub. */
export const checkRowsPath = async (root: string, path: string): Promise<void> => {
  if (hubId.test(path) && !existsSync(join(root, path.split('/')[0]))) return
  await fileBelow(root, path)
}

/** A model: a folder below the root, the name of a run, an id of the hub, or any absolute path. */
export const checkModelPath = async (root: string, model: string): Promise<void> => {
  if (/^\w+:\/\//.test(model))
    throw badInput('bad-model', 'is an address; give a folder, a hub id or the name of a run', { file: model })
  if (isAbsolute(model)) {
    if (!existsSync(model)) throw badInput('no-file', 'is not there', { file: model })
    return
  }
  const below = await pathBelow(root, model)
  const there = [model, join('attune-runs', below)].some((name) => existsSync(join(root, name)))
  if (!there && !hubId.test(model) && !/^[\w-][\w.-]*$/.test(model))
    throw badInput('no-file', 'is no folder, run or hub id', { file: model })
}
