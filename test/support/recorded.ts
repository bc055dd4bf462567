/** Records an uninterrupted run of a scenario: its results and all its disk operations. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { folderName, type Outcome, outcomeOf } from './campaign.ts'
import { type DiskLog, readDiskLog, readTree, type Tree, treeAfter } from './powerLoss.ts'
import { start } from './runs.ts'
import type { Scenario } from './scenarios.ts'

export type Recorded = {
  scenario: Scenario
  /** Contains the run folder and the cache only. */
  root: string
  run: string
  cache: string
  /** The command and its flags, including --output. */
  argv: readonly string[]
  whole: Outcome
  log: DiskLog
  ms: number
}

/** @param base the folder for the files of all scenarios */
export const record = async (scenario: Scenario, base: string): Promise<Recorded> => {
  const root = join(base, folderName(scenario.name))
  const [run, cache, log] = [join(root, 'run'), join(root, 'cache'), `${root}.log`]
  mkdirSync(root, { recursive: true })
  const argv = [...scenario.argv, '--output', run]
  const { code, stderr, ms } = await start(argv, { cache, log: { log, under: root } })
  if (code !== 0) throw new Error(`${scenario.name}: ${code}\n${stderr}`)
  const diskLog = readDiskLog(log, root)
  const missed = differenceOf(readTree(root), treeAfter(diskLog, diskLog.operations.length))
  if (missed) throw new Error(`${scenario.name}: the log of the disk says something else of ${missed}`)
  const recorded = {
    scenario,
    root,
    run,
    cache,
    argv,
    whole: outcomeOf(run, scenario),
    log: readDiskLog(log, root),
    ms,
  }
  rmSync(log)
  return recorded
}

const differenceOf = (a: Tree, b: Tree): string | undefined =>
  [...new Set([...a.keys(), ...b.keys()])].find((path) => {
    const [x, y] = [a.get(path), b.get(path)]
    return Buffer.isBuffer(x) && Buffer.isBuffer(y) ? !x.equals(y) : JSON.stringify(x) !== JSON.stringify(y)
  })
