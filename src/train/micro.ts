/**
 * One micro-batch: forward, loss, backward; gradients are added to those of the step. It may come in several packs
 * (of like lengths); the loss sees the targets of all of them side by side.
 */
import type { PackedBatch } from '../data/batch.ts'
import {
  type HeadSettings,
  headIsTrained,
  type StatName,
  scaledUnits,
  type TokenPass,
  targetStates,
  targetStatesBackward,
  tiledHeadBackward,
  tokenPass,
  trainedHeadBackward,
} from '../passes/head.ts'
import { type Placed, place } from '../passes/layout.ts'
import type { Model } from '../passes/model.ts'
import { backward, forward, type Gradients, type Plan, type Trail } from '../passes/stack.ts'
import type { Handle } from '../runtime/backend.ts'
import { type BatchArray, type LossFunction, type LossResult, runLoss } from './loss.ts'

export type MicroBatch = {
  packs: readonly PackedBatch[]
  arrays: Record<string, BatchArray>
  /** Targets or rows that its loss is a mean over: what it counts in an evaluation. */
  weight: number
}

/** Names of the loss and metrics, and where their values will be. */
export type MicroResult = Pick<LossResult, 'vector' | 'names'>

/** A pack on its way back: its rows of the joined targets begin at `start`. */
type Pass = {
  placed: Placed
  hidden: Handle
  h: Handle
  trail: Trail
  start: number
  made: Pick<TokenPass, 'unit' | 'tiles'>
  settings: HeadSettings
}

const targetCount = ({ targets }: PackedBatch) => targets.index.length

const putArrays = (model: Model, { packs, arrays }: MicroBatch): Record<string, Handle> => {
  const sequence = packs.flatMap(({ targets }) => Array.from(targets.sequence, BigInt))
  return {
    sequence: model.backend.put(BigInt64Array.from(sequence), [sequence.length]),
    ...Object.fromEntries(
      Object.entries(arrays).map(([name, { values, shape }]) => [name, model.backend.put(values, shape)]),
    ),
  }
}

/** Room for the statistics of all targets, [M] each. */
const joinedStats = (model: Model, { packs }: MicroBatch, { stats }: LossFunction): Record<StatName, Handle> => {
  const M = packs.reduce((n, pack) => n + targetCount(pack), 0)
  return Object.fromEntries(stats.map((name) => [name, model.backend.zeros([M])])) as Record<StatName, Handle>
}

/** One pack forward, its statistics written where its targets stand among all. */
const passForward = (
  model: Model,
  pack: PackedBatch,
  start: number,
  joined: Record<StatName, Handle>,
  { plan, gradients, seed = 0 }: { plan: Plan; gradients?: Gradients; seed?: number },
  head: HeadSettings & { unit: boolean; trained?: Plan },
): Pass => {
  const placed = place(model, pack)
  const { hidden, trail } = forward(model, placed, plan, gradients, seed)
  const h = targetStates(model, hidden, placed)
  const names = Object.keys(joined) as StatName[]
  const rows = (handle: Handle) => model.backend.view(handle, start, [targetCount(pack)])
  const into = Object.fromEntries(names.map((name) => [name, rows(joined[name])])) as Record<StatName, Handle>
  const made = tokenPass(model, h, placed, names, { ...head, into })
  model.backend.free(Object.values(into))
  return { placed, hidden, h, trail, start, made, settings: head }
}

const eachPack = (
  packs: readonly PackedBatch[],
  run: (pack: PackedBatch, start: number, i: number) => Pass,
): Pass[] => {
  let start = 0
  return packs.map((pack, i) => {
    const pass = run(pack, start, i)
    start += targetCount(pack)
    return pass
  })
}

const headBackward = (model: Model, { placed, h, made, settings }: Pass, scales: Handle, gradients: Gradients) => {
  const { unit, tiles } = made
  if (unit && tiles) return tiledHeadBackward(model, h, placed, scales, gradients, { unit, tiles })
  return unit ? scaledUnits(model, unit, scales) : trainedHeadBackward(model, h, placed, scales, gradients, settings)
}

const passBackward = (model: Model, pass: Pass, allScales: Handle, gradients: Gradients) => {
  const { backend } = model
  const { placed, hidden, h, trail } = pass
  const scales = backend.view(allScales, pass.start, [placed.targets.count])
  const dh = headBackward(model, pass, scales, gradients)
  const dHidden = targetStatesBackward(model, hidden, placed, dh, gradients)
  backend.free([hidden, h, dh, scales])
  backward(model, trail, dHidden, gradients)
  backend.free(placed.handles)
}

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
  const arrays = putArrays(model, batch)
  const stats = joinedStats(model, batch, loss)
  const unit = !headIsTrained(model, gradients, settings)
  const passes = eachPack(batch.packs, (pack, start, i) => {
    const packSeed = seed + i * 32_452_843
    const head = {
      ...settings,
      unit,
      trained: unit ? undefined : plan,
      ...(model.dropout > 0 && { dropoutSeed: packSeed }),
    }
    return passForward(model, pack, start, stats, { plan, gradients, seed: packSeed }, head)
  })
  const { scales, vector, names } = runLoss(model, loss, stats, arrays)
  for (const pass of passes) passBackward(model, pass, scales, gradients)
  backend.free([scales, ...Object.values(stats), ...Object.values(arrays)])
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
  const stats = joinedStats(model, batch, loss)
  const passes = eachPack(batch.packs, (pack, start) =>
    passForward(model, pack, start, stats, { plan: 'none' }, { ...settings, unit: false }),
  )
  for (const { placed, hidden, h } of passes) backend.free([hidden, h, ...placed.handles])
  const { scales, vector, names } = runLoss(model, loss, stats, arrays)
  backend.free([scales, ...Object.values(stats), ...Object.values(arrays)])
  return { vector, names }
}
