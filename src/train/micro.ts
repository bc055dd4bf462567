/**
 * Forward pass, loss and backward pass of one micro-batch; its gradients are added to those of the step. It may
 * consist of several packed batches (of similar lengths); the loss gets the targets of all of them together.
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
import { scoreBackward, scoreCount, scorePass } from '../passes/scoreHead.ts'
import { backward, forward, type Gradients, type Plan, type Trail } from '../passes/stack.ts'
import type { TargetStat } from '../passes/tokenStats.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { type BatchArray, type LossFunction, type LossResult, runLoss } from './loss.ts'

export type MicroBatch = {
  packs: readonly PackedBatch[]
  arrays: Record<string, BatchArray>
  /** Targets or rows that its loss is a mean over: its weight in an evaluation. */
  weight: number
  /** A loss of its own instead of the trainer's, for rows of another kind; it is added to the step's loss. */
  own?: { loss: LossFunction; head: HeadSettings }
}

/** Names of the loss and metrics, and where their values will be. */
export type MicroResult = Pick<LossResult, 'vector' | 'names'>

/** A forward pass that waits for its backward pass: its targets begin at `start` among those of the micro-batch. */
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

type Joined = Partial<Record<TargetStat, Handle>>

/** Arrays for the statistics of all targets, [M] each, scores [M, num_labels]. */
const joinedStats = (model: Model, { packs }: MicroBatch, { stats }: LossFunction): Joined => {
  const M = packs.reduce((n, pack) => n + targetCount(pack), 0)
  const shape = (name: TargetStat) => (name === 'scores' ? [M, scoreCount(model)] : [M])
  return Object.fromEntries(stats.map((name) => [name, model.backend.zeros(shape(name))]))
}

/** The rows of one packed batch in these arrays. */
const rowsOf = (model: Model, joined: Joined, start: number, count: number): Joined =>
  Object.fromEntries(
    Object.entries(joined).map(([name, handle]) => {
      const [, ...rest] = handle.shape
      return [name, model.backend.view(handle, start * (rest[0] ?? 1), [count, ...rest])]
    }),
  )

const tokenNames = (stats: readonly TargetStat[]) => stats.filter((name): name is StatName => name !== 'scores')

/** The forward pass of one packed batch; writes the statistics of its targets into their rows. */
const passForward = (
  model: Model,
  pack: PackedBatch,
  start: number,
  joined: Joined,
  { plan, gradients, seed = 0 }: { plan: Plan; gradients?: Gradients; seed?: number },
  head: HeadSettings & { unit: boolean; trained?: Plan },
): Pass => {
  const placed = place(model, pack)
  const { hidden, trail } = forward(model, placed, plan, gradients, seed)
  const h = targetStates(model, hidden, placed)
  const { scores, ...into } = rowsOf(model, joined, start, targetCount(pack))
  const names = tokenNames(Object.keys(into) as TargetStat[])
  const made = names.length ? tokenPass(model, h, placed, names, { ...head, into: into as Handles }) : {}
  if (scores) scorePass(model, h, scores)
  model.backend.free([...Object.values(into), ...(scores ? [scores] : [])])
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

const headBackward = (
  model: Model,
  { placed, h, made, settings }: Pass,
  { logps, entropy }: { logps: Handle; entropy?: Handle },
  gradients: Gradients,
) => {
  const { unit, tiles } = made
  if (unit && tiles) return tiledHeadBackward(model, h, placed, logps, gradients, { unit, tiles })
  if (unit) return scaledUnits(model, unit, logps)
  return trainedHeadBackward(model, h, placed, logps, gradients, settings, entropy)
}

const passBackward = (model: Model, pass: Pass, slopes: LossResult['slopes'], gradients: Gradients) => {
  const { backend } = model
  const { placed, hidden, h, trail } = pass
  const asked = Object.fromEntries(Object.entries(slopes).filter(([, slope]) => slope))
  const { logps, scores, entropy } = rowsOf(model, asked, pass.start, placed.targets.count)
  const byTokens = logps && headBackward(model, pass, { logps, entropy }, gradients)
  const dh = scores ? scoreBackward(model, h, scores, gradients, byTokens) : byTokens!
  const dHidden = targetStatesBackward(model, hidden, placed, dh, gradients)
  backend.free([hidden, h, dh, ...[logps, scores, entropy].flatMap((view) => view ?? [])])
  backward(model, trail, dHidden, gradients)
  backend.free(placed.handles)
}

const slopeHandles = (slopes: LossResult['slopes']) => Object.values(slopes).flatMap((slope) => slope ?? [])

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
  const byTokens = loss.stats.includes('logps')
  const again = loss.entropyGradient === true
  const unit = byTokens && !again && !headIsTrained(model, gradients, settings)
  const passes = eachPack(batch.packs, (pack, start, i) => {
    const packSeed = seed + i * 32_452_843
    const head = {
      ...settings,
      unit,
      trained: unit || again || !byTokens ? undefined : plan,
      ...(model.dropout > 0 && { dropoutSeed: packSeed }),
    }
    return passForward(model, pack, start, stats, { plan, gradients, seed: packSeed }, head)
  })
  const { slopes, vector, names } = runLoss(model, loss, stats, arrays)
  for (const pass of passes) passBackward(model, pass, slopes, gradients)
  backend.free([...slopeHandles(slopes), ...Object.values(stats), ...Object.values(arrays)])
  return { vector, names }
}

/** The loss and metrics alone; with `keep`, the scores of its targets too, which the caller frees. */
export const evalMicro = (
  model: Model,
  batch: MicroBatch,
  loss: LossFunction,
  settings: HeadSettings = {},
  keep = false,
): MicroResult & { scores?: Handle } => {
  const { backend } = model
  const arrays = putArrays(model, batch)
  const stats = joinedStats(model, batch, loss)
  const passes = eachPack(batch.packs, (pack, start) =>
    passForward(model, pack, start, stats, { plan: 'none' }, { ...settings, unit: false }),
  )
  for (const { placed, hidden, h } of passes) backend.free([hidden, h, ...placed.handles])
  const { slopes, vector, names } = runLoss(model, loss, stats, arrays)
  const { scores, ...rest } = stats
  backend.free([...slopeHandles(slopes), ...Object.values(rest), ...Object.values(arrays)])
  if (keep && scores) return { vector, names, scores }
  if (scores) backend.free([scores])
  return { vector, names }
}
