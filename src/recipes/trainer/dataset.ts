/** Rows of a run to streams of examples: those to train on and those evalRows out. A recipe gives the rule that makes a row an example. */

import { resolveDataset } from '../../checkpoint/hub.node.ts'
import type { Kinds } from '../../data/convert.ts'
import type { Encoder, Limits } from '../../data/examples.ts'
import type { ReaderOptions } from '../../data/formats.ts'
import { type OpenedRows, openRows } from '../../data/openRows.node.ts'
import { rowOrder } from '../../data/shuffle.ts'
import type { RowSource } from '../../data/source.ts'
import type { LengthSettings } from '../../generate/tokenization.node.ts'
import type { WarningEvent } from '../../runs/events.ts'
import { type Counts, type ExampleStream, exampleStream } from '../../train/stream.ts'
import { badInput } from '../../util/fault.ts'
import { unreadWarnings } from './dataWarnings.ts'
import type { Policy } from './policy.ts'
import { requireKnownIds, type Vocabulary } from './tokenIds.ts'

export type DatasetSettings = {
  data: string[]
  column: Record<string, string>
  maxSamples?: number
  shuffle: boolean
  seed: number
  epochs: number
  evalData?: string[]
  evalSplit?: number
}

/** The rows of a run, open; `evalRows` are for evaluation. */
export type Dataset<K extends keyof Kinds> = {
  rows: OpenedRows<Kinds[K]>
  evalRows?: OpenedRows<Kinds[K]>
  close(): Promise<void>
}

/** @param keep what rows keep beside their own columns */
export const openDataset = async <K extends keyof Kinds>(
  as: K,
  settings: Pick<DatasetSettings, 'data' | 'column' | 'maxSamples' | 'evalData'>,
  keep: Pick<ReaderOptions, 'beside' | 'record'> = {},
): Promise<Dataset<K>> => {
  const open = (files: string[]) =>
    openRows(files, {
      as,
      columns: settings.column,
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

export type Examples<E extends object> = {
  train: ExampleStream<E>
  eval?: ExampleStream<E>
  /** Records of the files that gave no row, by reason: of those to train on and of those evalRows out. */
  dropped: { train: Counts; eval: Counts }
  files: string[]
  /** What is told of the files once. */
  warnings: WarningEvent[]
  /** All token ids of an example. */
  ids(example: E): readonly (readonly number[])[]
}

/** `--max-length` and what the model has positions for, whichever is less. */
export const limitsOf = (settings: LengthSettings, { model }: Pick<Policy, 'model'>): Limits => ({
  maxLength: Math.min(settings.maxLength, model.config.max_position_embeddings),
  maxPromptLength: settings.maxPromptLength,
})

export type ExampleRule<R, E> = {
  example(row: R, count: (what: string) => void): E | string
  truncated(example: E): boolean
  ids(example: E): readonly (readonly number[])[]
}

/** Rows to train on and those to evaluate on, by number. The rows set aside are drawn once, by the seed. */
export const splitRows = <K extends keyof Kinds>(
  { rows, evalRows }: Dataset<K>,
  settings: Pick<DatasetSettings, 'evalSplit' | 'seed'>,
): { train: RowSource<Kinds[K]>; evalRows?: RowSource<Kinds[K]> } => {
  const aside = evalRows || !settings.evalSplit ? 0 : Math.max(1, Math.floor(rows.length * settings.evalSplit))
  const kept = rows.length - aside
  if (kept < 1) throw badInput('empty-data', `leaves no row of ${rows.length} to train on`, { flag: '--eval-split' })
  const drawn = rowOrder(rows.length, { seed: settings.seed, shuffle: aside > 0 })
  const part = (from: number, length: number) => ({
    length,
    row: (i: number) => rows.row(drawn(from + i)),
    where: (i: number) => rows.where(drawn(from + i)),
  })
  return { train: part(aside, kept), evalRows: evalRows ?? (aside ? part(0, aside) : undefined) }
}

export const examplesOf = <K extends keyof Kinds, E extends object>(
  data: Dataset<K>,
  settings: DatasetSettings,
  vocabulary: Vocabulary,
  { example, truncated, ids }: ExampleRule<Kinds[K], E>,
): Examples<E> => {
  const { rows, evalRows } = data
  const parts = splitRows(data, settings)
  const { epochs } = settings
  const inOrder = (position: number) => position
  const rule = {
    example: (row: Kinds[K], count: (what: string) => void) => {
      const made = example(row, count)
      requireKnownIds(row, typeof made === 'string' ? [] : ids(made), vocabulary)
      return made
    },
    truncated,
  }
  return {
    train: exampleStream({ ...parts.train, order: rowOrder(parts.train.length, settings), epochs, ...rule }),
    eval: parts.evalRows && exampleStream({ ...parts.evalRows, order: inOrder, epochs: 1, ...rule }),
    dropped: { train: rows.dropped, eval: evalRows?.dropped ?? {} },
    files: [...rows.files, ...(evalRows?.files ?? [])],
    warnings: unreadWarnings([rows, evalRows]),
    ids,
  }
}

/** What a model and the tokenizer of its rows know. */
export const vocabularyOf = ({ model }: Pick<Policy, 'model'>, encoder: Encoder): Vocabulary => ({
  vocabulary: model.config.vocab_size,
  encoder,
})
