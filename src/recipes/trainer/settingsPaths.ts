/**
 * Where the files and folders that settings name lie, from the root of this machine. Peculiar: run.json keeps them beside
 * what was typed, so that a run can be resumed, opened and compared from any folder, while a project that was moved as a
 * whole still finds them by their relative paths.
 */
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { findRun } from '../../runs/find.node.ts'
import type { Places, RunInfo } from '../../runs/run.node.ts'

/** Settings that name files, folders or runs. */
const named = ['model', 'adapter', 'valueModel', 'head', 'data', 'evalData', 'ptxData', 'reward', 'helper']

/** What stands before a path: a reward's name, and `schema:`. */
const inFront = /^(?:[\w-]+=)?(?:schema:)?/

const isThere = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  )

const placeOf = async (value: string, key: string): Promise<string> => {
  if (await isThere(value)) return resolve(value)
  const front = key === 'reward' ? inFront.exec(value)![0] : ''
  const path = value.slice(front.length)
  if (front && (await isThere(path))) return front + resolve(path)
  const run = await findRun(path)
  return run === undefined ? value : front + run
}

/** Hub ids, servers and columns stay as they are. */
export const settingsPaths = async (config: Readonly<Record<string, unknown>>): Promise<Places> => {
  const places: Places = {}
  for (const key of named) {
    const value = config[key]
    if (typeof value === 'string') places[key] = await placeOf(value, key)
    else if (Array.isArray(value)) places[key] = await Promise.all(value.map((each) => placeOf(String(each), key)))
  }
  return places
}

/** The settings of a run, with the places of what they name; what is no longer there is looked for where it was typed. */
export const settingsOf = async ({ config, places = {} }: Pick<RunInfo, 'config' | 'places'>) => {
  const found: Record<string, unknown> = { ...config }
  for (const [key, place] of Object.entries(places)) {
    const typed = config[key]
    if (typeof place === 'string') found[key] = await nowAt(place, typed, key)
    else if (Array.isArray(typed)) found[key] = await Promise.all(place.map((each, i) => nowAt(each, typed[i], key)))
  }
  return found
}

const nowAt = async (place: string, typed: unknown, key: string) => {
  const front = key === 'reward' ? inFront.exec(place)![0] : ''
  return (await isThere(place)) || (await isThere(place.slice(front.length))) ? place : typed
}
