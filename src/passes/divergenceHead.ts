/**
 * From hidden states to the divergence from a teacher (objectives/distillation.ts), and its gradients.
 *
 * Both models' logits over the vocabulary exist for a tile of rows at a time, however many tokens a batch has. The teacher's come
 * from its own hidden states, which are small, or are the few that a server names. As in head.ts, a frozen head needs one pass,
 * which also gives each token's gradient by its hidden state; a trained one computes its tiles again once the loss is known.
 */
import { logits } from '../nn/head.ts'
import { type Divergences, divergences, eventLogits } from '../objectives/distillation.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { vjp } from '../tensor/grad.ts'
import { input, scalar } from '../tensor/tensor.ts'
import { eachChunk, type HeadSettings, headOptions, logitsPass, pick, seedFeed, trainedIn } from './head.ts'
import { executable, type Model, outerPart, type Part, scopeOf } from './model.ts'
import { accumulated, accumulators, type Gradients } from './stack.ts'

export type DivergenceName = keyof Divergences
export const divergenceNames: readonly DivergenceName[] = ['divergence', 'forwardKl', 'reverseKl', 'agreement']

/** What the teacher says of the targets. */
export type Teaching =
  /** Its normed hidden states [M, C]; it must be on the same backend as the student. */
  | { model: Model; h: Handle }
  /** The tokens that a server names [M, k], and log-probs of them and of all others together [M, k + 1]. */
  | { ids: Handle; logps: Handle }

export type DivergenceSettings = Pick<HeadSettings, 'temperature' | 'dropoutSeed'> & {
  /** From 0 (forward KL) to 1 (reverse KL). */
  beta: number
}

/** Logits of a tile and of one model, at most: 16 MiB. Some arrays of this size exist at once. */
const tileFloats = 2 ** 22

export const tileRows = (vocabulary: number): number =>
  Math.min(8192, Math.max(16, Math.floor(tileFloats / vocabulary / 16) * 16))

const traceTile = (
  model: Model,
  part: Part,
  { beta, temperature, dropoutSeed }: DivergenceSettings,
  named?: number,
) => {
  const scope = scopeOf(part, dropoutSeed === undefined ? 0 : model.dropout)
  const h = input('h', ['R', model.config.hidden_size])
  const l = logits(scope, h, headOptions(model, { temperature }))
  if (named !== undefined) {
    const student = eventLogits(l, input('ids', ['R', named], 'i64'))
    return { scope, h, stats: divergences(student, input('logps', ['R', named + 1]), beta) }
  }
  const teacher = input('teacher', l.shape)
  const divided = temperature === undefined || temperature === 1 ? teacher : teacher.div(temperature)
  return { scope, h, stats: divergences(l, divided, beta) }
}

const keyOf = (part: Part, { beta, temperature, dropoutSeed }: DivergenceSettings, named: number | undefined) =>
  `${part.signature} ${JSON.stringify([beta, temperature, dropoutSeed !== undefined, named])}`

const namedTokens = (teaching: Teaching) => ('ids' in teaching ? teaching.ids.shape[1] : undefined)

const statsProgram = (
  model: Model,
  part: Part,
  settings: DivergenceSettings,
  named: number | undefined,
  names: readonly DivergenceName[],
  unit: boolean,
) =>
  executable(model, `divergence ${keyOf(part, settings, named)} ${names} ${unit}`, () => {
    const { h, stats } = traceTile(model, part, settings, named)
    const { divergence } = stats
    const slope = unit && { unit: vjp([divergence], [scalar(1).broadcastTo(divergence.shape)], [h])[0] }
    return compileProgram('divergence', { ...Object.fromEntries(names.map((name) => [name, stats[name]])), ...slope })
  })

/** Calls `run` with the rows of each tile, and what the teacher says of them. */
const eachTile = (
  model: Model,
  teaching: Teaching,
  rows: Handles & { h: Handle },
  run: (tile: Record<string, Handle>, i: number) => void,
) => {
  const all = 'ids' in teaching ? { ...rows, ...teaching } : { ...rows, teacherStates: teaching.h }
  const perTile = ({ teacherStates, ...tile }: Record<string, Handle>, i: number) => {
    if (!('model' in teaching)) return run(tile, i)
    const teacher = logitsPass(teaching.model, teacherStates)
    run({ ...tile, teacher }, i)
    model.backend.free([teacher])
  }
  eachChunk(model, rows.h.shape[0], all, perTile, tileRows(model.config.vocab_size))
}

/**
 * Statistics of the targets, [M] each, into the given handles.
 * @param unit also returns d divergence / d h [M, C]
 */
export const divergencePass = (
  model: Model,
  h: Handle,
  teaching: Teaching,
  { unit = false, into, ...settings }: DivergenceSettings & { unit?: boolean; into: Readonly<Record<string, Handle>> },
): { unit?: Handle } => {
  const { backend } = model
  const part = outerPart(model)
  const names = Object.keys(into) as DivergenceName[]
  const made = { ...into, ...(unit && { unit: backend.zeros(h.shape) }) }
  const program = statsProgram(model, part, settings, namedTokens(teaching), names, unit)
  eachTile(model, teaching, { ...made, h }, (tile, i) => {
    const seed = seedFeed(model, program, settings, i)
    backend.run(program, { ...part.handles, ...tile, ...seed }, pick(tile, Object.keys(made)))
    backend.free(Object.values(seed))
  })
  return 'unit' in made ? { unit: made.unit as Handle } : {}
}

/** d h [M, C] of sum(scales * divergence), adding the gradients of the head's own parameters. */
export const divergenceBackward = (
  model: Model,
  h: Handle,
  teaching: Teaching,
  scales: Handle,
  gradients: Gradients,
  settings: DivergenceSettings,
): Handle => {
  const { backend } = model
  const part = outerPart(model)
  const named = namedTokens(teaching)
  const trained = trainedIn(statsProgram(model, part, settings, named, ['divergence'], false), gradients)
  const program = executable(model, `divergenceBackward ${keyOf(part, settings, named)} ${trained}`, () => {
    const { scope, h: x, stats } = traceTile(model, part, settings, named)
    const [dh, ...dw] = vjp([stats.divergence], [input('scale', ['R'])], [x, ...trained.map(scope.get)])
    return compileProgram('divergenceBackward', { dh, ...accumulated(trained, dw) })
  })
  const dh = backend.zeros(h.shape)
  const sums = accumulators(trained, gradients)
  eachTile(model, teaching, { h, dh, scale: scales }, (tile, i) => {
    const { dh: into, ...feeds } = tile
    const seed = seedFeed(model, program, settings, i)
    backend.run(program, { ...part.handles, ...sums.feeds, ...feeds, ...seed }, { dh: into, ...sums.into })
    backend.free(Object.values(seed))
  })
  return dh
}
