/** Parts the records of files into rows to train on and held-out rows, so that rows of the same prompt are on the same side. */
import { badInput } from '../util/fault.ts'
import { permutation, rng } from '../util/rng.ts'
import { digestOf } from '../util/sha256.node.ts'
import { stringify } from '../util/written.ts'
import type { ReaderOptions } from './formats.ts'
import { openRecords, scan } from './input.node.ts'
import { isMessages, type Row, type Text } from './rows.ts'

export type Split = {
  /** Of each record of the files in their order: whether it is held out. */
  heldOut: readonly boolean[]
  /** Different prompts, and those that are held out. */
  prompts: number
  heldOutPrompts: number
}

/** What is asked first: the prompt or the whole text; of a conversation what comes before the first answer, without a greeting. */
const askedIn = (row: Row): Text => {
  if (row.kind === 'text') return row.text
  if (row.kind === 'labelled') return row.input_ids
  const asked = row.kind === 'messages' ? row.messages : row.prompt
  if (!isMessages(asked)) return asked
  const question = asked.findIndex(({ role }) => role === 'user')
  if (question < 0) return asked
  const answer = asked.findIndex(({ role }, i) => i > question && role === 'assistant')
  return asked.slice(0, answer < 0 ? undefined : answer).filter(({ role }) => role !== 'assistant')
}

/** Equal for equal prompts; a text is the same prompt as a user's message of that text. */
const keyOf = (row: Row): string => {
  const asked = askedIn(row)
  const turn = isMessages(asked) && asked.length === 1 && asked[0].role === 'user' ? asked[0].content : undefined
  return digestOf(JSON.stringify(turn ?? asked))
}

/** Of a record that gives no row, such as an answer that nobody rated: its prompt if it is a text, else all of it. */
const keyOfRecord = (record: unknown, columns: ReaderOptions['columns'] = {}): string => {
  const prompt = (record as Record<string, unknown>)[columns.prompt ?? 'prompt']
  return digestOf(typeof prompt === 'string' ? JSON.stringify(prompt) : stringify(record))
}

/** The stream of random numbers that draws held-out prompts ("held" in ASCII). */
const STREAM = 0x68656c64

/**
 * Draws the held-out prompts by the seed until they have that share of the records.
 * @param fraction of the records, above 0 and below 1
 * @throws Fault for a row that is malformed; bad-file where rows are made of several records; empty-data for a single prompt
 */
export const splitFiles = async (
  files: readonly string[],
  {
    fraction,
    seed,
    name = files.join(', '),
    ...options
  }: ReaderOptions & { fraction: number; seed: number; name?: string },
): Promise<Split> => {
  const groups = new Map<string, number>()
  const sizes: number[] = []
  const groupOf: number[] = []
  for (const file of files)
    for await (const { raw, rows, reader } of scan(file, await openRecords(file, options), options)) {
      if (reader.format()?.gathers)
        throw badInput('bad-file', 'makes a row of several records; say with --to what rows to write', {
          file,
        })
      const key = rows.length ? keyOf(rows[0]) : keyOfRecord(raw.value, options.columns)
      const group = groups.get(key) ?? groups.size
      groups.set(key, group)
      sizes[group] = (sizes[group] ?? 0) + 1
      groupOf.push(group)
    }
  if (groups.size < 2)
    throw badInput('empty-data', groups.size ? 'has one prompt alone, which cannot be split' : 'holds no rows', {
      file: name,
    })
  const drawn = drawGroups(sizes, Math.round(fraction * groupOf.length), seed)
  return { heldOut: groupOf.map((group) => drawn.has(group)), prompts: groups.size, heldOutPrompts: drawn.size }
}

/** Groups in random order, as long as they fit; the smallest one where none does. Never all of them. */
const drawGroups = (sizes: readonly number[], wanted: number, seed: number): Set<number> => {
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const most = Math.min(wanted, total - 1)
  const order = [...permutation(sizes.length, rng(seed, STREAM))]
  const drawn = new Set<number>()
  let count = 0
  for (const group of order)
    if (count + sizes[group] <= most) {
      drawn.add(group)
      count += sizes[group]
    }
  return drawn.size ? drawn : new Set([order.reduce((a, b) => (sizes[b] < sizes[a] ? b : a))])
}

/** The records of one side in their order, as lines of JSON with all their columns. */
export async function* sideLines(
  files: readonly string[],
  { heldOut }: Split,
  side: boolean,
  options: ReaderOptions = {},
): AsyncGenerator<Buffer> {
  let at = 0
  for (const file of files)
    for await (const batch of (await openRecords(file, options)).batches)
      for (const { value } of batch) if (heldOut[at++] === side) yield Buffer.from(`${stringify(value)}\n`)
}
