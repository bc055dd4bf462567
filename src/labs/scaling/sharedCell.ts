/** A cell of a study as a shard: what a worker needs to train it, and what it leaves. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { badInput } from '../../util/fault.ts'
import type { Shard, Sharing } from '../../util/sharing.ts'
import { type Cell, type CellResult, writeResult } from './cells.ts'
import { keptModel, type SweepContext } from './context.ts'
import { helpedFiles } from './helped.ts'
import { openSweepTokenizer } from './model.ts'
import type { Plan } from './settings.ts'
import { writeSumData } from './task.ts'
import { trainCell } from './trainCell.ts'

/** Files of the study's folder by their path in it: SHA-256 of each. */
type Published = Readonly<Record<string, string>>

export type CellInput = {
  cell: Cell
  plan: Plan
  /** Of the cells before it, from which its settings are chosen. */
  results: readonly CellResult[]
  /** Models and completions that the cells before it left. */
  left: Published
}

/** What a worker sends back: the result, and the files that later cells need. */
export type CellOutput = { result: CellResult; left: Readonly<Record<string, Uint8Array>> }

/** What a cell leaves in the folder of the study for others, beside its result. */
const leftBy = async (root: string, { id, kind, seed }: Pick<Cell, 'id' | 'kind' | 'seed'>): Promise<string[]> => {
  const model = keptModel(root, id)
  const models = kind === 'start' || kind === 'helper' ? (await readdir(model)).map((name) => join(model, name)) : []
  return kind === 'helper' ? [...models, ...helpedFiles(root, seed)] : models
}

/**
 * Trains a cell on a worker.
 * @param cells all of the study, by id   @param local trains it in this process
 */
export const shareCell = async (
  cell: Cell,
  { root, plan, signal }: Pick<SweepContext, 'root' | 'plan' | 'signal'>,
  {
    sharing,
    cells,
    results,
  }: { sharing: Sharing; cells: ReadonlyMap<string, Cell>; results: ReadonlyMap<string, CellResult> },
  local: () => Promise<CellResult>,
): Promise<CellResult> => {
  const left: Record<string, string> = {}
  for (const id of cell.needs)
    for (const path of await leftBy(root, cells.get(id)!)) left[relative(root, path)] = await sharing.publish({ path })
  const input: CellInput = { cell, plan, results: [...results.values()], left }
  const shard: Shard = { kind: 'cell', input, files: Object.values(left) }
  const here = async (): Promise<CellOutput> => ({ result: await local(), left: {} })
  for await (const output of sharing.results<CellOutput>([shard], here, signal)) {
    for (const [name, bytes] of Object.entries(output.left)) await writeBelow(root, name, bytes)
    return output.result
  }
  throw new Error('a shard has one result')
}

const plainPath = /^(data|models)(\/[\w.-]+)+$/

/** Throws a Fault for a path that leaves the folder. */
const writeBelow = async (root: string, name: string, bytes: Uint8Array) => {
  if (!plainPath.test(name) || name.split('/').includes('..'))
    throw badInput('bad-shard', 'a file of a cell has a name that leaves its folder')
  const path = join(root, name)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
}

/**
 * What a worker computes: the cell, in a folder of its own that is removed afterwards.
 * @param content the bytes of a published file   @param scratch for the folder
 */
export const computeCell = async (
  { cell, plan, results, left }: CellInput,
  content: (hash: string) => Promise<Uint8Array>,
  scratch: string,
): Promise<CellOutput> => {
  await mkdir(scratch, { recursive: true })
  const root = await mkdtemp(join(scratch, 'cell-'))
  try {
    await mkdir(join(root, 'cells'))
    for (const result of results) await writeResult(root, result)
    for (const [name, hash] of Object.entries(left)) await writeBelow(root, name, await content(hash))
    await writeSumData(root, cell.seed, plan)
    const tokenizer = await openSweepTokenizer(undefined, plan.vocabulary)
    const signal = new AbortController().signal
    const result = await trainCell(cell, { root, plan, tokenizer, device: 'cpu', signal, command: [] }, () => {})
    const made: Record<string, Uint8Array> = {}
    for (const path of await leftBy(root, cell)) made[relative(root, path)] = await readFile(path)
    return { result, left: made }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
