/**
 * Forward pass, loss and backward pass of one micro-batch; its gradients are added to those of the step. It may
 * consist of several packed batches (of similar lengths); the loss gets the targets of all of them together.
 */
import type { PackedBatch } from '../data/batch.ts'
import {
  type DivergenceName,
  type DivergenceSettings,
  divergenceBackward,
  divergenceNames,
  divergencePass,
  type Teaching,
} from '../passes/divergenceHead.ts'
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
import type { Handle } from '../runtime/backend.ts'
import { type BatchArray, type LossFunction, type LossResult, type LossStat, runLoss } from './loss.ts'

export type MicroBatch = {
  packs: readonly PackedBatch[]
  arrays: Record<string, BatchArray>
  /** Targets or rows that its loss is a mean over: its weight in an evaluation. */
  weight: number
  /** A loss of its own instead of the trainer's, for rows of another kind; it is added to the step's loss. */
  own?: { loss: LossFunction; head: HeadSettings }
  /** Whose distributions the loss compares the model's with. */
  teacher?: Teacher
}

/** What a teacher says of the targets of a micro-batch. */
export type Teacher =
  /** A model on the same backend, and its own packed batches: as many as the student's, with the same targets in the same order. */
  | { model: Model; packs: readonly PackedBatch[] }
  /** What a server names: `ids` [M, k], `logps` [M, k + 1], of all targets in the order of the packed batches. */
  | { ids: BatchArray; logps: BatchArray }

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
  taught?: { teaching: Teaching; settings: DivergenceSettings; unit?: Handle }
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

type Joined = Partial<Record<LossStat, Handle>>

/** Arrays for the statistics of all targets, [M] each, scores [M, num_labels]. */
const joinedStats = (model: Model, { packs }: MicroBatch, { stats }: LossFunction): Joined => {
  const M = packs.reduce((n, pack) => n + targetCount(pack), 0)
  const shape = (name: LossStat) => (name === 'scores' ? [M, scoreCount(model)] : [M])
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

const isDivergence = (name: LossStat): name is DivergenceName => (divergenceNames as readonly string[]).includes(name)

const tokenNames = (stats: readonly LossStat[]) =>
  stats.filter((name): name is StatName => name !== 'scores' && !isDivergence(name))

const named = (handles: Joined, names: readonly LossStat[]) =>
  Object.fromEntries(names.map((name) => [name, handles[name]!]))

/** What the teacher says of the targets of packed batch i, which begin at `start` among those of the micro-batch. */
const teachingOf = (student: Model, teacher: Teacher, i: number, start: number, count: number): Teaching => {
  if ('ids' in teacher) {
    const rows = ({ values, shape: [, width] }: BatchArray) =>
      student.backend.put(values.slice(start * width, (start + count) * width), [count, width])
    return { ids: rows(teacher.ids), logps: rows(teacher.logps) }
  }
  const { model, packs } = teacher
  const placed = place(model, packs[i])
  const { hidden } = forward(model, placed, 'none')
  const h = targetStates(model, hidden, placed)
  model.backend.free([hidden, ...placed.handles])
  return { model, h }
}

/** A teacher's view of a packed batch, which is computed when the student's states are there. */
type Compared = { settings: DivergenceSettings; teaching(): Teaching }

const comparedWith = (
  student: Model,
  { teacher }: MicroBatch,
  { divergence }: LossFunction,
  { start, count, i }: { start: number; count: number; i: number },
  dropoutSeed?: number,
): Compared | undefined =>
  teacher &&
  divergence && {
    settings: { ...divergence, ...(dropoutSeed !== undefined && { dropoutSeed }) },
    teaching: () => teachingOf(student, teacher, i, start, count),
  }

/** Writes the divergences of the targets of hidden states h into their arrays. */
const compare = (
  model: Model,
  h: Handle,
  { settings, teaching: teach }: Compared,
  unit: boolean,
  into: Record<string, Handle>,
): Pass['taught'] => {
  const teaching = teach()
  return { teaching, settings, ...divergencePass(model, h, teaching, { ...settings, unit, into }) }
}

const freeTeaching = ({ backend }: Model, teaching: Teaching) =>
  backend.free('ids' in teaching ? [teaching.ids, teaching.logps] : [teaching.h])

/** The forward pass of one packed batch; writes the statistics of its targets into their rows. */
const passForward = (
  model: Model,
  pack: PackedBatch,
  start: number,
  joined: Joined,
  { plan, gradients, seed = 0 }: { plan: Plan; gradients?: Gradients; seed?: number },
  head: HeadSettings & { unit: boolean; trained?: Plan },
  compared?: Compared,
): Pass => {
  const placed = place(model, pack)
  const { hidden, trail } = forward(model, placed, plan, gradients, seed)
  const h = targetStates(model, hidden, placed)
  const { scores, ...into } = rowsOf(model, joined, start, targetCount(pack))
  const stats = Object.keys(into) as LossStat[]
  const names = tokenNames(stats)
  const tokens = { ...head, unit: head.unit && names.includes('logps'), into: named(into, names) }
  const made = names.length ? tokenPass(model, h, placed, names, tokens) : {}
  const taught = compared && compare(model, h, compared, head.unit, named(into, stats.filter(isDivergence)))
  if (scores) scorePass(model, h, scores)
  model.backend.free([...Object.values(into), ...(scores ? [scores] : [])])
  return { placed, hidden, h, trail, start, made, settings: head, taught }
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

const taughtBackward = (model: Model, { h, taught }: Pass, divergence: Handle, gradients: Gradients) => {
  const { teaching, settings, unit } = taught!
  const dh = unit
    ? scaledUnits(model, unit, divergence)
    : divergenceBackward(model, h, teaching, divergence, gradients, settings)
  freeTeaching(model, teaching)
  return dh
}

const passBackward = (model: Model, pass: Pass, slopes: LossResult['slopes'], gradients: Gradients) => {
  const { backend } = model
  const { placed, hidden, h, trail } = pass
  const asked = Object.fromEntries(Object.entries(slopes).filter(([, slope]) => slope))
  const { logps, scores, entropy, divergence } = rowsOf(model, asked, pass.start, placed.targets.count)
  const byTokens = divergence
    ? taughtBackward(model, pass, divergence, gradients)
    : logps && headBackward(model, pass, { logps, entropy }, gradients)
  const dh = scores ? scoreBackward(model, h, scores, gradients, byTokens) : byTokens!
  const dHidden = targetStatesBackward(model, hidden, placed, dh, gradients)
  backend.free([hidden, h, dh, ...[logps, scores, entropy, divergence].flatMap((view) => view ?? [])])
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
  const byTeacher = loss.stats.includes('divergence')
  const again = loss.entropyGradient === true
  const unit = (byTokens || byTeacher) && !again && !headIsTrained(model, gradients, settings)
  const passes = eachPack(batch.packs, (pack, start, i) => {
    const packSeed = seed + i * 32_452_843
    const head = {
      ...settings,
      unit,
      trained: unit || again || !byTokens ? undefined : plan,
      ...(model.dropout > 0 && { dropoutSeed: packSeed }),
    }
    const place = { start, count: targetCount(pack), i }
    const compared = comparedWith(model, batch, loss, place, head.dropoutSeed)
    return passForward(model, pack, start, stats, { plan, gradients, seed: packSeed }, head, compared)
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
  const passes = eachPack(batch.packs, (pack, start, i) => {
    const compared = comparedWith(model, batch, loss, { start, count: targetCount(pack), i })
    return passForward(model, pack, start, stats, { plan: 'none' }, { ...settings, unit: false }, compared)
  })
  for (const { placed, hidden, h, taught } of passes) {
    backend.free([hidden, h, ...placed.handles])
    if (taught) freeTeaching(model, taught.teaching)
  }
  const { slopes, vector, names } = runLoss(model, loss, stats, arrays)
  const { scores, ...rest } = stats
  backend.free([...slopeHandles(slopes), ...Object.values(rest), ...Object.values(arrays)])
  if (keep && scores) return { vector, names, scores }
  if (scores) backend.free([scores])
  return { vector, names }
}
