/** One cell, whatever its method: its data, its counts, its training, its result. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cell, CellResult } from './cells.ts'
import { countsOf } from './flops.ts'
import { modelOf } from './model.ts'
import { selfPlay } from './selfPlay.ts'
import { dataOf } from './task.ts'
import { type Running, supervised } from './train.ts'

/** Trains a cell to its end. Throws the signal's reason when it was stopped; the next call goes on. */
export const trainCell = async (cell: Cell, running: Running, report: (share: number) => void): Promise<CellResult> => {
  const began = performance.now()
  const { architecture, config } = modelOf(cell.size, running.plan.vocabulary, running.tokens.eosId)
  const counts = countsOf(architecture, config)
  const run = join(running.root, 'runs', cell.id)
  const data = dataOf(running.root, cell.seed, running.plan)
  const train = cell.method === 'sft' ? supervised : selfPlay
  const { curve, marks } = await train({ ...running, cell, data, counts, run, report })
  await rm(join(run, 'run', 'checkpoints'), { recursive: true, force: true })
  const { parameters, blocks } = counts
  const { hidden, layers } = cell.size
  const seconds = (performance.now() - began) / 1000
  return {
    id: cell.id,
    method: cell.method,
    seed: cell.seed,
    ...{ hidden, layers, parameters, blocks, curve, marks, seconds },
  }
}
