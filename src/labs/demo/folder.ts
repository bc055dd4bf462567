/**
 * The demo's folder. A demo may replace an earlier demo, never anything else. `demo.json` is written first, so that an
 * interrupted demo is recognised too, and only files that demos write are removed.
 */

import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { claimFolder, foreignFault, writeJson } from '../../report/files.node.ts'
import { isRunning } from '../../runs/lock.node.ts'
import { runFailure } from '../../util/fault.ts'
import { isTemporary } from '../../util/files.node.ts'

export type DemoFolder = Record<'dir' | keyof typeof paths, string>

/** Of each file and folder, from the demo's folder. The keys are those of the `result` event. */
const paths = {
  results: 'demo.json',
  report: 'report.html',
  plots: 'plots',
  data: 'data',
  lessons: 'data/class.jsonl',
  rankings: 'data/rankings.jsonl',
  right: 'data/right.jsonl',
  tested: 'data/tested.jsonl',
  base: 'base',
  sft: 'sft',
  dpo: 'dpo',
  imitation: 'imitation',
  spin: 'spin',
  asft: 'asft',
} as const

/** The keys of the training runs. */
const runs = ['sft', 'dpo', 'imitation', 'spin', 'asft'] as const

export const demoFormat = 'attune-demo'

/** Makes the folder, or empties that of an earlier demo. Throws Faults 'taken' and 'locked'. */
export const claimDemoFolder = async (output: string): Promise<DemoFolder> => {
  const dir = resolve(output)
  const folder = Object.fromEntries(
    Object.entries({ dir: '', ...paths }).map(([key, path]) => [key, join(dir, path)]),
  ) as DemoFolder
  return claimFolder(dir, async () => {
    const first = (await readdir(dir)).find((name) => !isTemporary(name))
    if (first !== undefined) await requireDemo(folder, first)
    await writeJson(folder.results, { format: demoFormat, state: 'running' })
    for (const key of ['report', 'plots', 'data', 'base', ...runs] as const)
      await rm(folder[key], { recursive: true, force: true })
    await mkdir(folder.data)
    return folder
  })
}

const requireDemo = async (folder: DemoFolder, first: string) => {
  const text = await readFile(folder.results, 'utf8').catch(() => '')
  if (!isDemo(text)) throw foreignFault(folder.dir, first, 'no demo of attune')
  for (const run of runs.map((key) => folder[key]))
    if (await isRunning(run)) throw runFailure('locked', 'another demo is writing here; wait for it', { file: run })
}

const isDemo = (text: string): boolean => {
  try {
    return JSON.parse(text).format === demoFormat
  } catch {
    return false
  }
}
