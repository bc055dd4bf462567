/**
 * The task of the scaling laws: adding two numbers, learned from 1,000 sums. The completion is the total with
 * its last digit first, so that each carry is known when it is needed. Models of this size learn that from 1,000 sums; with
 * the first digit first, not even the largest learns it within a day.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeRows } from '../../report/files.node.ts'
import { promptOf, type Sum, splitSums, totalOf } from '../demo/addition.ts'
import { type ModelCounts, trainingFlops } from './flops.ts'
import type { SweepTokenizer } from './model.ts'
import type { Plan } from './settings.ts'

export type Row = { prompt: string; completion: string }

/** The row of 27 + 58 = 85 has the prompt `27+58=` and the completion `58`. */
export const rowOf = (sum: Sum): Row => ({
  prompt: promptOf(sum),
  completion: [...String(totalOf(sum))].reverse().join(''),
})

/** Sums that are trained on, that settings are chosen by, and that are reported. No sum is in two parts, in either order. */
export type SumData = {
  taught: Row[]
  held: Row[]
  reported: Row[]
  /** The taught rows, and the few held ones that self-play looks at between iterations. */
  file: string
  peekFile: string
}

const peekedRows = 8

export const sumData = (root: string, seed: number, plan: Plan): SumData => {
  const sizes = { taught: plan.taught, ranked: plan.held, tested: plan.reported }
  const { taught, ranked, tested } = splitSums(seed, sizes, plan.digits)
  return {
    taught: taught.map(rowOf),
    held: ranked.map(rowOf),
    reported: tested.map(rowOf),
    file: join(dirOf(root, seed), 'taught.jsonl'),
    peekFile: join(dirOf(root, seed), 'peek.jsonl'),
  }
}

const dirOf = (root: string, seed: number) => join(root, 'data', `seed-${seed}`)

/** Writes the files of a seed, which all its training runs share. */
export const writeSumData = async (root: string, seed: number, plan: Plan): Promise<void> => {
  const { file, peekFile, taught, held } = sumData(root, seed, plan)
  await mkdir(dirOf(root, seed), { recursive: true })
  await writeRows(file, taught)
  // aSFT asks for the helper's column here too; what it measures on these few rows is not used
  await writeRows(
    peekFile,
    held.slice(0, peekedRows).map((row) => ({ ...row, helper: row.completion })),
  )
}

/** Mean FLOPs of supervised training on one row, with its end token. */
export const rowFlops = (rows: readonly Row[], tokenizer: SweepTokenizer, counts: ModelCounts): number => {
  const flops = rows.map(({ prompt, completion }) =>
    trainingFlops(counts, tokenizer.count(prompt) + tokenizer.count(completion) + 1),
  )
  return flops.reduce((a, b) => a + b, 0) / rows.length
}
