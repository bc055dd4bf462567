/** What a run calls the model that it began from: a short name, and the run or the adapter that trained it before. */
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { runFolderOf } from './resultFolder.node.ts'
import type { RunInfo } from './run.node.ts'

/** The settings of a run, and where their paths lead. */
export type RunPaths = Pick<RunInfo, 'config' | 'places'>

/** The path of a setting as it was typed, and the absolute one where run.json has it; undefined without the setting. */
export const pathOf = (
  { config, places = {} }: RunPaths,
  key: 'model' | 'adapter',
): [path: string, place?: string] | undefined => {
  const [typed, place] = [config[key], places[key]]
  if (typed === undefined) return undefined
  return typeof place === 'string' ? [String(typed), place] : [String(typed)]
}

const runOf = (path: string, place?: string): string | undefined => {
  const folder = runFolderOf(path, place)
  return folder === undefined ? undefined : basename(resolve(folder))
}

/** Runs that went on from one another, at most. */
const MOST_STEPS = 100

/**
 * The model before all training: the one that the first of the runs was given that went on from one another. Where the run.json
 * of one cannot be read, what that run made. Undefined for a run without a model.
 */
export const originOf = (run: RunPaths, steps = MOST_STEPS): string | undefined => {
  const path = pathOf(run, 'model')
  if (!path) return undefined
  const [typed, place = typed] = path
  const folder = runFolderOf(typed, place)
  if (folder === undefined) return existsSync(typed) || !existsSync(place) ? typed : place
  const before = steps > 0 ? (pathsOf(dirname(place)) ?? pathsOf(folder)) : undefined
  return (before && originOf(before, steps - 1)) ?? folder
}

const pathsOf = (folder: string): RunPaths | undefined => {
  try {
    const { config, places } = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8'))
    return { config: { ...config }, places: { ...places } }
  } catch {
    return undefined
  }
}

const hubId = /^\w[^\\/]*[\\/][^\\/]+$/

/** The hub's name, that of the run that made it, or the folder's own. @param place as of `runFolderOf` */
export const modelName = (path: string, place = path): string => {
  const run = runOf(path, place)
  if (run !== undefined) return run
  return hubId.test(path) && place === path && !existsSync(path) ? path : basename(path) || path
}

const nameOf = (path: ReturnType<typeof pathOf>): string => (path ? modelName(...path) : 'a model')

/** The name of the model that a run was given. */
export const givenName = (run: RunPaths): string => nameOf(pathOf(run, 'model'))

/** The name of what a run trained further: its adapter, else its model. */
export const startName = (run: RunPaths): string => nameOf(pathOf(run, 'adapter') ?? pathOf(run, 'model'))

/** With what was trained before: 'small', 'small, as the run sft left it,', 'small with the adapter tone'. */
export const beganFrom = (run: RunPaths): string => {
  const [model, adapter] = [pathOf(run, 'model'), pathOf(run, 'adapter')]
  const name = nameOf(model)
  if (!adapter) return model && runOf(...model) !== undefined ? `the model of the run ${name}` : name
  const before = runOf(...adapter)
  return before === undefined
    ? `${name} with the adapter ${modelName(...adapter)}`
    : `${name}, as the run ${before} left it,`
}
