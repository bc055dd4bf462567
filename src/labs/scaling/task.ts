/**
 * The task of the scaling laws: adding two numbers of two digits, learned from 1,000 sums. The completion gives the units
 * first, in the order in which one carries. Models of this size learn that from so few sums; with the tens first, not even
 * the largest learns it within a day.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeRows } from '../../report/files.node.ts'
import { promptOf, type Sum, splitSums, totalOf } from '../demo/addition.ts'
import { type ModelCounts, trainingFlops } from './flops.ts'
import type { SweepTokenizer } from './model.ts'
import type { Plan } from './settings.ts'

export type Row = { prompt: string; completion: string }

/** Of 27 + 58 = 85 the prompt is `27+58=` and the completion `58`. */
export const rowOf = (sum: Sum): Row => ({
  prompt: promptOf(sum),
  completion: [...String(totalOf(sum))].reverse().join(''),
})

export type SumData = Record<'train' | 'eval', { rows: Row[]; file: string }>

/** The sums of a seed. No sum is in both parts, in either order. */
export const sumData = (root: string, seed: number, plan: Plan): SumData => {
  const dir = join(root, 'data', `seed-${seed}`)
  const { taught, tested } = splitSums(seed, { taught: plan.taught, ranked: 0, tested: plan.held })
  return {
    train: { rows: taught.map(rowOf), file: join(dir, 'taught.jsonl') },
    eval: { rows: tested.map(rowOf), file: join(dir, 'held.jsonl') },
  }
}

/** Writes the files of a seed, which all its cells share. */
export const writeSumData = async (root: string, seed: number, plan: Plan): Promise<void> => {
  const data = sumData(root, seed, plan)
  await mkdir(join(root, 'data', `seed-${seed}`), { recursive: true })
  await writeRows(data.train.file, data.train.rows)
  await writeRows(data.eval.file, data.eval.rows)
}

/** Operations of supervised training on one row, the mean over the rows. The end token counts too. */
export const rowFlops = (rows: readonly Row[], tokenizer: SweepTokenizer, counts: ModelCounts): number => {
  const flops = rows.map(({ prompt, completion }) =>
    trainingFlops(counts, tokenizer.count(prompt) + tokenizer.count(completion) + 1),
  )
  return flops.reduce((a, b) => a + b, 0) / rows.length
}
