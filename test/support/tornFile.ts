/** Damages one file of a run or of its inputs, and resumes the run. */
import { cpSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Draws, drawsOf, outcomeOf, type RunResult, resultOf } from './campaign.ts'
import { damage, damages } from './damage.ts'
import { type DiskLog, type Tree, treeAfter, writeTree } from './powerLoss.ts'
import type { Recorded } from './recorded.ts'
import type { Warm } from './warm.ts'

export type Torn = {
  result: RunResult
  why: string
  /** The kind of file: its name without numbers. */
  file: string
  what: string
}

/** @param inputs the folder that the scenarios read from */
export const tear = async (
  { log, root, run, cache, argv, scenario, whole }: Recorded,
  warm: Warm,
  inputs: string,
  { seed, n }: { seed: number; n: number },
): Promise<Torn> => {
  const draws = drawsOf(seed, 2, n)
  const operations = log.operations.length
  // Before run.json exists the run has no record of its inputs, so damaged inputs cannot be noticed
  const begun = 1 + log.operations.findIndex((op) => op.name === 'rename' && op.to === join(run, 'run.json'))
  const own = begun === 0 || draws.below(4) > 0
  const first = own ? firstFile(log) : begun
  const count = draws.below(3) ? first + draws.below(operations - first + 1) : operations
  const tree = treeAfter(log, count)
  writeTree(root, tree)
  const path = own ? fileOf(tree, root, draws) : inputOf(argv, inputs, draws)
  const file = own ? path.slice(root.length + 1) : `input ${path.slice(inputs.length + 1)}`
  const saved = `${root}.saved`
  if (!own) cpSync(inputs, saved, { recursive: true })
  let name = draws.pick(damages)
  while (!damage(path, name, draws)) name = draws.pick(damages)
  // With --resume alone, or with all flags again
  const again = argv[0] === 'compare' || argv[0] === 'sweep' || !existsSync(join(run, 'run.json')) || draws.below(2)
  const ended = await warm.run(
    again ? [...argv, ...scenario.resumeFlags] : [argv[0], '--output', run, '--resume'],
    cache,
  )
  if (!own) {
    rmSync(inputs, { recursive: true })
    cpSync(saved, inputs, { recursive: true })
    rmSync(saved, { recursive: true })
  }
  const { result, why } = resultOf(ended, () => outcomeOf(run, scenario), whole)
  const what = `${file}: ${name}, after operation ${count} of ${operations}`
  return { result, why, what, file: kindOf(file) }
}

const kindOf = (file: string) => file.replaceAll(/\d+/g, 'N').replace(/\b[0-9a-fN]{12,}\b/g, 'HASH')

/** The number of operations until the first file exists. */
const firstFile = ({ operations }: DiskLog) => 1 + operations.findIndex((op) => op.name === 'open' && op.create)

/** Picks a file; every kind of file is equally likely. */
const fileOf = (tree: Tree, root: string, draws: Draws): string => {
  const kinds = new Map<string, string[]>()
  for (const [path, content] of tree)
    if (Buffer.isBuffer(content)) {
      const kind = kindOf(path)
      kinds.set(kind, [...(kinds.get(kind) ?? []), path])
    }
  return join(root, draws.pick(draws.pick([...kinds.values()])))
}

const inputOf = (argv: readonly string[], inputs: string, draws: Draws): string => {
  const given = argv.flatMap((word) => (word.includes(inputs) ? word.slice(word.indexOf(inputs)) : []))
  const files = given.flatMap((path) =>
    statSync(path).isDirectory() ? readdirSync(path).map((name) => join(path, name)) : path,
  )
  return draws.pick(files)
}
