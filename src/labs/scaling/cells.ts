/** A sweep's cells: what each trains, what it waits for, and what it leaves. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readSealed, writeJson } from '../../report/files.node.ts'
import type { Share } from '../../statistics/intervals.ts'
import { type Extent, helperOf, type Method, type Plan, type Size } from './settings.ts'

export type Cell = { id: string; method: Method; size: Size; seed: number; needs: readonly string[] }

/** Operations so far, without embedding and logit layers. The helper's own stand beside the student's. */
export type Compute = { flops: number; helperFlops: number }

/** An evaluation on held-out sums. */
export type CurvePoint = Compute & {
  /** Nats per token of the answers. */
  loss: number
  /** Share of their tokens that are the likeliest; of supervised training. */
  accuracy?: number
}

/** Answers counted. */
export type Mark = Compute & { exact: Share }

export type CellResult = {
  id: string
  method: Method
  hidden: number
  layers: number
  seed: number
  parameters: number
  /** Weights that the count of operations rests on. */
  blocks: number
  curve: CurvePoint[]
  marks: Mark[]
  seconds: number
}

export const cellId = (method: Method, { hidden }: Pick<Size, 'hidden'>, seed: number) =>
  `${method}-h${hidden}-s${seed}`

/**
 * Supervised cells before those that start from them, the longest first, so that no core idles at the end behind one that
 * began late. The largest size has nobody larger to help it.
 */
export const cellsOf = (plan: Plan, { seeds, methods }: Extent): Cell[] => {
  const each = Array.from({ length: seeds }, (_, i) => i + 1)
  const helper = helperOf(plan)
  const larger = [...plan.sizes].sort((a, b) => b.hidden - a.hidden)
  return methods.flatMap((method) =>
    larger
      .filter((size) => method !== 'asft' || size !== helper)
      .flatMap((size) =>
        each.map((seed) => {
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

/** What is finished; a result that cannot be read is made again. */
export const readResults = async (root: string): Promise<Map<string, CellResult>> => {
  const names = await readdir(resultsDir(root)).catch(() => [])
  const results = await Promise.all(
    names.filter((name) => name.endsWith('.json')).map((name) => readSealed(join(resultsDir(root), name))),
  )
  const sound = results.filter((result) => result !== undefined) as CellResult[]
  return new Map(sound.map((result) => [result.id, result]))
}
