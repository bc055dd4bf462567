/**
 * Forward and backward passes through a model, a block at a time: one session serves all layers of a kind.
 *
 * A plan says what the forward pass keeps for the backward pass: `none` nothing (there will be no gradient), `fast`
 * the results that are costly to compute, `low` only each block's input (gradient checkpointing: the rest is computed
 * again).
 */
import type { BlockContext } from '../models/architecture.ts'
import { attendRagged } from '../nn/attention.ts'
import { deltaChunk, deltaRagged } from '../nn/deltaRule.ts'
import { recentRagged } from '../nn/recent.ts'
import { compileProgram } from '../onnx/model.ts'
import type { Executable, Handle, Handles } from '../runtime/backend.ts'
import { evalDim, sizeOf } from '../tensor/dim.ts'
import { vjp } from '../tensor/grad.ts'
import { partition, saveCostly, saveNothing } from '../tensor/partition.ts'
import type { Params } from '../tensor/primitives.ts'
import { simplify } from '../tensor/simplify.ts'
import { input, type Tensor } from '../tensor/tensor.ts'
import { kindOf, type Placed, partsOf } from './layout.ts'
import { executable, layerPart, type Model, outerPart, type Part, scopeOf, widthOf } from './model.ts'

export type Plan = 'none' | 'fast' | 'low'

/** Gradients are added into these, by full parameter name. */
export type Gradients = ReadonlyMap<string, Handle>

/** @param parts of `attendRagged` */
export const raggedContext = (parts: number): BlockContext => ({
  attend: attendRagged(parts),
  positions: input('positions', ['N'], 'i64'),
  recent: recentRagged,
  deltaRule: deltaRagged,
  rotate: (x, heads, table, rotary) => {
    const tableInput = (name: string) => input(`${name} ${table}`, ['M', rotary / 2])
    return x.rope(input('positions', ['N'], 'i64'), tableInput('cos'), tableInput('sin'), {
      heads,
      rotary,
      inverse: false,
    })
  },
})

type BlockPrograms = { forward: Executable; backward?: Executable; kept: number }

const blockPrograms = (
  model: Model,
  layer: number,
  part: Part,
  plan: Plan,
  trained: readonly string[],
  parts: number,
): BlockPrograms => {
  const kind = kindOf(model, layer)
  const key = `block ${part.signature} ${JSON.stringify(kind)} ${parts} ${plan} ${trained} ${plan === 'none' ? 0 : model.dropout}`
  const trace = once(() => traceBlock(model, layer, part, plan, trained, parts))
  const forward = executable(model, `forward ${key}`, () => compileProgram('block', trace().forward))
  if (plan === 'none') return { forward, kept: 0 }
  const backward = executable(model, `backward ${key}`, () => compileProgram('blockBackward', trace().backward))
  return { forward, backward, kept: forward.program.outputs.length - 1 }
}

const once = <T>(make: () => T): (() => T) => {
  let made: { value: T } | undefined
  return () => (made ??= { value: make() }).value
}

const traceBlock = (model: Model, layer: number, part: Part, plan: Plan, trained: readonly string[], parts: number) => {
  const scope = scopeOf(part, plan === 'none' ? 0 : model.dropout)
  const x = input('x', ['N', widthOf(model)])
  const y = model.architecture.block(scope, x, raggedContext(parts), model.config, kindOf(model, layer))
  if (plan === 'none') return { forward: { y }, backward: {} }
  const dy = input('dy', y.shape)
  const [traced, ...gradients] = simplify([y, ...vjp([y], [dy], [x, ...trained.map(scope.get)])])
  const split = partition(gradients, [dy], plan === 'low' ? saveNothing : saveCostly)
  const [dx, ...dw] = split.gradients
  const kept = Object.fromEntries(split.kept.map((t, i) => [`kept${i}`, t]))
  return { forward: { y: traced, ...kept }, backward: { dx, ...accumulated(trained, dw) } }
}

/** Bytes that a plan keeps between forward and backward for N tokens on a grid of B by T. */
export const keptBytes = (
  model: Model,
  plan: Plan,
  gradients: Gradients,
  sizes: { N: number; B: number; T: number },
): number => {
  const rows = model.architecture.encoder?.sharedRows?.(model.config) ?? 0
  const parts = partsOf(model, sizes.T)
  const { B: texts, T } = sizes
  const chunked = { texts, chunks: Math.ceil(T / deltaChunk), within: Math.min(deltaChunk, T) }
  const bindings = new Map(Object.entries({ ...sizes, ...chunked, S: Math.ceil(T / parts), N: sizes.N + rows }))
  const layers = Array.from({ length: model.config.num_hidden_layers }, (_, layer) => {
    const part = layerPart(model, layer)
    const trained = trainedNames(part, model.architecture.layerPrefix(layer), gradients)
    return blockPrograms(model, layer, part, plan, trained, parts).forward.program.outputs
  })
  const bytes = { f32: 4, i64: 8, bool: 1, u8: 1, s8: 1 }
  return layers.flat().reduce((sum, { shape, dtype }) => sum + bytes[dtype] * evalDim(sizeOf(shape), bindings), 0)
}

/** Outputs sum = grad + dw. Output and input are one handle, so gradients accumulate in place. */
export const accumulated = (names: readonly string[], gradients: readonly Tensor[]): Record<string, Tensor> =>
  Object.fromEntries(
    names.map((name, i) => [`sum ${name}`, input(`grad ${name}`, gradients[i].shape).add(gradients[i])]),
  )

/** Feeds and outputs of `accumulated`. */
export const accumulators = (names: readonly string[], gradients: Gradients, prefix = '') => {
  const named = (what: string) =>
    Object.fromEntries(names.map((name) => [`${what} ${name}`, gradients.get(prefix + name)!]))
  return { feeds: named('grad'), into: named('sum') }
}

/** What the backward pass needs of the forward one. */
export type Trail = { placed: Placed; plan: Plan; layers: { x: Handle; kept: Handle[] }[]; seeds?: Handle[] }

const trainedNames = (part: Part, prefix: string, gradients: Gradients | undefined) =>
  gradients ? Object.keys(part.handles).filter((name) => gradients.has(prefix + name)) : []

/** A dropout seed of its own for each layer. */
const seedOf = (model: Model, seed: number, layer: number): Handles => ({
  dropoutSeed: model.backend.put(
    BigInt64Array.of((BigInt(seed) * 1_000_003n + BigInt(layer) * 7_919n) % 2_147_483_647n),
    [1],
  ),
})

/** @returns the last hidden states before the final norm [N, C] */
export const forward = (model: Model, placed: Placed, plan: Plan, gradients?: Gradients, seed = 0) => {
  const { backend } = model
  const trail: Trail = { placed, plan, layers: [], seeds: [] }
  let x = embed(model, placed)
  for (let layer = 0; layer < model.config.num_hidden_layers; layer++) {
    const part = layerPart(model, layer)
    const trained = trainedNames(part, model.architecture.layerPrefix(layer), gradients)
    const programs = blockPrograms(model, layer, part, plan, trained, placed.parts)
    const random = model.dropout && plan !== 'none' ? seedOf(model, seed, layer) : {}
    const { y, ...kept } = backend.run(programs.forward, { ...placed.shared, ...part.handles, ...random, x })
    if (plan === 'none') backend.free([x])
    else trail.layers.push({ x, kept: Object.values(kept) })
    trail.seeds!.push(...Object.values(random))
    x = y
  }
  return { hidden: x, trail }
}

/** Backpropagates d hidden [N, C] through the blocks to the embedding, adding to `gradients`; frees the trail. */
export const backward = (model: Model, trail: Trail, dHidden: Handle, gradients: Gradients) => {
  const { backend } = model
  let dy = dHidden
  const lowest = lowestTrained(model, gradients)
  for (let layer = model.config.num_hidden_layers - 1; layer >= 0; layer--) {
    const { x, kept } = trail.layers[layer]
    if (layer >= lowest) dy = blockBackward(model, trail, layer, dy, gradients)
    backend.free([x, ...kept])
  }
  const trained = embeddingNames(model, outerPart(model), gradients)
  if (trained.length) embedBackward(model, trail.placed, dy, trained, gradients)
  backend.free([dy, ...(trail.seeds ?? [])])
}

/** The lowest layer with trained parameters (0 for the embedding's); backpropagation ends there. */
const lowestTrained = (model: Model, gradients: Gradients): number => {
  if (embeddingNames(model, outerPart(model), gradients).length) return 0
  const layers = Array.from({ length: model.config.num_hidden_layers }, (_, i) => model.architecture.layerPrefix(i))
  return layers.findIndex((prefix) => [...gradients.keys()].some((name) => name.startsWith(prefix)))
}

const blockBackward = (model: Model, trail: Trail, layer: number, dy: Handle, gradients: Gradients): Handle => {
  const part = layerPart(model, layer)
  const prefix = model.architecture.layerPrefix(layer)
  const trained = trainedNames(part, prefix, gradients)
  const { x, kept } = trail.layers[layer]
  const programs = blockPrograms(model, layer, part, trail.plan, trained, trail.placed.parts)
  const sums = accumulators(trained, gradients, prefix)
  const stored = Object.fromEntries(kept.map((handle, i) => [`kept${i}`, handle]))
  const random: Handles = trail.seeds?.length ? { dropoutSeed: trail.seeds[layer] } : {}
  const feeds = { ...trail.placed.shared, ...part.handles, ...stored, ...random, ...sums.feeds, x, dy }
  const { dx } = model.backend.run(programs.backward!, feeds, sums.into)
  model.backend.free([dy])
  return dx
}

const traceEmbed = (model: Model, part: Part) => {
  const scope = scopeOf(part)
  const [ids, positions, types] = ['ids', 'positions', 'types'].map((name) => input(name, ['N'], 'i64'))
  return { scope, x: model.architecture.embed(scope, ids, positions, model.config, types) }
}

const embedProgram = (model: Model, part: Part) =>
  executable(model, `embed ${part.signature}`, () => compileProgram('embed', { x: traceEmbed(model, part).x }))

export const embed = (model: Model, placed: Placed): Handle => {
  const part = outerPart(model)
  return model.backend.run(embedProgram(model, part), { ...part.handles, ...placed.shared, ids: placed.ids }).x
}

/** Trained parameters that the embedding reads. */
const embeddingNames = (model: Model, part: Part, gradients: Gradients): string[] =>
  embedProgram(model, part)
    .program.inputs.map(({ name }) => name)
    .filter((name) => gradients.has(name))

const rowsName = /^rows by (\w+) of (.*)$/

/** Where a gradient is only rows added to a table of zeros (of an embedding), those rows: the table need not be made. */
const rowsOf = (name: string, { op, inputs: [rows, index] }: Tensor): [[output: string, rows: Tensor]] | undefined =>
  op === 'scatterAdd' && index.op === 'input' && index.rank === 1
    ? [[`rows by ${(index.params as Params['input']).name} of ${name}`, rows]]
    : undefined

const embedBackward = (model: Model, placed: Placed, dx: Handle, trained: readonly string[], gradients: Gradients) => {
  const part = outerPart(model)
  const program = executable(model, `embedBackward ${part.signature} ${trained}`, () => {
    const { scope, x } = traceEmbed(model, part)
    const gradient = vjp([x], [input('dx', x.shape)], trained.map(scope.get))
    const dense = trained.filter((_, i) => !rowsOf(trained[i], gradient[i]))
    return compileProgram('embedBackward', {
      ...accumulated(
        dense,
        dense.map((name) => gradient[trained.indexOf(name)]),
      ),
      ...Object.fromEntries(trained.flatMap((name, i) => rowsOf(name, gradient[i]) ?? [])),
    })
  })
  const dense = trained.filter((name) => program.program.outputs.some((port) => port.name === `sum ${name}`))
  const sums = accumulators(dense, gradients)
  const indices: Handles = { ...placed.shared, ids: placed.ids }
  const feeds = { ...part.handles, ...indices, ...sums.feeds, dx }
  for (const [output, rows] of Object.entries(model.backend.run(program, feeds, sums.into))) {
    const [, index, name] = rowsName.exec(output) ?? []
    if (name === undefined) continue
    model.backend.addRows(gradients.get(name)!, rows, indices[index])
    model.backend.free([rows])
  }
}
