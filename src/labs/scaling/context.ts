/** What the cells of a study share. */
import { join } from 'node:path'
import type { Cell, CellResult } from './cells.ts'
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
  /** Of finished cells, those that this one needs among them. */
  results: ReadonlyMap<string, CellResult>
  /** The cell's own folder. */
  dir: string
  /** To be told of the share of the cell's work that is done, 0 to 1. */
  report(share: number): void
}

/** What training of a cell gives. */
export type Trained = {
  /** Its folder. */
  model: string
  rate: number
  beta?: number
  steps: number
  flops: number
  helperFlops: number
}

/** Settings that are the same for every recipe. */
export const sharedSettings = ({ cell, plan, device, dir }: CellContext) => ({
  seed: cell.seed,
  device,
  threads: 1,
  memory: 'fast',
  resume: true,
  batchSize: plan.batchSize,
  epochs: 1_000_000,
  saveEvery: 1_000_000,
  keep: 1,
  output: join(dir, 'run'),
})

/** The model that a start or helper cell leaves for others. */
export const keptModel = (root: string, id: string) => join(root, 'models', id)
