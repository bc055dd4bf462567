/** Reads files of judgements and of marks, of MT-bench's questions for their categories, and of the regulariser of AlpacaEval. */
import { z } from 'zod'
import { conform, type RecordLocation, recordOf, rowFault } from '../../data/check.ts'
import { openRecords } from '../../data/input.node.ts'
import { badInput } from '../../util/fault.ts'
import type { MarkedPair } from '../bias/markOrder.ts'
import { type JudgedPair, judgementKinds, judgementReader } from './judgements.ts'
import type { Regularizer } from './lengthControl.ts'
import { isGrade, isMark, type Mark, readGrade, readMark } from './marks.ts'

type Columns = Record<string, unknown>

/** The records of a file with their places. In a csv, numbers are texts, and nothing is an empty field. */
async function* recordsOf(file: string): AsyncGenerator<{ record: Columns; location: RecordLocation }> {
  const { layout, batches } = await openRecords(file)
  for await (const batch of batches)
    for (const { value, row, line } of batch) {
      const location: RecordLocation = { file, layout, row, line }
      const record = recordOf(value, location)
      yield { record: layout === 'csv' ? withNumbers(record) : record, location }
    }
}

const numeric = /^(preference|index|len_\w+|turn|score|difficulty|p_verbose|p_concise)$/

const withNumbers = (record: Columns): Columns =>
  Object.fromEntries(
    Object.entries(record)
      .filter(([, value]) => value !== '')
      .map(([name, value]) => [name, numeric.test(name) && typeof value === 'string' ? Number(value) : value]),
  )

export type Judged = {
  judgements: JudgedPair[]
  marks: Mark[]
  /** Pairs with marks side by side, in both orders. */
  markedPairs: MarkedPair[]
}

/**
 * All judgements and marks of these files. The first record of a file says what it holds.
 * @param categories of questions, for rows without one
 * @throws Fault for a row that is malformed, and 'unknown-columns' for a file of something else, with its place; 'empty-data'
 */
export const readJudgements = async (
  files: readonly string[],
  categories: ReadonlyMap<string, string> = new Map(),
): Promise<Judged> => {
  const all: Judged = { judgements: [], marks: [], markedPairs: [] }
  for (const file of files) {
    const found: Judged = { judgements: [], marks: [], markedPairs: [] }
    let read: ((record: Columns, location: RecordLocation) => void) | undefined
    for await (const { record, location } of recordsOf(file)) {
      // What attune judge says before and after its verdicts
      if (record.event !== undefined) continue
      read ??= readerOf(record, location, categories, found)
      read(record, location)
    }
    // A grade that could not be read looks like a verdict that could not
    const isGraded = found.marks.length > 0 && found.judgements.every(({ preferred }) => preferred === undefined)
    if (isGraded) found.marks.push(...found.judgements.splice(0).map(unmarked))
    for (const key of ['judgements', 'marks', 'markedPairs'] as const) all[key].push(...(found[key] as never[]))
  }
  if (!all.judgements.length && !all.marks.length && !all.markedPairs.length)
    throw badInput('empty-data', 'holds no rows', { file: files.join(', ') })
  return all
}

const unmarked = ({ item, a, turn = 1, category }: JudgedPair): Mark => ({
  item,
  model: a,
  turn,
  ...(category && { category }),
})

const readerOf = (
  record: Columns,
  location: RecordLocation,
  categories: ReadonlyMap<string, string>,
  { judgements, marks, markedPairs }: Judged,
) => {
  const placed = <T extends { item: string; category?: string }>(row: T): T => {
    const category = row.category ?? categories.get(row.item)
    return category === undefined ? row : { ...row, category }
  }
  if (isMark(record)) return (each: Columns, at: RecordLocation) => void marks.push(placed(readMark(each, at)))
  if ('scores_swapped' in record)
    return (each: Columns, at: RecordLocation) => void markedPairs.push(readMarkedPair(each, at))
  const read = judgementReader(record)
  if (!read)
    throw rowFault(
      'unknown-columns',
      `holds no judgements; they are ${judgementKinds.join(', ')}, marks (question_id, model, score), or marks in both orders (scores, scores_swapped)`,
      location,
    )
  return (each: Columns, at: RecordLocation) => {
    if (isGrade(each)) marks.push(placed(readGrade(each, at)))
    else judgements.push(placed(read(each, at)))
  }
}

const bothMarks = z.tuple([z.number(), z.number()]).nullable()

const markedPair = z.object({
  id: z.union([z.string(), z.number()]).transform(String).optional(),
  scores: bothMarks,
  scores_swapped: bothMarks,
})

/** Marks of A and of B, with A first and with B first; null where there were none. */
const readMarkedPair = (record: Columns, location: RecordLocation): MarkedPair => {
  const { id, scores, scores_swapped } = conform(markedPair, record, location)
  return { item: id ?? String(location.row), first: scores, second: scores_swapped }
}

const question = z.object({
  question_id: z.union([z.string(), z.number()]).transform(String),
  category: z.string().min(1),
})

/** The category of each question of MT-bench's question file. @throws Fault duplicate-id, and for a malformed row */
export const readCategories = async (file: string): Promise<Map<string, string>> => {
  const categories = new Map<string, string>()
  for await (const { record, location } of recordsOf(file)) {
    const { question_id, category } = conform(question, record, location)
    if (categories.has(question_id))
      throw rowFault('duplicate-id', `${question_id} is the question of an earlier row, too`, location, 'question_id')
    categories.set(question_id, category)
  }
  return categories
}

const probability = z.number().min(0).max(1)
const length = z.number().nonnegative()

const prompt = z.object({
  difficulty: z.number(),
  len_baseline: length,
  len_verbose: length,
  len_concise: length,
  p_verbose: probability,
  p_concise: probability,
})

/**
 * A file of prompts with their difficulty, the length of the baseline's answer, and lengths and win probabilities of two rewrites of it.
 * @throws Fault for a row that is malformed, 'empty-data'
 */
export const readRegularizer = async (file: string): Promise<Regularizer> => {
  const rows: z.output<typeof prompt>[] = []
  for await (const { record, location } of recordsOf(file)) rows.push(conform(prompt, record, location))
  if (!rows.length) throw badInput('empty-data', 'holds no rows', { file })
  return {
    difficulty: rows.map(({ difficulty }) => difficulty),
    baseline: rows.map(({ len_baseline }) => len_baseline),
    rewrites: [
      { length: rows.map(({ len_verbose }) => len_verbose), preferred: rows.map(({ p_verbose }) => p_verbose) },
      { length: rows.map(({ len_concise }) => len_concise), preferred: rows.map(({ p_concise }) => p_concise) },
    ],
  }
}
