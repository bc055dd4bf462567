/**
 * The task: adding two numbers of two digits, from 1,000 sums. Peculiar: the answer is said units first, in the order
 * in which one carries, which models of this size learn from so few sums; tens first, the largest does not within a day.
 */
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeRows } from '../../report/files.node.ts'
import { dealSums, question, type Sum, totalOf } from '../demo/addition.ts'
import { type Counts, trainingFlops } from './flops.ts'
import type { Tokens } from './model.ts'
import type { Plan } from './settings.ts'

export type Row = { prompt: string; completion: string }

/** 27+58= is answered 58. */
export const rowOf = (sum: Sum): Row => ({
  prompt: question(sum),
  completion: [...String(totalOf(sum))].reverse().join(''),
})

export type Data = { taught: Row[]; held: Row[]; files: { taught: string; held: string } }

/** The sums of a seed. No sum is in both parts, in either order. */
export const dataOf = (root: string, seed: number, plan: Plan): Data => {
  const dir = join(root, 'data', `seed-${seed}`)
  const { taught, tested } = dealSums(seed, { taught: plan.taught, ranked: 0, tested: plan.held })
  const files = { taught: join(dir, 'taught.jsonl'), held: join(dir, 'held.jsonl') }
  return { taught: taught.map(rowOf), held: tested.map(rowOf), files }
}

/** Before any cell begins, for cells of one seed share the files. */
export const writeData = async ({ taught, held, files }: Data): Promise<void> => {
  await mkdir(dirname(files.taught), { recursive: true })
  await writeRows(files.taught, taught)
  await writeRows(files.held, held)
}

/** Tokens of a row's two parts; the end of the answer is one. */
const lengthsOf = ({ prompt, completion }: Row, tokens: Tokens) => ({
  prompt: tokens.count(prompt),
  reply: tokens.count(completion) + 1,
})

/** Operations of one row in supervised training, the mean over the taught ones. */
export const rowFlops = (rows: readonly Row[], tokens: Tokens, counts: Counts): number => {
  const flops = rows.map((row) => {
    const { prompt, reply } = lengthsOf(row, tokens)
    return trainingFlops(counts, prompt + reply)
  })
  return flops.reduce((a, b) => a + b, 0) / rows.length
}
