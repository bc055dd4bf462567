/** What the cells of a sweep share, and the recipe settings that are the same for every method. */
import { join } from 'node:path'
import { type Cell, cellId } from './cells.ts'
import type { ModelCounts } from './flops.ts'
import type { SweepTokenizer } from './model.ts'
import type { Plan } from './settings.ts'
import type { SumData } from './task.ts'

export type SweepContext = {
  root: string
  plan: Plan
  tokenizer: SweepTokenizer
  device: 'auto' | 'cpu' | 'webgpu' | 'cuda'
  signal: AbortSignal
  command: readonly string[]
}

export type CellContext = SweepContext & {
  cell: Cell
  data: SumData
  counts: ModelCounts
  /** The cell's own folder. */
  dir: string
  /** To be told of the share of the cell's work that is done, 0 to 1. */
  report(share: number): void
}

export const sharedSettings = ({ cell, plan, data, device }: CellContext) => ({
  seed: cell.seed,
  device,
  threads: 1,
  memory: 'fast',
  resume: true,
  learningRate: cell.size.learningRate,
  schedule: 'constant_with_warmup',
  warmupSteps: plan.warmupSteps,
  batchSize: plan.batchSize,
  epochs: 1_000_000,
  saveEvery: 1_000_000,
  keep: 1,
  data: [data.train.file],
  evalData: [data.eval.file],
  evalEvery: plan.evalEvery,
  // Every cell is compared at its last step
  bestMetric: 'none',
})

/** The supervised model of this size and seed from which self-play starts; the helper model of aSFT is one of these too. */
export const startModel = (root: string, { size, seed }: Pick<Cell, 'size' | 'seed'>) =>
  join(root, 'models', cellId('sft', size, seed))
