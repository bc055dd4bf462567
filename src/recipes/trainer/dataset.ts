/**
 * The rows of a run: opened, split into training and evaluation rows, turned into tokenised examples by the method's own
 * rule, and surveyed. The survey makes the example of every row once before the first step, so that a row that cannot be
 * read ends the run before anything is written, and rows that are dropped or odd are known when the run starts.
 */

import { resolveDataset } from '../../checkpoint/hub.node.ts'
import type { Kinds } from '../../data/convert.ts'
import { dropReasons } from '../../data/dropReasons.ts'
import type { ReaderOptions } from '../../data/formats.ts'
import { type LabelCounts, labelsText } from '../../data/labelRule.ts'
import { type OpenedRows, openRows } from '../../data/openRows.node.ts'
import type { Row } from '../../data/rows.ts'
import { rowOrder } from '../../data/shuffle.ts'
import type { RowSource } from '../../data/source.ts'
import { strayId } from '../../data/tokenIds.ts'
import { unreadColumns } from '../../data/unread.ts'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { ProgressEvent, WarningEvent } from '../../runs/events.ts'
import { type Counts, type ExampleStream, exampleStream } from '../../train/stream.ts'
import { badInput } from '../../util/fault.ts'
import { quoted } from '../../util/quote.ts'
import { closeLook } from '../check/beforeTraining.ts'
import { makeRowChecks, type RowChecks } from '../check/rowChecks.ts'
import type { CheckedMethod, Sequence } from '../check/rowSigns.ts'

// Opening and splitting

export type DatasetSettings = {
  data: string[]
  column: Record<string, string>
  label?: string
  chat: boolean
  maxSamples?: number
  shuffle: boolean
  seed: number
  epochs: number
  evalData?: string[]
  evalSplit?: number
}

/** The rows of a run as their files have them. `evalRows` are those of --eval-data. */
export type Dataset<K extends keyof Kinds> = {
  rows: OpenedRows<Kinds[K]>
  evalRows?: OpenedRows<Kinds[K]>
  close(): Promise<void>
}

/** @param keep what rows keep beside their own columns */
export const openDataset = async <K extends keyof Kinds>(
  as: K,
  settings: Pick<DatasetSettings, 'data' | 'column' | 'label' | 'chat' | 'maxSamples' | 'evalData'>,
  keep: Pick<ReaderOptions, 'beside' | 'record'> = {},
): Promise<Dataset<K>> => {
  const open = (files: string[]) =>
    openRows(files, {
      as,
      columns: settings.column,
      label: settings.label,
      chat: settings.chat,
      ...keep,
      maxSamples: settings.maxSamples,
      resolve: resolveDataset,
    }) as Promise<OpenedRows<Kinds[K]>>
  const rows = await open(settings.data)
  try {
    const evalRows = settings.evalData && (await open(settings.evalData))
    return { rows, evalRows, close: async () => void (await Promise.all([rows.close(), evalRows?.close()])) }
  } catch (error) {
    await rows.close()
    throw error
  }
}

/** Training and evaluation rows. --eval-split draws the evaluation rows once, by the seed. */
export const splitRows = <K extends keyof Kinds>(
  { rows, evalRows }: Dataset<K>,
  settings: Pick<DatasetSettings, 'evalSplit' | 'seed'>,
): { train: RowSource<Kinds[K]>; evalRows?: RowSource<Kinds[K]> } => {
  const evalCount = evalRows || !settings.evalSplit ? 0 : Math.max(1, Math.floor(rows.length * settings.evalSplit))
  const trainCount = rows.length - evalCount
  if (trainCount < 1)
    throw badInput('empty-data', `leaves no row of ${rows.length} to train on`, { flag: '--eval-split' })
  const drawn = rowOrder(rows.length, { seed: settings.seed, shuffle: evalCount > 0 })
  const slice = (from: number, length: number) => ({
    length,
    row: (i: number) => rows.row(drawn(from + i)),
    where: (i: number) => rows.where(drawn(from + i)),
  })
  return {
    train: slice(evalCount, trainCount),
    evalRows: evalRows ?? (evalCount ? slice(0, evalCount) : undefined),
  }
}

// Tokenised examples

/** How a method turns a row into an example. */
export type ExampleRule<R, E> = {
  /** The example, or the reason why the row is dropped. @param count notes something odd about a row that is used */
  example(row: R, count: (what: string) => void): E | string
  /** All token ids of an example. */
  ids(example: E): readonly (readonly number[])[]
  /** The example as its checks see it. */
  sequences(example: E): Sequence[]
  /** The method whose rules say what is wrong with rows. */
  method: CheckedMethod
}

export type Examples<E extends object> = {
  train: ExampleStream<E>
  eval?: ExampleStream<E>
  /** Records of the files that gave no row, by reason. */
  dropped: { train: Counts; eval: Counts }
  files: string[]
  /** Warnings about the files, given once. */
  warnings: WarningEvent[]
  /** What the survey finds wrong with the rows. */
  checks: RowChecks
  ids: ExampleRule<never, E>['ids']
  /** Of held-out rows, or else of those that are trained on: whose prompts samples are made for. */
  sampledRows: RowSource<Row>
}

/** The rule with a check that the model has every token id of the example. */
export const checkedRule = <R extends Row, E>(
  rule: ExampleRule<R, E>,
  tokenization: Pick<Tokenization, 'vocabulary' | 'encoder'>,
): ExampleRule<R, E> => ({
  ...rule,
  example: (row, count) => {
    const made = rule.example(row, count)
    requireKnownIds(row, typeof made === 'string' ? [] : rule.ids(made), tokenization)
    return made
  },
})

export const makeExamples = <K extends keyof Kinds, E extends { truncated: boolean }>(
  dataset: Dataset<K>,
  settings: DatasetSettings,
  tokenization: Pick<Tokenization, 'vocabulary' | 'encoder' | 'tokenizer' | 'eosIds'>,
  given: ExampleRule<Kinds[K], E>,
): Examples<E> => {
  const { rows, evalRows } = dataset
  const split = splitRows(dataset, settings)
  const { example, ids, sequences, method } = checkedRule(given, tokenization)
  const rule = { example, truncated: ({ truncated }: E) => truncated }
  const checks = makeRowChecks(method, tokenization, closeLook(split))
  const madeOf = (made: E | string) =>
    typeof made === 'string' ? made : { truncated: made.truncated, sequences: () => sequences(made) }
  return {
    train: exampleStream({
      ...split.train,
      order: rowOrder(split.train.length, settings),
      epochs: settings.epochs,
      ...rule,
      surveyed: (row, { example, ...more }) => checks.train({ row, made: madeOf(example), ...more }),
    }),
    eval:
      split.evalRows &&
      exampleStream({
        ...split.evalRows,
        order: (position) => position,
        epochs: 1,
        ...rule,
        surveyed: (row, { example, where }) => checks.held({ row, made: madeOf(example), where }),
      }),
    checks,
    dropped: { train: rows.dropped, eval: evalRows?.dropped ?? {} },
    files: [...rows.files, ...(evalRows?.files ?? [])],
    warnings: [...labelWarnings([rows, evalRows]), ...unreadWarnings([rows, evalRows])],
    ids,
    sampledRows: split.evalRows ?? split.train,
  }
}

/**
 * Checks that the model has an embedding for every token id of a row. An id past the last one would fail inside the engine,
 * or read another token's numbers. A tokenizer may have more tokens than the model as long as no row uses them (a padding
 * token that was added and never trained).
 * Throws Faults 'bad-id' where the row itself holds such an id, and 'bad-tokenizer' where the tokenizer gives its texts one.
 * @param ids of what was made of the row
 */
export const requireKnownIds = (
  row: Row,
  ids: readonly (readonly number[])[],
  { vocabulary, encoder }: Pick<Tokenization, 'vocabulary' | 'encoder'>,
): void => {
  const own = strayId(row, vocabulary)
  if (own !== undefined)
    throw badInput(
      'bad-id',
      `holds the token id ${own}, but the model's ids end at ${vocabulary - 1}; give the ids of its own tokenizer`,
    )
  if (encoder.size <= vocabulary) return
  for (const list of ids) {
    const stray = list.find((id) => id >= vocabulary)
    if (stray !== undefined)
      throw badInput(
        'bad-tokenizer',
        `the tokenizer gives this row the id ${stray}, but the model's ids end at ${vocabulary - 1}; the tokenizer is another model's`,
      )
  }
}

// The survey and what it found

type Surveyed = Pick<ExampleStream<never>, 'length' | 'survey' | 'found'>

/** Rows between two progress events. */
const progressRows = 256

/** Surveys the streams one after the other. After an abort it ends early: nothing will be trained on. */
export async function* surveyRows(
  streams: readonly (Surveyed | undefined)[],
  signal?: AbortSignal,
): AsyncGenerator<ProgressEvent, void> {
  const present = streams.filter((stream) => stream !== undefined)
  const total = present.reduce((n, { length }) => n + length, 0)
  let before = 0
  let last = 0
  for (const stream of present) {
    for await (const through of stream.survey()) {
      if (signal?.aborted) return
      const done = before + through
      if (total <= progressRows || (done - last < progressRows && done < total)) continue
      last = done
      yield { event: 'progress', phase: 'tokenize', done, total }
    }
    before += stream.length
  }
}

/** Rows that are not used, by reason: records that gave no row, and rows that gave no example. */
export const droppedRows = (dropped: Counts, stream: Pick<ExampleStream<never>, 'found'>): Counts => {
  const all = { ...dropped }
  for (const [why, n] of Object.entries(stream.found().dropped)) all[why] = (all[why] ?? 0) + n
  return all
}

const messages: Record<string, string> = {
  'prompt-not-prefix':
    'rows whose tokenised prompt is not the beginning of the tokenised prompt and response; the response was cut out by the length of the prompt',
  'no-reply-left': 'rows dropped: the length limits left no response',
  'no-target-left': 'rows dropped: the length limit left nothing to predict',
  'equal-replies': 'rows whose responses are the same tokens but have different ranks: nothing can be learnt from them',
  truncated: 'rows cut to the length limits',
  tie: 'rows dropped: a loss on pairs learns nothing from two responses of equal rank',
  contradiction: 'rows dropped: a response is rated above one that it is ranked below (--margins ratings)',
  empty: 'rows dropped: too short to predict anything',
}

/** @param own a method's own messages by reason, which come first */
export const countWarnings = (counts: Iterable<[string, number]>, own: Record<string, string> = {}): WarningEvent[] =>
  Array.from(counts, ([code, count]) => ({
    event: 'warning',
    code,
    message: own[code] ?? messages[code] ?? (code in dropReasons ? `rows dropped: ${dropReasons[code]}` : code),
    count,
  }))

/** Warnings about the rows of a surveyed stream. */
export const rowWarnings = (
  stream: Pick<ExampleStream<never>, 'found'>,
  own?: Record<string, string>,
): WarningEvent[] => {
  const { odd, dropped } = stream.found()
  return countWarnings([...Object.entries(odd), ...Object.entries(dropped)], own)
}

/** Columns that other trainers read and this one does not, one warning each. */
export const unreadWarnings = (opened: readonly (Pick<OpenedRows, 'unread'> | undefined)[]): WarningEvent[] => {
  const counts: Record<string, number> = {}
  for (const rows of opened)
    for (const [column, n] of Object.entries(rows?.unread ?? {})) counts[column] = (counts[column] ?? 0) + n
  return Object.entries(counts).map(([column, count]) => ({
    event: 'warning',
    code: 'column-not-read',
    message: `the column ${quoted(column)} is not read: ${unreadColumns[column]}`,
    count,
  }))
}

/** How labels were read that are no plain true or false. */
const labelWarnings = (opened: readonly (Pick<OpenedRows, 'labels'> | undefined)[]): WarningEvent[] => {
  const labels: LabelCounts = {}
  for (const rows of opened)
    for (const [value, { label, count }] of Object.entries(rows?.labels ?? {})) {
      labels[value] ??= { label, count: 0 }
      labels[value].count += count
    }
  return Object.keys(labels).length ? [{ event: 'warning', code: 'labels-read', message: labelsText(labels) }] : []
}
