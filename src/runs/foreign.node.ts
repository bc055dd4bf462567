/**
 * Runs of other tools, found by the files that they leave: TensorBoard's event files and the Trainer's trainer_state.json.
 * Folders of attune's own runs are not looked into, and links are not followed.
 */
import { readdir, stat } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import { readBoardFiles } from './boardFiles.node.ts'
import type { Curves } from './curves.ts'
import { readTrainerState } from './trainerState.node.ts'

/** `board`: TensorBoard event files; `trainer`: a trainer_state.json of transformers or TRL. */
export type ForeignKind = 'board' | 'trainer'

export type ForeignRun = {
  /** The folder's path below the one that was searched, with / between its parts. */
  name: string
  dir: string
  kind: ForeignKind
  files: readonly string[]
  /** Bytes of the files, and when one was last changed (milliseconds since 1970): while both stay, so do the curves. */
  bytes: number
  changed: number
}

export type ForeignSummary = ForeignRun & {
  /** Named as attune names them: loss, eval_loss. */
  curves: Curves
  steps: number
  totalSteps?: number
  /** What is wrong with the files, where something is. */
  problem?: string
}

/** Folders are looked into so deep below the first one, and so many of them. */
const searchDepth = 6
const searchFolders = 2000

/** The runs of other tools in a folder and below it, by name. */
export const foreignRunsBelow = async (root: string): Promise<ForeignRun[]> => {
  const found: ForeignRun[] = []
  let level = [resolve(root)]
  let seen = 0
  for (let depth = 0; depth <= searchDepth && level.length > 0; depth++) {
    const next: string[] = []
    for (const dir of level) {
      if (seen++ >= searchFolders) break
      const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
      const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name)
      if (depth > 0 && files.includes('run.json')) continue
      const folders = entries.filter((entry) => entry.isDirectory() && !/^\.|^node_modules$/.test(entry.name))
      const named = await namedFiles(
        dir,
        files,
        folders.map(({ name }) => name),
      )
      const name = relative(resolve(root), dir).replaceAll('\\', '/') || basename(dir)
      if (named) found.push({ name, dir, ...named, ...(await stamp(named.files)) })
      for (const folder of folders) if (!isCheckpoint(folder.name)) next.push(join(dir, folder.name))
    }
    level = next
  }
  return found.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
}

const isCheckpoint = (name: string) => /^checkpoint-\d+$/.test(name)

/** Event files say more than the Trainer's log, so they go first. Of the Trainer's logs the last one holds the others. */
const namedFiles = async (
  dir: string,
  files: readonly string[],
  folders: readonly string[],
): Promise<Pick<ForeignRun, 'kind' | 'files'> | undefined> => {
  const board = files.filter((name) => name.includes('.tfevents.')).sort()
  if (board.length > 0) return { kind: 'board', files: board.map((name) => join(dir, name)) }
  if (files.includes(stateFile)) return { kind: 'trainer', files: [join(dir, stateFile)] }
  const step = (name: string) => Number(name.slice('checkpoint-'.length))
  for (const name of folders.filter(isCheckpoint).sort((a, b) => step(b) - step(a))) {
    const path = join(dir, name, stateFile)
    if (await stat(path).catch(() => undefined)) return { kind: 'trainer', files: [path] }
  }
  return undefined
}

const stateFile = 'trainer_state.json'

const stamp = async (files: readonly string[]): Promise<Pick<ForeignRun, 'bytes' | 'changed'>> => {
  const infos = await Promise.all(files.map((path) => stat(path).catch(() => undefined)))
  return {
    bytes: infos.reduce((sum, info) => sum + (info?.size ?? 0), 0),
    changed: Math.max(0, ...infos.map((info) => info?.mtimeMs ?? 0)),
  }
}

/** Reads the curves of a run that was found. Throws Faults 'no-file', 'bad-file', 'bad-json' for a trainer_state.json. */
export const readForeignRun = async (run: ForeignRun): Promise<ForeignSummary> => {
  if (run.kind === 'trainer') return { ...run, ...(await readTrainerState(run.files[0])) }
  const { points, problem } = await readBoardFiles(run.files)
  const curves = new Map([...points].map(([tag, all]) => [metricName(tag, points), all]))
  let steps = 0
  for (const all of points.values()) for (const [step] of all) steps = Math.max(steps, step)
  return { ...run, curves, steps, ...(problem !== undefined && { problem }) }
}

/** train/loss as loss, eval/loss as eval_loss, where no other curve has that name. */
const metricName = (tag: string, tags: ReadonlyMap<string, unknown>): string => {
  const name = tag.replace(/^train\//, '').replace(/^eval\//, 'eval_')
  return tags.has(name) || (tag.startsWith('train/eval_') && tags.has(`eval/${name.slice(5)}`)) ? tag : name
}
