/**
 * The programs of decoding, for prompts and steps alike. A step computes little, so the fixed cost of each run would show:
 * one program covers a whole segment of layers, and may hold its weights as constants.
 */
import type { BlockContext } from '../models/architecture.ts'
import type { Attend } from '../nn/attention.ts'
import { attendCached } from '../nn/attentionCached.ts'
import { deltaCached, madeStateName } from '../nn/deltaRule.ts'
import { keptName, recentCached } from '../nn/recent.ts'
import { makeScope, type Scope } from '../nn/scope.ts'
import { compileProgram } from '../onnx/model.ts'
import { attentionLayers, keptStates, kindOf } from '../passes/layout.ts'
import { executable, layerPart, type Model, outerPart, widthOf } from '../passes/model.ts'
import { raggedContext } from '../passes/stack.ts'
import { type Executable, type Handle, type Handles, handleBytes } from '../runtime/backend.ts'
import { concat, input, type Tensor } from '../tensor/tensor.ts'
import { numel } from '../util/shape.ts'
import { convertCodeBook, decodeQuantization } from './quantizedDecode.ts'

/** A traced block, and what the cache keeps: keys and values [N, kvHeads*D], or by name what the next token reads of those before. */
export const traceBlock = (
  model: Model,
  layer: number,
  scope: Scope,
  x: Tensor,
  attend = attendCached(kindOf(model, layer).keysOf ?? layer),
) => {
  const kind = kindOf(model, layer)
  const made: { keys?: Tensor; values?: Tensor } = {}
  const kept: Record<string, Tensor> = {}
  const attendAndKeep: Attend = (q, k, v, options) => {
    if (kind.keysOf === undefined) Object.assign(made, { keys: k, values: v })
    return attend(q, k, v, options)
  }
  const recent: BlockContext['recent'] = (of, count) => {
    const { xs, kept: latest } = recentCached(layer, of, count)
    kept[keptName(layer)] = latest
    return xs
  }
  const deltaRule: BlockContext['deltaRule'] = (tokens, sizes) => {
    const { o, state } = deltaCached(layer, tokens, sizes)
    kept[madeStateName(layer)] = state
    return o
  }
  const context = { ...raggedContext(1), attend: attendAndKeep, recent, deltaRule }
  const y = model.architecture.block(scope, x, context, model.config, kind)
  return { y, ...made, kept }
}

/** Neighbouring layers that one program covers; the first embeds the ids, the last ends with the final norm of some tokens. */
export type Segment = { layers: readonly number[]; program: Executable; handles: Handles }

/** Bytes of weights in one program: while it is made there are several copies of them. */
const segmentBytes = 2 ** 28

export const segmentsOf = (model: Model, packed: boolean, limit = segmentBytes): Segment[] => {
  const groups: number[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (let layer = 0; layer < model.config.num_hidden_layers; layer++) {
    const size = packed ? handleBytes(Object.values(layerPart(model, layer).handles)) : 0
    if (bytes + size > limit) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)!.push(layer)
    bytes += size
  }
  return groups.map((layers) => segment(model, layers, packed))
}

const segment = (model: Model, layers: readonly number[], packed: boolean): Segment => {
  const parts = [outerPart(model), ...layers.map((layer) => layerPart(model, layer))]
  const signature = parts.map((part) => part.signature).join()
  const isConstant = packed ? isPacked(layers.map(model.architecture.layerPrefix)) : undefined
  const values = Object.fromEntries(model.params)
  const converted: Handle[] = []
  const constants = () => ({ ...values, ...(packed && stepWeights(model, layers, converted)) })
  const build = () => compileProgram('step', traceSegment(model, layers, packed), isConstant)
  const program = executable(model, `step ${layers} ${packed} ${signature}`, build, constants)
  model.backend.free(converted)
  // Each step builds an object of its feeds: only the parameters that the program reads, of hundreds
  const fed = program.program.inputs.filter(({ name }) => name in values)
  const handles = Object.fromEntries(fed.map(({ name }) => [name, values[name]]))
  return { layers, program, handles }
}

/** The weights of these layers that `decodeQuantization` converts; their handles are added to `made`. */
const stepWeights = (model: Model, layers: readonly number[], made: Handle[]): Handles => {
  const prefixes = layers.map(model.architecture.layerPrefix)
  const changed = [...model.quantized].filter(
    ([name, how]) => decodeQuantization(how) !== how && prefixes.some((prefix) => name.startsWith(prefix)),
  )
  return Object.assign({}, ...changed.map(([name, how]) => convertCodeBook(model, name, how, made)))
}

/**
 * Ids or x -> y (in the last segment: normed, of the tokens at `index`), and `states`: keys, then values of each layer,
 * [N, kvHeads*D], concatenated, since every output costs; and of layers without attention what they keep. Parameters have their
 * full names.
 */
const traceSegment = (model: Model, layers: readonly number[], packed: boolean): Record<string, Tensor> => {
  const { architecture, config } = model
  const shapes = new Map([...model.params].map(([name, { shape }]) => [name, shape]))
  const quantized = packed
    ? new Map([...model.quantized].map(([name, how]) => [name, decodeQuantization(how)]))
    : model.quantized
  const scope = makeScope(shapes, { scalings: model.scalings, quantized, int8: model.int8, rounded: packed })
  const states: Tensor[] = []
  const kept: Record<string, Tensor> = {}
  const i64 = (name: string, size = 'N') => input(name, [size], 'i64')
  const isFirst = layers[0] === 0
  const isLast = layers.at(-1) === config.num_hidden_layers - 1
  let x = isFirst ? architecture.embed(scope, i64('ids'), i64('positions'), config) : input('x', ['N', widthOf(model)])
  for (const layer of layers) {
    const made = traceBlock(model, layer, scope.at(architecture.layerPrefix(layer)), x)
    x = made.y
    if (made.keys && made.values) states.push(made.keys, made.values)
    Object.assign(kept, made.kept)
  }
  return {
    ...(states.length && { states: concat(states, 0) }),
    ...kept,
    y: isLast ? architecture.finalNorm(scope, x.gather(i64('index', 'R')), config) : x,
  }
}

/** Names of parameters whose values go into a program: those below these prefixes, but for adapters. */
const isPacked = (prefixes: readonly string[]) => (name: string) =>
  !name.includes('.lora_') && prefixes.some((prefix) => name.startsWith(prefix))

/** Cached keys and values as the programs read them. @param of those of the nth layer with attention */
export const pastOf = (model: Model, of: (n: number) => readonly [Handle, Handle]): Handles =>
  Object.fromEntries(
    attentionLayers(model).flatMap((layer, n) => {
      const [keys, values] = of(n)
      return [[`keys ${layer}`, keys] as const, [`values ${layer}`, values] as const]
    }),
  )

/** The last program's y, each program's keys and values of the new tokens, and what layers without attention keep, in their order. */
export const runSegments = (model: Model, segments: readonly Segment[], shared: Handles) => {
  const { backend } = model
  const states = keptStates(model)
  const made: Handle[] = []
  const kept: Handle[] = []
  let x: Handle | undefined
  for (const { layers, program, handles } of segments) {
    const { y, states: tokens, ...rest } = backend.run(program, { ...handles, ...shared, ...(x && { x }) })
    if (tokens) made.push(tokens)
    kept.push(...states.filter(({ layer }) => layers.includes(layer)).map(({ after }) => rest[after]))
    if (x) backend.free([x])
    x = y
  }
  return { y: x!, made, kept }
}

/** A file of ONNX holds less than 2 GiB. */
export const fitsProgram = (shape: readonly number[]) => 4 * numel(shape) < 1.5 * 2 ** 30
