/** The cells of a sweep: one model size, method and seed each, with the cells that it needs and the result that it leaves. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readSealed, writeJson } from '../../report/files.node.ts'
import type { Share } from '../../statistics/intervals.ts'
import { type Extent, helperSize, type Method, type Plan, type Size } from './settings.ts'

export type Cell = { id: string; method: Method; size: Size; seed: number; needs: readonly string[] }

/** Floating-point operations so far, without embedding and logit layers: of the cell itself, and of its helper model. */
export type Compute = { flops: number; helperFlops: number }

/** An evaluation on held-out sums. */
export type LossPoint = Compute & {
  /** Nats per token of the completions. */
  loss: number
  /** Mean token accuracy, of supervised training. */
  accuracy?: number
}

/** The share of held-out sums that are completed exactly. */
export type ExactMatchPoint = Compute & { exact: Share }

export type CellResult = {
  id: string
  method: Method
  hidden: number
  layers: number
  seed: number
  parameters: number
  /** Weights of the blocks' matrix products, from which operations are counted. */
  blocks: number
  curve: LossPoint[]
  marks: ExactMatchPoint[]
  seconds: number
}

export const cellId = (method: Method, { hidden }: Pick<Size, 'hidden'>, seed: number) =>
  `${method}-h${hidden}-s${seed}`

/**
 * All cells in the order in which they are begun: supervised ones before those that start from them, and the longest first,
 * so that no core idles at the end. The largest size has no aSFT cell, since no larger model can be its helper.
 */
export const cellsOf = (plan: Plan, { seeds, methods }: Extent): Cell[] => {
  const everySeed = Array.from({ length: seeds }, (_, i) => i + 1)
  const helper = helperSize(plan)
  const largestFirst = [...plan.sizes].sort((a, b) => b.hidden - a.hidden)
  return methods.flatMap((method) =>
    largestFirst
      .filter((size) => method !== 'asft' || size !== helper)
      .flatMap((size) =>
        everySeed.map((seed) => {
          const start = method === 'sft' ? [] : [cellId('sft', size, seed)]
          const help = method === 'asft' ? [cellId('sft', helper, seed)] : []
          return { id: cellId(method, size, seed), method, size, seed, needs: [...start, ...help] }
        }),
      ),
  )
}

const resultsDir = (root: string) => join(root, 'cells')

export const writeResult = (root: string, result: CellResult) =>
  writeJson(join(resultsDir(root), `${result.id}.json`), result)

/** The results of finished cells by id. A result that is damaged is left out, so its cell is trained again. */
export const readResults = async (root: string): Promise<Map<string, CellResult>> => {
  const names = await readdir(resultsDir(root)).catch(() => [])
  const results = await Promise.all(
    names.filter((name) => name.endsWith('.json')).map((name) => readSealed(join(resultsDir(root), name))),
  )
  const intact = results.filter((result) => result !== undefined) as CellResult[]
  return new Map(intact.map((result) => [result.id, result]))
}
