/** The helper model's completions of the taught sums, sampled once for each seed, and what they cost. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readRows, writeRows } from '../../report/files.node.ts'
import { returnValueOf } from '../../util/eventStream.ts'
import { completePrompts } from '../completePrompts.ts'
import { helperId } from './cells.ts'
import type { CellContext } from './context.ts'
import { generationFlops, type ModelCounts, modelCounts } from './flops.ts'
import { modelConfig } from './model.ts'
import type { Row } from './task.ts'

export type HelpedRow = Row & { helper: string }

const saidFile = (root: string, seed: number) => join(root, 'data', `seed-${seed}`, 'said.jsonl')
const fileOf = (root: string, seed: number) => join(root, 'data', `seed-${seed}`, 'helped.jsonl')

/** Both files of a seed. */
export const helpedFiles = (root: string, seed: number): string[] => [saidFile(root, seed), fileOf(root, seed)]

/** Written when the helper is trained: the taught rows with its completions. */
export const writeHelped = async ({ cell, root, data, signal }: CellContext, model: string): Promise<void> => {
  const prompts = data.taught.map(({ prompt }) => prompt)
  const completions = await returnValueOf(
    completePrompts(prompts, { model, threads: 1, seed: cell.seed, samples: 1, signal }),
  )
  await mkdir(join(root, 'data', `seed-${cell.seed}`), { recursive: true })
  const rows = data.taught.map((row, i): HelpedRow => ({ ...row, helper: completions[i][0] }))
  const said = rows.filter(({ helper }) => helper).map(({ prompt, helper }): Row => ({ prompt, completion: helper }))
  await writeRows(saidFile(root, cell.seed), said)
  await writeRows(fileOf(root, cell.seed), rows)
}

/** The helper's completions as completions to train on. */
export const readSaid = async ({ cell, root }: CellContext): Promise<{ rows: Row[]; file: string }> => {
  const file = saidFile(root, cell.seed)
  return { rows: await readRows<Row>(file), file }
}

export const helperCounts = ({ plan, tokenizer }: Pick<CellContext, 'plan' | 'tokenizer'>): ModelCounts => {
  const size = { hidden: plan.comparison.helper.hidden, layers: plan.layers }
  const { architecture, config } = modelConfig(size, plan.vocabulary, tokenizer.eosId)
  return modelCounts(architecture, config)
}

/** @returns the rows, their file, and the operations of training the helper and sampling from it */
export const readHelped = async ({ cell, root, plan, tokenizer, results }: CellContext) => {
  const file = fileOf(root, cell.seed)
  const rows = await readRows<HelpedRow>(file)
  const counts = helperCounts({ plan, tokenizer })
  const sampling = rows.map(({ prompt, helper }) =>
    generationFlops(counts, tokenizer.count(prompt), tokenizer.count(helper) + 1),
  )
  const training = results.get(helperId(cell.seed))!.flops
  return { file, rows, flops: training + sampling.reduce((a, b) => a + b, 0) }
}
