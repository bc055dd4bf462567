/** What a run of self-play works with, and the files of its iterations, by whose contents a phase knows what is done already. */
import { join } from 'node:path'
import type { Tokenization } from '../../generate/tokenization.node.ts'
import type { Run } from '../../runs/run.node.ts'
import type { LineFile } from '../../store/lines.node.ts'
import type { LossFunction } from '../../train/loss.ts'
import { badInput } from '../../util/fault.ts'
import type { Resources } from '../../util/resources.ts'
import { type Dataset, splitRows } from '../trainer/dataset.ts'
import type { Policy } from '../trainer/policy.ts'
import type { TrainEvent } from '../trainer/recipe.ts'
import { openCompletions, type RowCompletion, type SelfPlayRows } from './completions.ts'
import type { HelperModels } from './helperModels.ts'
import { type EqualRule, type List, type ListSources, openLists } from './lists.ts'
import type { IterationSettings } from './training.ts'

export type SelfPlaySettings = IterationSettings & {
  beta: readonly number[]
  mixIterations: boolean
  onEqual: EqualRule
  maxNewTokens: number
  temperature: number
  topP: number
  stopMargin: boolean
  exactMatch: boolean
}

export type SelfPlayContext = {
  settings: SelfPlaySettings
  run: Run
  signal: AbortSignal
  /** Closes a file when the run ends. */
  own: Resources['own']
  dataset: Dataset<'completion'>
  rows: SelfPlayRows
  evalRows?: SelfPlayRows
  policy: Policy
  tokenization: Tokenization
  helpers: HelperModels
  /** The objective of an iteration, counted from 1. */
  loss(iteration: number): LossFunction
  /** T-SPIN: the loss reads no log-probs of the snapshot, and ranks say which model a completion is from. */
  tspin: boolean
  /** Lists also hold the completion of the model before any training. */
  historic: boolean
}

/** Throws a Fault 'bad-flag' where --stop-margin has no evaluation rows to go by. */
export const selfPlayRows = (
  dataset: Dataset<'completion'>,
  settings: Parameters<typeof splitRows>[1] & Pick<SelfPlaySettings, 'stopMargin'>,
): { rows: SelfPlayRows; evalRows?: SelfPlayRows } => {
  const { train, evalRows } = splitRows(dataset, settings)
  if (settings.stopMargin && !evalRows)
    throw badInput('bad-flag', 'needs rows that are not trained on: give --eval-data or --eval-split', {
      flag: '--stop-margin',
    })
  return { rows: { ...train, name: 'train' }, evalRows: evalRows && { ...evalRows, name: 'held' } }
}

/** Without evaluation rows the first so many training rows are evaluated. */
const evaluatedCount = 256

export const evaluatedRows = ({ rows, evalRows }: SelfPlayContext): SelfPlayRows =>
  evalRows ?? { ...rows, length: Math.min(rows.length, evaluatedCount) }

/** A phase of an iteration: the run stops where it ends with `interrupted`. */
export const interrupted = Symbol('interrupted')
export type Phase<T> = AsyncGenerator<TrainEvent, T | typeof interrupted>

// Files of an iteration

export const iterationPath = ({ run }: SelfPlayContext, iteration: number, name: string) =>
  join(run.dir, 'iterations', String(iteration), name)

/** The policy's completions of an iteration. */
export const openOwnCompletions = async (
  context: SelfPlayContext,
  rows: SelfPlayRows,
  iteration: number,
): Promise<LineFile<RowCompletion>> =>
  context.own(
    await openCompletions(
      iterationPath(context, iteration, `${rows.name}-answers.jsonl`),
      rows,
      context.settings.maxNewTokens,
    ),
  )

export type IterationLists = {
  path: string
  file: LineFile<List>
  sources: ListSources
  /** Lines of the file when it is complete. */
  total: number
}

export const openIterationLists = async (
  context: SelfPlayContext,
  rows: SelfPlayRows,
  iteration: number,
): Promise<IterationLists> => {
  const { settings, helpers, tokenization, evalRows, tspin, historic } = context
  const isTrain = rows.name === 'train'
  const numbers = settings.mixIterations && isTrain && iteration > 1 ? [iteration, iteration - 1] : [iteration]
  const own = await Promise.all(
    numbers.map(async (from) => ({ from, completions: await openOwnCompletions(context, rows, from) })),
  )
  const sources: ListSources = {
    tokenization,
    rows,
    helpers: helpers.list,
    own,
    first: historic && iteration > 1 ? await openOwnCompletions(context, rows, 1) : undefined,
    onEqual: settings.onEqual,
    tspin,
    evaluated: isTrain ? (evalRows ? 0 : evaluatedRows(context).length) : rows.length,
  }
  const path = iterationPath(context, iteration, `${rows.name}-lists.jsonl`)
  return { path, file: context.own(await openLists(path, sources)), sources, total: rows.length * own.length }
}
