/**
 * From hidden states to the log-probabilities of target tokens, and their gradients.
 *
 * Only target positions reach the head, in chunks, so the logits of all positions never exist at once. Where the head
 * is frozen one pass is enough: it also returns the gradient of each token's log-probability by its hidden state,
 * which is scaled once the loss is known. A trained head (its own weight, tied embeddings, LoRA) needs a second pass
 * with those scales. Large vocabularies are computed in tiles (tiledHead.ts).
 */
import { type HeadOptions, logits, type TokenStats, tokenStats } from '../nn/head.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Executable, Handle, Handles } from '../runtime/backend.ts'
import { vjp } from '../tensor/grad.ts'
import { input, scalar, type Tensor } from '../tensor/tensor.ts'
import { numel } from '../util/shape.ts'
import type { Placed } from './layout.ts'
import { executable, type Model, outerPart, type Part, scopeOf, widthOf } from './model.ts'
import { scaleRows } from './scaleRows.ts'
import { accumulated, accumulators, type Gradients, type Plan } from './stack.ts'
import { type Tiles, tiledBackward, tiledPass, tiledStats, tiledWeight } from './tiledHead.ts'

export type StatName = keyof TokenStats
export type HeadSettings = Pick<HeadOptions, 'labelSmoothing' | 'temperature'> & {
  /** Seed of the dropout before the head's LoRA; without it there is no dropout. */
  dropoutSeed?: number
}

/** Logits of one chunk at most: 64 MiB. */
const chunkFloats = 2 ** 24

export const chunkRows = (vocabulary: number) =>
  Math.min(8192, Math.max(32, Math.floor(chunkFloats / vocabulary / 32) * 32))

export const headOptions = (model: Model, settings: HeadSettings): HeadOptions => ({
  ...model.architecture.head(model.config),
  ...settings,
})

/** Names of parameters that a program reads and that are trained. */
export const trainedIn = (program: Executable, gradients: Gradients): string[] =>
  program.program.inputs.map(({ name }) => name).filter((name) => gradients.has(name))

// The norm, and the targets' rows

const traceNorm = (model: Model, part: Part) => {
  const scope = scopeOf(part)
  const hidden = input('hidden', ['N', widthOf(model)])
  const h = model.architecture.finalNorm(scope, hidden, model.config).gather(input('index', ['M'], 'i64'))
  return { scope, hidden, h }
}

const normProgram = (model: Model, part: Part) =>
  executable(model, `norm ${part.signature}`, () => compileProgram('norm', { h: traceNorm(model, part).h }))

/** Normed hidden states at the targets, [M, C]. */
export const targetStates = (model: Model, hidden: Handle, placed: Placed): Handle => {
  const part = outerPart(model)
  return model.backend.run(normProgram(model, part), { ...part.handles, hidden, index: placed.targets.index }).h
}

/** d hidden [N, C] from d h [M, C]; adds the norm's own gradient. */
export const targetStatesBackward = (
  model: Model,
  hidden: Handle,
  placed: Placed,
  dh: Handle,
  gradients: Gradients,
): Handle => {
  if (model.architecture.encoder) {
    // Without a norm the gradient is only rows, each added at its token's
    const dHidden = model.backend.zeros(hidden.shape)
    model.backend.addRows(dHidden, dh, placed.targets.index)
    return dHidden
  }
  const part = outerPart(model)
  const trained = trainedIn(normProgram(model, part), gradients)
  const program = executable(model, `normBackward ${part.signature} ${trained}`, () => {
    const { scope, hidden: x, h } = traceNorm(model, part)
    const [dHidden, ...dw] = vjp([h], [input('dh', h.shape)], [x, ...trained.map(scope.get)])
    return compileProgram('normBackward', { dHidden, ...accumulated(trained, dw) })
  })
  const sums = accumulators(trained, gradients)
  return model.backend.run(
    program,
    { ...part.handles, ...sums.feeds, hidden, dh, index: placed.targets.index },
    sums.into,
  ).dHidden
}

// Chunks of targets

const traceChunk = (model: Model, part: Part, settings: HeadSettings) => {
  const scope = scopeOf(part, settings.dropoutSeed === undefined ? 0 : model.dropout)
  const h = input('h', ['R', model.config.hidden_size])
  const stats = tokenStats(scope, h, input('label', ['R'], 'i64'), headOptions(model, settings))
  return { scope, h, stats }
}

/** The key of a program's settings; of the seed only whether there is one. */
const keyOf = ({ dropoutSeed, labelSmoothing, temperature }: HeadSettings) =>
  JSON.stringify([labelSmoothing, temperature, dropoutSeed !== undefined])

/** The seed of a chunk's dropout, where its program has dropout: different for each chunk, the same in both passes. */
export const seedFeed = (
  model: Model,
  program: Executable,
  { dropoutSeed = 0 }: HeadSettings,
  chunk: number,
): Handles => {
  if (!program.program.inputs.some(({ name }) => name === 'dropoutSeed')) return {}
  const seed = (dropoutSeed * 1_000_003 + chunk * 7_919) % 2_147_483_647
  return { dropoutSeed: model.backend.put(BigInt64Array.of(BigInt(seed)), [1]) }
}

const statsProgram = (model: Model, part: Part, names: readonly StatName[], unit: boolean, settings: HeadSettings) =>
  executable(model, `stats ${part.signature} ${names} ${unit} ${keyOf(settings)}`, () => {
    const { h, stats } = traceChunk(model, part, settings)
    const outputs: Record<string, Tensor> = Object.fromEntries(names.map((name) => [name, stats[name]]))
    if (unit) outputs.unit = vjp([stats.logps], [onesLike(stats.logps)], [h])[0]
    return compileProgram('head', outputs)
  })

const onesLike = (x: Tensor) => scalar(1).broadcastTo(x.shape)

/** Calls `run` with views of the same rows of several handles, chunk by chunk, and frees the views. @param step rows of a chunk */
export const eachChunk = (
  model: Model,
  rows: number,
  handles: Handles,
  run: (chunk: Record<string, Handle>, i: number) => void,
  step = chunkRows(model.config.vocab_size),
) => {
  for (let start = 0; start < rows; start += step) {
    const count = Math.min(step, rows - start)
    const cut = ([name, handle]: [string, Handle]) => {
      const [, ...rest] = handle.shape
      return [name, model.backend.view(handle, start * numel(rest), [count, ...rest])]
    }
    const views = Object.fromEntries(Object.entries(handles).map(cut)) as Record<string, Handle>
    run(views, start / step)
    model.backend.free(Object.values(views))
  }
}

export const pick = (handles: Handles, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, handles[name]]))

export type TokenPass = Record<StatName, Handle> & { unit?: Handle /** Of a trained head. */; tiles?: Tiles }

/**
 * Statistics of the targets, each [M], in given handles or new ones.
 * @param unit also returns `unit`, d logp / d h [M, C]
 * @param trained the plan of a trained head: one in tiles then returns `unit`, and `tiles` for `tiledHeadBackward`
 */
export const tokenPass = (
  model: Model,
  h: Handle,
  placed: Placed,
  names: readonly StatName[],
  { unit = false, trained, into, ...settings }: HeadSettings & { unit?: boolean; trained?: Plan; into?: Handles } = {},
): TokenPass => {
  const { backend } = model
  const made: Record<string, Handle> = into
    ? { ...into }
    : Object.fromEntries(names.map((name) => [name, backend.zeros([placed.targets.count])]))
  const weight = names.every((name) => tiledStats.includes(name)) ? tiledWeight(model, settings) : undefined
  if (unit || (trained && weight !== undefined)) made.unit = backend.zeros(h.shape)
  if (weight !== undefined) {
    const tiles = tiledPass(model, weight, h, placed, made, trained)
    return { ...made, ...(trained && { tiles }) } as TokenPass
  }
  const part = outerPart(model)
  const program = statsProgram(model, part, names, unit, settings)
  eachChunk(model, placed.targets.count, { ...made, h, label: placed.targets.label }, (chunk, i) => {
    const seed = seedFeed(model, program, settings, i)
    backend.run(program, { ...part.handles, ...chunk, ...seed }, pick(chunk, Object.keys(made)))
    backend.free(Object.values(seed))
  })
  return made as TokenPass
}

/** d h [M, C] of sum(scales * logps), from the unit gradients, which it overwrites. */
export const scaledUnits = (model: Model, unit: Handle, scales: Handle): Handle => scaleRows(model, unit, scales, unit)

/** Whether any parameter that the head reads is trained; then `trainedHeadBackward` must be used. */
export const headIsTrained = (model: Model, gradients: Gradients, settings: HeadSettings = {}): boolean => {
  const part = outerPart(model)
  return trainedIn(statsProgram(model, part, ['logps'], false, settings), gradients).length > 0
}

/** d h [M, C] of sum(scales * logps), from what `tokenPass` returned for a trained head in tiles; frees its tiles. */
export const tiledHeadBackward = (
  model: Model,
  h: Handle,
  placed: Placed,
  scales: Handle,
  gradients: Gradients,
  { tiles, unit }: Required<Pick<TokenPass, 'tiles' | 'unit'>>,
): Handle => {
  tiledBackward(model, tiles, h, placed, scales, gradients.get(tiles.weight)!)
  return scaledUnits(model, unit, scales)
}

/**
 * d h [M, C] of sum(scales * logps + entropyScales * entropy), adding the gradients of the head's own parameters, a chunk
 * at a time.
 */
export const trainedHeadBackward = (
  model: Model,
  h: Handle,
  placed: Placed,
  scales: Handle,
  gradients: Gradients,
  settings: HeadSettings = {},
  entropyScales?: Handle,
): Handle => {
  const { backend } = model
  const part = outerPart(model)
  const trained = trainedIn(statsProgram(model, part, ['logps'], false, settings), gradients)
  const key = `headBackward ${part.signature} ${trained} ${keyOf(settings)} ${entropyScales !== undefined}`
  const program = executable(model, key, () => {
    const { scope, h: x, stats } = traceChunk(model, part, settings)
    const [outputs, slopes] = [[stats.logps], [input('scale', ['R'])]]
    if (entropyScales) {
      outputs.push(stats.entropy)
      slopes.push(input('entropyScale', ['R']))
    }
    const [dh, ...dw] = vjp(outputs, slopes, [x, ...trained.map(scope.get)])
    return compileProgram('headBackward', { dh, ...accumulated(trained, dw) })
  })
  const dh = backend.zeros(h.shape)
  const sums = accumulators(trained, gradients)
  const rows = {
    h,
    dh,
    label: placed.targets.label,
    scale: scales,
    ...(entropyScales && { entropyScale: entropyScales }),
  }
  eachChunk(model, placed.targets.count, rows, (chunk, i) => {
    const { dh: into, ...feeds } = chunk
    const seed = seedFeed(model, program, settings, i)
    backend.run(program, { ...part.handles, ...sums.feeds, ...feeds, ...seed }, { dh: into, ...sums.into })
    backend.free(Object.values(seed))
  })
  return dh
}

/** All logits of a few hidden states: [R, C] -> [R, V]. For sampling; training never needs them. */
export const logitsPass = (model: Model, h: Handle): Handle => {
  const part = outerPart(model)
  const program = executable(model, `logits ${part.signature}`, () => {
    const x = input('h', ['R', model.config.hidden_size])
    return compileProgram('logits', { logits: logits(scopeOf(part), x, headOptions(model, {})) })
  })
  return model.backend.run(program, { ...part.handles, h }).logits
}
