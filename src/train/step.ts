/**
 * One optimizer step over its micro-batches. Before the update the loss and the gradient norm are checked to be
 * finite.
 */
import { clipScale } from '../optim/clip.ts'
import type { HeadSettings } from '../passes/head.ts'
import type { Model } from '../passes/model.ts'
import type { Plan } from '../passes/stack.ts'
import type { Handle } from '../runtime/backend.ts'
import { runFailure } from '../util/fault.ts'
import type { LossFunction } from './loss.ts'
import { evalMicro, type MicroBatch, type MicroResult, trainMicro } from './micro.ts'
import type { Updater } from './update.ts'

export type Trainer = {
  model: Model
  gradients: ReadonlyMap<string, Handle>
  updater: Updater
  plan: Plan
  loss: LossFunction
  head: HeadSettings
  /** A second model on the same backend that learns from the same batches (PPO's value model); the updater updates both. */
  beside?: Pick<Trainer, 'model' | 'gradients' | 'loss' | 'head'>
}

export type StepSettings = {
  step: number
  seed: number
  learningRate: number
  maxGradNorm: number
  rows: readonly number[]
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
  return { ...metrics, grad_norm: norm, learning_rate: settings.learningRate }
}

/** Adds up the gradients of the micro-batches; returns their metrics. */
const accumulate = async (
  { model, gradients, plan, loss, head }: Omit<Trainer, 'updater'>,
  batches: readonly MicroBatch[],
  { seed, step }: StepSettings,
): Promise<Record<string, number>> => {
  const results = batches.map(({ own, ...batch }, i) => {
    const settings = own ?? { loss, head }
    return trainMicro(
      model,
      batch,
      settings.loss,
      plan,
      gradients,
      seed + i * 104_729 + step * 15_485_863,
      settings.head,
    )
  })
  return joinMetrics(await Promise.all(results.map((result) => readMetrics(model, result))))
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

/**
 * Metrics under `eval_` and their name: the loss is the mean over all targets or rows, other metrics are means over batches.
 * @param onScores gets the scores of each batch's targets, [M, num_labels], where the loss reads scores
 */
export const evaluate = async (
  trainer: Pick<Trainer, 'model' | 'loss' | 'head'>,
  batches: AsyncIterable<MicroBatch>,
  onScores?: (batch: MicroBatch, scores: Float32Array) => void,
): Promise<Record<string, number>> => {
  const metrics: Record<string, number>[] = []
  let [weight, loss] = [0, 0]
  for await (const batch of batches) {
    const { scores, ...result } = evalMicro(trainer.model, batch, trainer.loss, trainer.head, onScores !== undefined)
    const batchMetrics = await readMetrics(trainer.model, result)
    metrics.push(batchMetrics)
    if (scores) {
      onScores!(batch, (await trainer.model.backend.read(scores)) as Float32Array)
      trainer.model.backend.free([scores])
    }
    weight += batch.weight
    loss += batch.weight * batchMetrics.loss
  }
  const mean = { ...joinMetrics(metrics), loss: loss / weight }
  return Object.fromEntries(Object.entries(mean).map(([name, value]) => [`eval_${name}`, value]))
}
