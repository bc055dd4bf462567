/**
 * One optimizer step over its micro-batches. Before the update the loss and the gradient norm are checked to be
 * finite.
 */
import { clipScale } from '../optim/clip.ts'
import type { HeadSettings } from '../passes/head.ts'
import { renewInt8 } from '../passes/int8.ts'
import type { Model } from '../passes/model.ts'
import type { Plan } from '../passes/stack.ts'
import type { Handle } from '../runtime/backend.ts'
import { runFailure } from '../util/fault.ts'
import { inGroups } from '../util/inGroups.ts'
import { readAhead } from '../util/sharing.ts'
import type { LossFunction } from './loss.ts'
import { evalMicro, type MicroBatch, type MicroResult, trainMicro } from './micro.ts'
import type { ShardGradient } from './shards.ts'
import type { Updater } from './update.ts'

export type Trainer = {
  model: Model
  gradients: ReadonlyMap<string, Handle>
  updater: Updater
  plan: Plan
  loss: LossFunction
  head: HeadSettings
  /** Where gradients of the step's shards are added up one by one, so that workers may compute them. */
  shard?: ShardGradient
  /** Computes the shards of a step on workers, in order. */
  share?: ShareStep
  /** A second model on the same backend that learns from the same batches (PPO's value model); the updater updates both. */
  beside?: Pick<Trainer, 'model' | 'gradients' | 'loss' | 'head'>
}

/** What a micro-batch comes to: its gradient, an array for each arena, and its metrics. */
export type ShardResult = { gradient: Float32Array[]; metrics: Record<string, number> }

/**
 * Computes the micro-batches of a step on workers.
 * @param local computes micro-batch i here   @returns undefined where there is nobody to share with
 */
export type ShareStep = (
  batches: readonly MicroBatch[],
  seeds: readonly number[],
  local: (i: number) => Promise<ShardResult>,
) => Promise<AsyncGenerator<ShardResult> | undefined>

export type StepSettings = {
  step: number
  seed: number
  learningRate: number
  maxGradNorm: number
  rows: readonly number[]
}

/** Computes micro-batches of an evaluation on workers. */
export type ShareEvaluation = {
  /** How many workers can take one now. */
  workers(): number
  /** The metrics of each, in order. @param local computes those of micro-batch i here */
  results(
    batches: readonly MicroBatch[],
    local: (i: number) => Promise<Record<string, number>>,
  ): AsyncIterable<Record<string, number>>
}

/** Losses are shares of the step's and are added; every other metric is the mean over the micro-batches that have it. */
export const joinMetrics = (metrics: readonly Record<string, number>[]): Record<string, number> => {
  const names = [...new Set(metrics.flatMap((each) => Object.keys(each)))]
  const joined = names.map((name): [string, number] => {
    const values = metrics.flatMap((each) => each[name] ?? []).filter((value) => !Number.isNaN(value))
    const sum = values.reduce((a, b) => a + b, 0)
    return [name, name === 'loss' ? metrics.reduce((a, each) => a + each.loss, 0) : sum / values.length]
  })
  return Object.fromEntries(joined)
}

const readMetrics = async (model: Model, { vector, names }: MicroResult): Promise<Record<string, number>> => {
  const [loss, ...values] = await model.backend.read(vector)
  model.backend.free([vector])
  return { loss, ...Object.fromEntries(names.map((name, i) => [name, values[i]])) }
}

export const trainStep = async (
  trainer: Trainer,
  batches: readonly MicroBatch[],
  settings: StepSettings,
): Promise<Record<string, number>> => {
  const { updater, beside } = trainer
  updater.zeroGradients()
  const own = await accumulate(trainer, batches, settings)
  const others = beside
    ? await accumulate(
        { ...beside, plan: trainer.plan },
        batches.filter(({ own }) => !own),
        settings,
      )
    : {}
  const metrics = { ...others, ...own }
  const norm = await updater.norm()
  if (!Number.isFinite(metrics.loss) || !Number.isFinite(norm)) throw await notFinite(trainer, metrics.loss, settings)
  updater.update({
    step: settings.step,
    learningRate: settings.learningRate,
    gradScale: clipScale(norm, settings.maxGradNorm),
  })
  renewInt8(trainer.model)
  if (beside) renewInt8(beside.model)
  return { ...metrics, grad_norm: norm, learning_rate: settings.learningRate }
}

type Accumulated = Omit<Trainer, 'updater'>

/** Adds up the gradients of the micro-batches; returns their metrics. */
const accumulate = async (
  trainer: Accumulated,
  batches: readonly MicroBatch[],
  { seed, step }: StepSettings,
): Promise<Record<string, number>> => {
  const { model, gradients, shard, share } = trainer
  const seeds = batches.map((_, i) => seed + i * 104_729 + step * 15_485_863)
  if (shard && share && batches.length > 1) {
    const shared = await share(batches, seeds, (i) => shardResult({ ...trainer, shard }, batches[i], seeds[i]))
    if (shared) return addShared(shard, shared)
  }
  const results = batches.map((batch, i) => {
    if (!shard || i === 0) return microGradient(trainer, batch, seeds[i], gradients)
    shard.zero()
    const result = microGradient(trainer, batch, seeds[i], shard.gradients)
    shard.addToStep()
    return result
  })
  return joinMetrics(await Promise.all(results.map((result) => readMetrics(model, result))))
}

/** Adds the gradients that workers computed, in the order of the micro-batches. */
const addShared = async (shard: ShardGradient, shared: AsyncGenerator<ShardResult>) => {
  const all: Record<string, number>[] = []
  for await (const { gradient, metrics } of shared) {
    shard.write(gradient)
    shard.addToStep()
    all.push(metrics)
  }
  return joinMetrics(all)
}

const microGradient = (
  { model, loss, plan, head }: Accumulated,
  { own, ...batch }: MicroBatch,
  seed: number,
  gradients: ReadonlyMap<string, Handle>,
): MicroResult => {
  const settings = own ?? { loss, head }
  return trainMicro(model, batch, settings.loss, plan, gradients, seed, settings.head)
}

/** Gradient and metrics of one micro-batch. */
export const shardResult = async (
  trainer: Accumulated & { shard: ShardGradient },
  batch: MicroBatch,
  seed: number,
): Promise<ShardResult> => {
  trainer.shard.zero()
  const result = microGradient(trainer, batch, seed, trainer.shard.gradients)
  const [gradient, metrics] = await Promise.all([trainer.shard.read(), readMetrics(trainer.model, result)])
  return { gradient, metrics }
}

/** Names the step, the rows and the first tensor that broke; the update has not been made. */
const notFinite = async ({ model, gradients, beside }: Trainer, loss: number, { step, rows }: StepSettings) => {
  const weight = await firstBad(model, model.params)
  const gradient = weight
    ? undefined
    : ((await firstBad(model, gradients)) ?? (beside && (await firstBad(beside.model, beside.gradients))))
  const tensor = weight ? `the weight ${weight}` : gradient ? `the gradient of ${gradient}` : 'the norm of the gradient'
  const cause = weight || gradient || Number.isFinite(loss) ? [`${tensor} is not finite`] : []
  const what = [...(Number.isFinite(loss) ? [] : [`the loss is ${loss}`]), ...cause].join(' and ')
  const which = `rows ${rows.slice(0, 16).join(', ')}${rows.length > 16 ? ', ...' : ''}`
  return runFailure(
    'not-finite',
    `step ${step}: ${what}, on ${which}; nothing was updated or saved. Lower --learning-rate, or look at the rows`,
  )
}

const firstBad = async (model: Model, tensors: ReadonlyMap<string, Handle>): Promise<string | undefined> => {
  for (const [name, handle] of tensors) if (!(await model.backend.read(handle)).every(Number.isFinite)) return name
  return undefined
}

/** Metrics of one micro-batch, without gradients. @param onScores as in `evaluate` */
export const evalMetrics = async (
  { model, loss, head }: Pick<Trainer, 'model' | 'loss' | 'head'>,
  batch: MicroBatch,
  onScores?: (batch: MicroBatch, scores: Float32Array) => void,
): Promise<Record<string, number>> => {
  const { scores, ...result } = evalMicro(model, batch, loss, head, onScores !== undefined)
  const metrics = await readMetrics(model, result)
  if (scores) {
    onScores!(batch, (await model.backend.read(scores)) as Float32Array)
    model.backend.free([scores])
  }
  return metrics
}

/**
 * Metrics under `eval_` and their name: the loss is the mean over all targets or rows, other metrics are means over batches.
 * @param onScores gets the scores of each batch's targets, [M, num_labels], where the loss reads scores
 */
export const evaluate = async (
  { share, ...trainer }: Pick<Trainer, 'model' | 'loss' | 'head'> & { share?: ShareEvaluation },
  batches: AsyncIterable<MicroBatch>,
  onScores?: (batch: MicroBatch, scores: Float32Array) => void,
): Promise<Record<string, number>> => {
  const metrics: Record<string, number>[] = []
  let [weight, loss] = [0, 0]
  for await (const group of inGroups(batches, () => readAhead(share))) {
    const local = (i: number) => evalMetrics(trainer, group[i], onScores)
    let i = 0
    const results = share && group.length > 1 ? share.results(group, local) : inTurn(group.length, local)
    for await (const batchMetrics of results) {
      metrics.push(batchMetrics)
      weight += group[i].weight
      loss += group[i++].weight * batchMetrics.loss
    }
  }
  const mean = { ...joinMetrics(metrics), loss: loss / weight }
  return Object.fromEntries(Object.entries(mean).map(([name, value]) => [`eval_${name}`, value]))
}

async function* inTurn<T>(count: number, work: (i: number) => Promise<T>): AsyncGenerator<T> {
  for (let i = 0; i < count; i++) yield await work(i)
}
