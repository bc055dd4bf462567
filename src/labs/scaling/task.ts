/**
 * The task of the scaling laws: adding two numbers of two digits, learned from 1,000 sums. The completion is the total with
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

export type SumData = Record<'train' | 'eval', { rows: Row[]; file: string }>

/** The training and evaluation rows of a seed, and their files. No sum is in both, in either order of its numbers. */
export const sumData = (root: string, seed: number, plan: Plan): SumData => {
  const dir = join(root, 'data', `seed-${seed}`)
  const { taught, tested } = splitSums(seed, { taught: plan.taught, ranked: 0, tested: plan.held })
  return {
    train: { rows: taught.map(rowOf), file: join(dir, 'taught.jsonl') },
    eval: { rows: tested.map(rowOf), file: join(dir, 'held.jsonl') },
  }
}

/** Writes the files of a seed, which all its training runs share. */
export const writeSumData = async (root: string, seed: number, plan: Plan): Promise<void> => {
  const data = sumData(root, seed, plan)
  await mkdir(join(root, 'data', `seed-${seed}`), { recursive: true })
  await writeRows(data.train.file, data.train.rows)
  await writeRows(data.eval.file, data.eval.rows)
}

/** Mean FLOPs of supervised training on one row, with its end token. */
export const rowFlops = (rows: readonly Row[], tokenizer: SweepTokenizer, counts: ModelCounts): number => {
  const flops = rows.map(({ prompt, completion }) =>
    trainingFlops(counts, tokenizer.count(prompt) + tokenizer.count(completion) + 1),
  )
  return flops.reduce((a, b) => a + b, 0) / rows.length
}
