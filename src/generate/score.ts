/**
 * Log-probabilities of the tokens of given rows. Rows are read ahead up to a number of tokens and share one pass without
 * padding, so a long row costs short ones nothing; results come in the order of the rows.
 */
import type { Model } from '../passes/model.ts'
import { type PassPlan, readPlansOf } from '../passes/readPasses.ts'
import { tokenStatsPlan } from '../passes/tokenStats.ts'

/** `labels[t]` is predicted from the ids before t, so the first never counts; -100 is not counted. Equal lengths. */
export type Scorable = { ids: readonly number[]; labels: readonly number[] }

export const uncounted = -100

/** Tokens of rows that share a pass. */
const passTokens = 4096

/** @returns of each row the log-probabilities of its counted labels, in nats */
export async function* score(
  model: Model,
  rows: Iterable<Scorable> | AsyncIterable<Scorable>,
  { tokens = passTokens }: { tokens?: number } = {},
): AsyncGenerator<number[]> {
  for await (const logps of readPlansOf(model, passPlans(rows, tokens))) yield* logps
}

async function* passPlans(
  rows: Iterable<Scorable> | AsyncIterable<Scorable>,
  tokens: number,
): AsyncGenerator<PassPlan<number[][]>> {
  let batch: Scorable[] = []
  let filled = 0
  for await (const row of rows) {
    if (batch.length && filled + row.ids.length > tokens) {
      yield passPlan(batch)
      batch = []
      filled = 0
    }
    batch.push(row)
    filled += row.ids.length
  }
  if (batch.length) yield passPlan(batch)
}

/** All rows in one pass. */
const passPlan = (batch: readonly Scorable[]): PassPlan<number[][]> => {
  const trees = batch.map(({ ids, labels }) => ({
    trunk: ids,
    trunkTargets: labels.map((label) => Number(label !== uncounted)),
    trunkLabels: labels,
    branches: [],
  }))
  const { passes, join } = tokenStatsPlan(trees, ['logps'], { splitByLength: false })
  return { passes, join: (values) => join(values).logps.map(({ trunk }) => trunk) }
}
