/** What is in a file of rows: its kind, columns, lengths, repeated rows, and what each kind of training could use of it. */
import { createHash } from 'node:crypto'
import { quantile } from '../statistics/quantiles.ts'
import { atPlace, badInput, Fault, type Where } from '../util/fault.ts'
import { digestOf } from '../util/sha256.node.ts'
import { stringify } from '../util/written.ts'
import { type Kinds, pairNeighbours } from './convert.ts'
import type { Dialect } from './csvDialect.ts'
import { type Encoder, encodePrompt, rankedExample, textExample, unpairedExample } from './examples.ts'
import type { ReaderOptions, RowReader } from './formats.ts'
import { openRecords, scan } from './input.node.ts'
import { contentText } from './messages.ts'
import { keptRows } from './openRows.node.ts'
import { isMessages, type Row, type Text } from './rows.ts'

export type Counts = Record<string, number>
/** The rows that a use of the file would have and drop, by reason; or why it has none. */
export type Use = { rows: number; dropped: Counts; refused?: string }
export type Spread = { median: number; p95: number; longest: number }

export type FileSurvey = {
  file: string
  /** The name of the format in the table of formats. */
  format: string
  dialect?: Dialect
  records: number
  /** Rows of each kind. */
  kinds: Counts
  /** Records that have something in a column. */
  columns: Counts
  unit: 'tokens' | 'characters'
  /** Of a row (prompt and its longest response), of prompts and of responses. */
  lengths: Partial<Record<'row' | 'prompt' | 'response', Spread>>
  /** Prompts with good and bad single answers, which `--to ranking` puts together. */
  contested: number
  /** Rows that are longer than `maxLength`. */
  longer: number
  uses: Record<keyof Kinds, Use>
  /** Columns that are not read and mean something elsewhere. */
  unread: Counts
  /** Records that are the same as an earlier one, and the first of them. */
  duplicates: { records: number; first?: { row: number; of: number } }
  /** Records whose id an earlier one has. */
  repeatedIds: number
  /** The first row. */
  sample: Row
}

export type SurveyOptions = ReaderOptions & {
  /** Lengths are counted by it, as in training; without it in characters. */
  encoder?: Encoder
  maxLength: number
}

/** @throws Fault for a row that is malformed; empty-data where there is none */
export const surveyFile = async (file: string, options: SurveyOptions): Promise<FileSurvey> => {
  const { encoder, maxLength } = options
  const source = await openRecords(file, options)
  const uses = useCounter()
  const [records, ids] = [repeats(), repeats()]
  const counts = { kinds: {} as Counts, columns: {} as Counts, unread: {} as Counts }
  const lengths = { row: [] as number[], prompt: [] as number[], response: [] as number[] }
  const verdicts = new Map<string, Set<boolean>>()
  let sample: Row | undefined
  let format = ''
  const noteRow = (row: Row, where: Where) => {
    sample ??= row
    add(counts.kinds, row.kind)
    uses.note(row)
    if (row.kind === 'unpaired') {
      const key = digestOf(stringify(row.prompt))
      verdicts.set(key, (verdicts.get(key) ?? new Set()).add(row.label))
    }
    const sizes = encoder ? atPlace(where, () => tokensOf(encoder, row)) : charactersOf(row)
    lengths.row.push((sizes.prompt ?? 0) + sizes.responses.reduce((most, size) => Math.max(most, size), 0))
    if (sizes.prompt === undefined) return
    lengths.prompt.push(sizes.prompt)
    for (const size of sizes.responses) lengths.response.push(size)
  }
  let last: { reader: RowReader; where: Where } | undefined
  for await (const { raw, rows, skipped, unread, reader } of scan(file, source, options)) {
    const where: Where = { file, row: raw.row, line: raw.line }
    last = { reader, where }
    format = reader.format()!.name
    records.note(JSON.stringify(raw.value), raw.row)
    for (const [name, value] of Object.entries(raw.value as object)) add(counts.columns, name, hasSomething(value))
    for (const column of unread) add(counts.unread, column)
    for (const { reason } of skipped) uses.drop(reason)
    const id = rows[0]?.id
    if (id !== undefined) ids.note(JSON.stringify(id), raw.row)
    for (const row of rows) noteRow(row, where)
  }
  if (last) for (const row of last.reader.end().rows) noteRow(row, last.where)
  if (!sample)
    throw badInput('empty-data', records.total() ? 'none of its records gave a row' : 'holds no rows', { file })
  const longer = lengths.row.filter((length) => length > maxLength).length
  const spreads = Object.entries(lengths).flatMap(([name, sizes]) => (sizes.length ? [[name, spreadOf(sizes)]] : []))
  return {
    file,
    format,
    dialect: source.dialect?.(),
    records: records.total(),
    ...counts,
    unit: encoder ? 'tokens' : 'characters',
    lengths: Object.fromEntries(spreads),
    contested: [...verdicts.values()].filter(({ size }) => size > 1).length,
    longer,
    uses: uses.end(),
    duplicates: { records: records.repeated(), first: records.first() },
    repeatedIds: ids.repeated(),
    sample,
  }
}

const add = (counts: Counts, name: string, n = 1) => {
  const before = Object.hasOwn(counts, name) ? counts[name] : 0
  Object.defineProperty(counts, name, { value: before + n, enumerable: true, configurable: true, writable: true })
}

const hasSomething = (value: unknown) => Number(value !== null && value !== undefined && value !== '')

const spreadOf = (sizes: number[]): Spread => {
  const sorted = Float64Array.from(sizes).sort() as unknown as number[]
  const at = (q: number) => Math.round(quantile(sorted, q))
  return { median: at(0.5), p95: at(0.95), longest: at(1) }
}

// What training would use

const kinds: readonly (keyof Kinds)[] = ['sft', 'ranking', 'unpaired', 'completion', 'prompt']

/** Counts as openRows would, for every kind at once. */
const useCounter = () => {
  const uses = Object.fromEntries(kinds.map((as) => [as, { rows: 0, dropped: {} }])) as Record<keyof Kinds, Use>
  const dropped = (as: keyof Kinds) => (reason: string, n?: number) => add(uses[as].dropped, reason, n)
  const neighbours = pairNeighbours(dropped('ranking'))
  return {
    /** A record that gave no row. */
    drop: (reason: string) => {
      for (const as of kinds) dropped(as)(reason)
    },
    note: (row: Row) => {
      for (const as of kinds) {
        const use = uses[as]
        if (use.refused) continue
        try {
          const made = row.kind === 'rated' && as === 'ranking' ? neighbours.push(row) : keptRows(row, as, dropped(as))
          use.rows += made.length
        } catch (error) {
          if (!(error instanceof Fault) || error.code !== 'wrong-kind') throw error
          uses[as] = { rows: 0, dropped: {}, refused: error.message }
        }
      }
    },
    end: () => {
      neighbours.end()
      return uses
    },
  }
}

// Lengths

type Sizes = { prompt?: number; responses: number[] }

const charactersOf = (row: Row): Sizes => {
  if (row.kind === 'text') return { responses: [characters(row.text)] }
  if (row.kind === 'messages') return { responses: [characters(row.messages)] }
  if (row.kind === 'labelled') return { responses: [row.input_ids.length] }
  const prompt = characters(row.prompt)
  if (row.kind === 'prompt') return { prompt, responses: [] }
  if (row.kind === 'ranking') return { prompt, responses: row.responses.map(characters) }
  return { prompt, responses: [characters(row.kind === 'rated' ? row.response : row.completion)] }
}

const characters = (text: Text): number =>
  isMessages(text) ? text.reduce((n, message) => n + contentText(message).length, 0) : text.length

const uncut = { maxLength: Number.POSITIVE_INFINITY }
const wholeText = { assistantOnly: false, completionOnly: false }
const ignore = () => {}

/** As training makes them: with the chat template, special tokens and the end of a text. */
const tokensOf = (encoder: Encoder, row: Row): Sizes => {
  if (row.kind === 'labelled') return charactersOf(row)
  if (row.kind === 'prompt') return { prompt: encodePrompt(encoder, row.prompt, row.template).length, responses: [] }
  if (row.kind === 'text' || row.kind === 'messages') {
    const made = textExample(encoder, row, uncut, wholeText, ignore)
    return { responses: [typeof made === 'string' ? 0 : made.ids.length] }
  }
  if (row.kind === 'ranking') {
    const made = rankedExample(encoder, row, uncut, ignore)
    return typeof made === 'string'
      ? { responses: [0] }
      : { prompt: made.prompt.length, responses: made.responses.map((ids) => ids.length) }
  }
  const completion = row.kind === 'rated' ? row.response : row.completion
  const { id, prompt, template } = row
  const made = unpairedExample(
    encoder,
    { kind: 'unpaired', id, prompt, template, completion, label: true },
    uncut,
    ignore,
  )
  return typeof made === 'string'
    ? { responses: [0] }
    : { prompt: made.prompt.length, responses: [made.completion.length] }
}

// ---- repeats ---------------------------------------------------------------------------------------------------------

/** Texts that were seen before, by their hash. */
const repeats = () => {
  const seen = new Map<string, number>()
  let total = 0
  let repeated = 0
  let first: { row: number; of: number } | undefined
  return {
    note: (text: string, row: number) => {
      const key = createHash('sha256').update(text).digest('base64').slice(0, 20)
      const of = seen.get(key)
      total++
      if (of === undefined) seen.set(key, row)
      else {
        repeated++
        first ??= { row, of }
      }
    },
    total: () => total,
    repeated: () => repeated,
    first: () => first,
  }
}
