/** One micro-batch: forward, loss, backward; gradients are added to those of the step. */
import type { PackedBatch } from '../data/batch.ts'
import {
  type HeadSettings,
  headIsTrained,
  scaledUnits,
  targetStates,
  targetStatesBackward,
  tokenPass,
  trainedHeadBackward,
} from '../passes/head.ts'
import { place } from '../passes/layout.ts'
import type { Model } from '../passes/model.ts'
import { backward, forward, type Gradients, type Plan } from '../passes/stack.ts'
import { targetStats } from '../passes/stats.ts'
import type { Handle } from '../runtime/backend.ts'
import { type BatchArray, type LossFunction, type LossResult, runLoss } from './loss.ts'

export type MicroBatch = {
  packed: PackedBatch
  arrays: Record<string, BatchArray>
  /** Targets or rows that its loss is a mean over: what it counts in an evaluation. */
  weight: number
}

/** Names of the loss and metrics, and where their values will be. */
export type MicroResult = Pick<LossResult, 'vector' | 'names'>

const putArrays = (model: Model, { packed, arrays }: MicroBatch): Record<string, Handle> => ({
  sequence: model.backend.put(BigInt64Array.from(packed.targets.sequence as number[], BigInt), [
    packed.targets.sequence.length,
  ]),
  ...Object.fromEntries(
    Object.entries(arrays).map(([name, { values, shape }]) => [name, model.backend.put(values, shape)]),
  ),
})

/** @param seed of this micro-batch's dropout */
export const trainMicro = (
  model: Model,
  batch: MicroBatch,
  loss: LossFunction,
  plan: Plan,
  gradients: Gradients,
  seed: number,
  settings: HeadSettings = {},
): MicroResult => {
  const { backend } = model
  const placed = place(model, batch.packed)
  const arrays = putArrays(model, batch)
  const { hidden, trail } = forward(model, placed, plan, gradients, seed)
  const h = targetStates(model, hidden, placed)
  const trainsHead = headIsTrained(model, gradients, settings)
  const { unit, ...stats } = tokenPass(model, h, placed, loss.stats, { ...settings, unit: !trainsHead })
  const { scales, vector, names } = runLoss(model, loss, stats, arrays)
  const dh = unit
    ? scaledUnits(model, unit, scales)
    : trainedHeadBackward(model, h, placed, scales, gradients, settings)
  const dHidden = targetStatesBackward(model, hidden, placed, dh, gradients)
  backend.free([hidden, h, dh, scales, ...Object.values(stats), ...Object.values(arrays)])
  backward(model, trail, dHidden, gradients)
  backend.free(placed.handles)
  return { vector, names }
}

/** The loss and metrics alone. */
export const evalMicro = (
  model: Model,
  batch: MicroBatch,
  loss: LossFunction,
  settings: HeadSettings = {},
): MicroResult => {
  const { backend } = model
  const arrays = putArrays(model, batch)
  const { stats, placed } = targetStats(model, batch.packed, loss.stats, settings)
  const { scales, vector, names } = runLoss(model, loss, stats, arrays)
  backend.free([scales, ...Object.values(stats), ...Object.values(arrays), ...placed.handles])
  return { vector, names }
}
