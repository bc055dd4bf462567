/**
 * Ranks candidates by a pair ranker. Rows are read twice: once to check all of them, then in chunks to be ranked, so that a bad
 * row does not end a run that has already printed half of its lines, and memory does not grow with the rows.
 */
import { z } from 'zod'
import { conform, recordOf } from '../data/check.ts'
import { dataFiles, openRecords, type ResolveDataset } from '../data/input.node.ts'
import { type Candidates, type Pair, pairTexts } from '../data/pairText.ts'
import { textColumn } from '../data/rows.ts'
import { meanAdvantages, ranksOf } from '../objectives/pairRanking.ts'
import type { OpenedRanker } from '../passes/openRanker.node.ts'
import { atPlace, badInput } from '../util/fault.ts'

const schema = z.object({
  prompt: textColumn.optional(),
  candidates: z.array(textColumn).min(2, 'a ranking needs two candidates or more').optional(),
  input_ids: z.array(z.int().nonnegative()).min(1).optional(),
})

/** A source with its candidates, or a pair that is joined already. */
type RankRow = { candidates: Candidates } | { pair: Pair }

/** What stands in a line of output: ranks, scores and logits of candidates, or the scores of a joined pair. */
export type Ranked =
  | { ranks: number[]; scores: number[]; logits: number[][] }
  | { ranks: number[]; logits: (number | null)[][] }
  | { scores: [number, number]; logit: number }

/** `full` compares all pairs, `bubble` as few as a sort needs. */
export const rankMethods = ['full', 'bubble'] as const

export type RankOptions = {
  data: string[]
  /** Columns of the file under their usual names. */
  columns?: Record<string, string>
  method: (typeof rankMethods)[number]
  resolve?: ResolveDataset
}

/** Rows that are ranked together: their pairs share passes. */
const chunkRows = 32

type Ranker = Pick<OpenedRanker, 'check' | 'joined' | 'scores' | 'logits' | 'sorted'>

/**
 * @returns the number of rows, and their rankings in order
 * Faults, with file and row, before anything is computed: those of reading, 'bad-row', 'no-tokenizer', 'too-long', 'empty-data'.
 */
export const rankFiles = async (
  ranker: Ranker,
  options: RankOptions,
): Promise<{ rows: number; ranked: AsyncGenerator<Ranked> }> => {
  const files = await dataFiles(options.data, options.resolve)
  let rows = 0
  for await (const _ of readRows(ranker, files, options)) rows++
  if (rows === 0) throw badInput('empty-data', 'holds no rows', { file: files.join(', ') })
  return { rows, ranked: rankAll(ranker, readRows(ranker, files, options), options.method) }
}

async function* readRows(
  ranker: Ranker,
  files: readonly string[],
  { columns = {} }: Pick<RankOptions, 'columns'>,
): AsyncGenerator<RankRow> {
  for (const file of files) {
    const { layout, batches } = await openRecords(file, { columns })
    for await (const batch of batches)
      for (const { value, row, line } of batch) {
        const location = { file, layout, row, line }
        const record = renamed(recordOf(value, location), columns)
        const read = conform(schema, record, location)
        yield atPlace({ file, row, line }, () => rankRow(ranker, read))
      }
  }
}

/** A record with its columns under their usual names, without those that are null. */
const renamed = (record: Record<string, unknown>, columns: Record<string, string>): Record<string, unknown> => {
  const named = Object.entries(columns).flatMap(([name, column]) =>
    column in record ? [[name, record[column]] as const] : [],
  )
  const all = Object.entries({ ...record, ...Object.fromEntries(named) })
  return Object.fromEntries(all.filter(([, value]) => value !== null))
}

const rankRow = (ranker: Ranker, { prompt, candidates, input_ids }: z.infer<typeof schema>): RankRow => {
  if (candidates) {
    const texts = pairTexts(prompt, candidates)
    ranker.check(texts)
    return { candidates: texts }
  }
  if (input_ids) return { pair: ranker.joined(input_ids) }
  throw badInput(
    'missing-column',
    'needs the columns prompt and candidates, or input_ids; --column NAME=COLUMN reads another column',
  )
}

async function* rankAll(
  ranker: Ranker,
  rows: AsyncGenerator<RankRow>,
  method: RankOptions['method'],
): AsyncGenerator<Ranked> {
  let chunk: RankRow[] = []
  for await (const row of rows) {
    chunk.push(row)
    if (chunk.length < chunkRows) continue
    yield* await rankChunk(ranker, chunk, method)
    chunk = []
  }
  if (chunk.length) yield* await rankChunk(ranker, chunk, method)
}

const rankChunk = async (
  ranker: Ranker,
  rows: readonly RankRow[],
  method: RankOptions['method'],
): Promise<Ranked[]> => {
  const pairs = rows.flatMap((row) => ('pair' in row ? [row.pair] : []))
  const lists = rows.flatMap((row) => ('pair' in row ? [] : [row.candidates]))
  const scores = await ranker.scores(pairs)
  const rankings =
    method === 'full' ? (await ranker.logits(lists)).map(ofLogits) : (await ranker.sorted(lists)).map(ofOrder)
  let [pair, list] = [0, 0]
  return rows.map((row) => ('pair' in row ? ofPair(scores[pair++]) : rankings[list++]))
}

const ofPair = (scores: [number, number]): Ranked => ({ scores, logit: scores[0] - scores[1] })

const ofLogits = (logits: number[][]): Ranked => {
  const scores = meanAdvantages(logits)
  return { ranks: ranksOf(scores), scores, logits }
}

const ofOrder = ({ order, logits }: { order: number[]; logits: (number | null)[][] }): Ranked => ({
  ranks: order.map((_, k) => 1 + order.indexOf(k)),
  logits,
})
