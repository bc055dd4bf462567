/** What a run of self-rewarding works with, the files of its folder, and the models that it has made so far. */
import { dirname, join } from 'node:path'
import type { Completion, Ranking } from '../../data/rows.ts'
import type { RowSource } from '../../data/source.ts'
import type { Judge as PairwiseJudge } from '../../feedback/judge/judge.ts'
import { localTextModel } from '../../feedback/textModel/localModel.ts'
import type { TextModel } from '../../feedback/textModel/textModel.ts'
import { openModel } from '../../passes/open.node.ts'
import { modelOfRun } from '../../runs/find.node.ts'
import type { Run } from '../../runs/run.node.ts'
import { type LineFile, type LineOptions, openLines, writeLines } from '../../store/lines.node.ts'
import { assert, badInput } from '../../util/fault.ts'
import { diskFault, makeFolders } from '../../util/files.node.ts'
import type { WithLearningRate } from '../trainer/defaultLearningRate.ts'
import type { Loading, TrainEvent } from '../trainer/recipe.ts'
import type { Judge } from './judges.ts'
import type { SelfRewardSettings } from './schema.ts'

/** The settings that decide what is sampled, scored and trained. */
export type Settings = WithLearningRate<SelfRewardSettings>

export type SelfRewardContext = {
  settings: Settings
  run: Run
  signal: AbortSignal
  loading: Loading
  /** The instruction data. */
  rows: RowSource<Completion>
  /** Rankings of people to make EFT rows of, and EFT rows that are given. */
  rankings?: RowSource<Ranking>
  eftRows?: RowSource<Completion>
  /** Rankings of people that nothing is learnt from. */
  heldOut?: RowSource<Ranking>
  /** Whether the instruction data are conversations: then so are new prompts. */
  chat: boolean
  /** Texts of the prompts for judging and for new prompts. */
  templates: { judge: string; instruct: string }
  /** Another judge than the model itself. */
  judge?: OtherJudge
  /** Who compares the answers of two models. */
  outsideJudge?: OutsideJudge
  /** Optimizer steps of the models that are trained already. */
  steps: { before: number }
  /** Lines of the files that finished phases wrote, by phase, where nothing else tells how many there must be. */
  lines: Map<string, number>
  /** The model that is open to write texts. */
  open: { name?: string; model?: TextModel }
}

/** Compares two answers; `open` opens it again after a training. */
export type OutsideJudge = { name: string; open(): Promise<PairwiseJudge>; close(): Promise<void> }
export type OtherJudge = {
  name: string
  /** Whether it writes its judgements. */
  writes: boolean
  open(): Promise<Judge>
  /** Gives memory back before a training; `open` opens it again. */
  close(): Promise<void>
}

/** A phase of the run: false where it was interrupted. */
export type Phase = AsyncGenerator<TrainEvent, boolean>

// Files

export const pathIn = ({ run }: Pick<SelfRewardContext, 'run'>, ...names: string[]) => join(run.dir, ...names)

/** Opens a file of lines, hands it over and closes it. */
export async function* withLines<T extends object, E, R>(
  path: string,
  options: LineOptions<T>,
  work: (file: LineFile<T>) => AsyncGenerator<E, R>,
): AsyncGenerator<E, R> {
  const file = await openLines(path, options)
  try {
    return yield* work(file)
  } finally {
    await file.close()
  }
}

/** Writes a complete file of lines, whole or not at all. */
export const keepLines = async (path: string, values: Iterable<object>): Promise<void> => {
  await makeFolders(dirname(path)).catch((error) => {
    throw diskFault(error, path)
  })
  await writeLines(path, values)
}

/** Every line of a complete file. Throws a Fault 'bad-run' where some are lost or altered. */
export const readLines = async <T extends object>(
  path: string,
  schema: LineOptions<T>['schema'],
  total: number,
): Promise<T[]> => {
  const file = await openLines(path, { schema, total, group: 1 })
  try {
    if (file.length < total)
      throw badInput('bad-run', 'has lost lines, or some are not what was written; begin a new run', { file: path })
    const values: T[] = []
    for (let i = 0; i < total; i++) values.push(await file.read(i))
    return values
  } finally {
    await file.close()
  }
}

// Models

/** The name of the model after so many iterations: m1 is that of the seed rows. `seed` learnt the instruction data alone. */
export const modelName = (number: number) => `m${number}`
export const baselineName = 'seed'

export const modelDir = (context: SelfRewardContext, name: string) => pathIn(context, 'models', name)

/** What `--model` and `--adapter` are for a model of this run. */
export const modelSettings = async (
  context: SelfRewardContext,
  name: string,
): Promise<{ model: string; adapter?: string }> => {
  const found = await modelOfRun(modelDir(context, name))
  assert(found, `${name} is trained`)
  return found
}

/** The model, to write texts with; it stays open until another one or a training needs the memory. */
export const textModelOf = async (context: SelfRewardContext, name: string): Promise<TextModel> => {
  const { open, settings, loading } = context
  if (open.name === name && open.model) return open.model
  await closeModel(context)
  const { device, threads, quantize, compute } = settings
  const source = await modelSettings(context, name)
  const opened = await openModel({
    ...{ ...source, device, threads, quantize, compute },
    onProgress: ({ phase, done, total }) => phase === 'load' && loading.onTensor(done, total),
  })
  const { model, tokenizer, generationConfig, close } = opened
  assert(tokenizer, 'a model without a tokenizer is refused before')
  open.name = name
  open.model = { ...localTextModel({ name, model, tokenizer, generationConfig, batchSize: 64 }), close }
  return open.model
}

const closeModel = async ({ open }: SelfRewardContext) => {
  const { model } = open
  open.name = undefined
  open.model = undefined
  await model?.close()
}

/** Ends every model, before a training and at the end. */
export const closeModels = async (context: SelfRewardContext) => {
  await closeModel(context)
  await context.judge?.close()
  await context.outsideJudge?.close()
}
