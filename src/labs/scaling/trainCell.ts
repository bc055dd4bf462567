/** Trains one cell of a sweep by its method, and gives its result. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cell, CellResult } from './cells.ts'
import type { SweepContext } from './context.ts'
import { modelCounts } from './flops.ts'
import { modelConfig } from './model.ts'
import { trainSelfPlay } from './selfPlay.ts'
import { trainSupervised } from './supervised.ts'
import { sumData } from './task.ts'

/** Throws the signal's reason when it was stopped; the next call resumes the cell. */
export const trainCell = async (
  cell: Cell,
  sweep: SweepContext,
  report: (share: number) => void,
): Promise<CellResult> => {
  const began = performance.now()
  const { architecture, config } = modelConfig(cell.size, sweep.plan.vocabulary, sweep.tokenizer.eosId)
  const counts = modelCounts(architecture, config)
  const dir = join(sweep.root, 'runs', cell.id)
  const data = sumData(sweep.root, cell.seed, sweep.plan)
  const train = cell.method === 'sft' ? trainSupervised : trainSelfPlay
  const { curve, marks } = await train({ ...sweep, cell, data, counts, dir, report })
  await rm(join(dir, 'run', 'checkpoints'), { recursive: true, force: true })
  return {
    id: cell.id,
    method: cell.method,
    seed: cell.seed,
    hidden: cell.size.hidden,
    layers: cell.size.layers,
    parameters: counts.parameters,
    blocks: counts.blocks,
    curve,
    marks,
    seconds: (performance.now() - began) / 1000,
  }
}
