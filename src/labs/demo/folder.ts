/**
 * The demo's folder. Peculiar: a demo may replace a former one, never anything else. Its own file is the first thing that
 * is written, so a demo that was broken off is known as well, and only what demos write is removed.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { claimFolder, foreignFault, writeJson } from '../../report/files.node.ts'
import { isRunning } from '../../runs/lock.node.ts'
import { runFailure } from '../../util/fault.ts'

export type DemoFolder = Record<'dir' | keyof typeof parts, string>

const parts = {
  results: 'demo.json',
  report: 'report.html',
  plots: 'plots',
  data: 'data',
  lessons: 'data/class.jsonl',
  rankings: 'data/rankings.jsonl',
  tested: 'data/tested.jsonl',
  base: 'base',
  sft: 'sft',
  dpo: 'dpo',
} as const

export const demoFormat = 'attune-demo'

/** Makes the folder, or empties that of a former demo. Throws Faults 'taken' and 'locked'. */
export const claimDemoFolder = async (output: string): Promise<DemoFolder> => {
  const dir = resolve(output)
  const folder = Object.fromEntries(Object.entries({ dir: '', ...parts }).map(([key, name]) => [key, join(dir, name)]))
  const paths = folder as DemoFolder
  return claimFolder(dir, async () => {
    const [first] = await readdir(dir)
    if (first !== undefined) await requireDemo(paths, first)
    await writeJson(paths.results, { format: demoFormat, state: 'running' })
    for (const key of ['report', 'plots', 'data', 'base', 'sft', 'dpo'] as const)
      await rm(paths[key], { recursive: true, force: true })
    await mkdir(paths.data)
    return paths
  })
}

const requireDemo = async (paths: DemoFolder, first: string) => {
  const text = await readFile(paths.results, 'utf8').catch(() => '')
  if (!isDemo(text)) throw foreignFault(paths.dir, first, 'no demo of attune')
  for (const run of [paths.sft, paths.dpo])
    if (await isRunning(run)) throw runFailure('locked', 'another demo is writing here; wait for it', { file: run })
}

const isDemo = (text: string): boolean => {
  try {
    return JSON.parse(text).format === demoFormat
  } catch {
    return false
  }
}
