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
  /** Another model of the same engine that learns from the same batches; the updater is of both. */
  beside?: Pick<Trainer, 'model' | 'gradients' | 'loss' | 'head'>
}

export type StepSettings = {
  step: number
  seed: number
  learningRate: number
  maxGradNorm: number
  rows: readonly number[]
}

/** Losses are shares of the step and add up; every other measure is the mean over micro-batches that have it. */
export const joinMetrics = (measures: readonly Record<string, number>[]): Record<string, number> => {
  const names = [...new Set(measures.flatMap((each) => Object.keys(each)))]
  const joined = names.map((name): [string, number] => {
    const values = measures.flatMap((each) => each[name] ?? []).filter((value) => !Number.isNaN(value))
    const sum = values.reduce((a, b) => a + b, 0)
    return [name, name === 'loss' ? measures.reduce((a, each) => a + each.loss, 0) : sum / values.length]
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
  const measures = { ...others, ...own }
  const norm = await updater.norm()
  if (!Number.isFinite(measures.loss) || !Number.isFinite(norm)) throw await notFinite(trainer, measures.loss, settings)
  updater.update({
    step: settings.step,
    learningRate: settings.learningRate,
    gradScale: clipScale(norm, settings.maxGradNorm),
  })
  return { ...measures, grad_norm: norm, learning_rate: settings.learningRate }
}

/** Gradients of the batches, added up; what they measured. */
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
 * `eval_` and the measure's name: the loss over all targets or rows, whatever the batches; other means over batches.
 * @param see gets the scores of each batch's targets, [M, num_labels], where the loss asks for scores
 */
export const evaluate = async (
  trainer: Pick<Trainer, 'model' | 'loss' | 'head'>,
  batches: AsyncIterable<MicroBatch>,
  see?: (batch: MicroBatch, scores: Float32Array) => void,
): Promise<Record<string, number>> => {
  const measures: Record<string, number>[] = []
  let [weight, loss] = [0, 0]
  for await (const batch of batches) {
    const { scores, ...result } = evalMicro(trainer.model, batch, trainer.loss, trainer.head, see !== undefined)
    const measured = await readMetrics(trainer.model, result)
    measures.push(measured)
    if (scores) {
      see!(batch, (await trainer.model.backend.read(scores)) as Float32Array)
      trainer.model.backend.free([scores])
    }
    weight += batch.weight
    loss += batch.weight * measured.loss
  }
  const mean = { ...joinMetrics(measures), loss: loss / weight }
  return Object.fromEntries(Object.entries(mean).map(([name, value]) => [`eval_${name}`, value]))
}
