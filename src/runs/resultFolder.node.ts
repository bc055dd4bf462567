/** Which run a folder of a model or an adapter belongs to. */
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/**
 * The folder of the run that made a model or an adapter, which lies in its `model/` or `adapter/` beside run.json; undefined
 * for others.
 * @param place where the path leads, if it was typed in another folder
 */
export const runFolderOf = (path: string, place = path): string | undefined => {
  if (!['model', 'adapter'].includes(basename(path))) return undefined
  const isOfRun = [place, path].some((each) => existsSync(join(dirname(each), 'run.json')))
  return isOfRun ? dirname(path) : undefined
}
