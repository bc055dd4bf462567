/**
 * Absolute paths of the files, folders and runs that settings name. run.json keeps them (`places`) beside what was typed, so that
 * a run can be resumed, opened and compared from any folder, while a project that was moved as a whole still finds them by their
 * relative paths.
 */
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { findRun } from '../../runs/find.node.ts'
import type { Places, RunInfo } from '../../runs/run.node.ts'

/** Settings that name files, folders or runs. */
const pathSettings = [
  ...['model', 'adapter', 'valueModel', 'head', 'data', 'evalData', 'ptxData', 'reward', 'helper', 'teacher'],
  ...['judge', 'outsideJudge', 'eftData', 'rankings', 'judgePrompt', 'instructPrompt'],
]

/** What may stand before a path in `--reward`: the reward's name, and `schema:`. */
const rewardPrefix = /^(?:[\w-]+=)?(?:schema:)?/
const prefixOf = (value: string, key: string) => (key === 'reward' ? rewardPrefix.exec(value)![0] : '')

const exists = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

const absolute = async (value: string, key: string): Promise<string> => {
  if (await exists(value)) return resolve(value)
  const prefix = prefixOf(value, key)
  const path = value.slice(prefix.length)
  if (prefix && (await exists(path))) return prefix + resolve(path)
  const run = await findRun(path)
  return run === undefined ? value : prefix + run
}

/** Hub ids, servers and columns stay as they are. */
export const settingsPaths = async (config: Readonly<Record<string, unknown>>): Promise<Places> => {
  const paths: Places = {}
  for (const key of pathSettings) {
    const value = config[key]
    if (typeof value === 'string') paths[key] = await absolute(value, key)
    else if (Array.isArray(value)) paths[key] = await Promise.all(value.map((each) => absolute(String(each), key)))
  }
  return paths
}

/** The settings of a run with absolute paths; for what no longer lies there, the path that was typed. */
export const settingsOf = async ({ config, places = {} }: Pick<RunInfo, 'config' | 'places'>) => {
  const settings: Record<string, unknown> = { ...config }
  for (const [key, path] of Object.entries(places)) {
    const typed = config[key]
    if (typeof path === 'string') settings[key] = await existing(path, typed, key)
    else if (Array.isArray(typed))
      settings[key] = await Promise.all(path.map((each, i) => existing(each, typed[i], key)))
  }
  return settings
}

const existing = async (path: string, typed: unknown, key: string) =>
  (await exists(path)) || (await exists(path.slice(prefixOf(path, key).length))) ? path : typed
