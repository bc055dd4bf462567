/**
 * Log-probabilities of given tokens. Peculiar: rows are read ahead up to a budget of tokens and share one pass without
 * padding, so a long row costs no short one anything; answers come in the order of the rows.
 */
import { pack } from '../data/batch.ts'
import type { Model } from '../passes/model.ts'
import { targetStats } from '../passes/stats.ts'

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
  let batch: Scorable[] = []
  let filled = 0
  for await (const row of rows) {
    if (batch.length && filled + row.ids.length > tokens) {
      yield* await scoreBatch(model, batch)
      batch = []
      filled = 0
    }
    batch.push(row)
    filled += row.ids.length
  }
  if (batch.length) yield* await scoreBatch(model, batch)
}

const scoreBatch = async (model: Model, batch: readonly Scorable[]): Promise<number[][]> => {
  const counts = (label: number, t: number) => t > 0 && label !== uncounted
  const labels = batch.map((row) => row.labels.filter(counts))
  const trees = batch.map((row) => ({
    trunk: row.ids,
    trunkTargets: row.labels.map((label, t) => Number(counts(label, t))),
    branches: [],
  }))
  if (labels.every(({ length }) => length === 0)) return labels.map(() => [])
  const packed = pack(trees, 0)
  // A label may differ from the id that it stands under
  const targets = { ...packed.targets, label: labels.flat() }
  const { stats, placed } = targetStats(model, { ...packed, targets }, ['logps'])
  const read = model.backend.read(stats.logps)
  model.backend.free([stats.logps, ...placed.handles])
  const logps = await read
  let at = 0
  return labels.map(({ length }) => {
    const own = Array.from(logps.subarray(at, at + length))
    at += length
    return own
  })
}
