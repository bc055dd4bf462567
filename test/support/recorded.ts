/** A scenario's run as it goes by itself: what came out, and all that it did with the disk. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { folderName, type Outcome, outcomeOf } from './campaign.ts'
import { type DiskLog, readDiskLog, readTree, type Tree, treeAfter } from './powerLoss.ts'
import { start } from './runs.ts'
import type { Scenario } from './scenarios.ts'

export type Recorded = {
  scenario: Scenario
  /** Holds the run's folder and the cache, and nothing else. */
  root: string
  run: string
  cache: string
  /** Its command, --output with it. */
  argv: readonly string[]
  whole: Outcome
  log: DiskLog
  ms: number
}

/** @param base for folders of its own */
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
