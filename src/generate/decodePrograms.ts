/**
 * The programs of decoding, for prompts and steps alike. A step computes little, so the fixed cost of each run would show:
 * one program covers a whole segment of layers, and may hold its weights as constants.
 */
import type { Attend } from '../nn/attention.ts'
import { attendCached } from '../nn/attentionCached.ts'
import { makeScope, type Scope } from '../nn/scope.ts'
import { compileProgram } from '../onnx/model.ts'
import { kindOf } from '../passes/layout.ts'
import { executable, layerPart, type Model, outerPart, type Part } from '../passes/model.ts'
import { raggedContext } from '../passes/stack.ts'
import type { Executable, Handle, Handles } from '../runtime/backend.ts'
import { concat, input, type Tensor } from '../tensor/tensor.ts'
import { numel } from '../util/shape.ts'
import { convertCodeBook, decodeQuantization } from './quantizedDecode.ts'

/** A traced block, and its keys and values [N, kvHeads*D], which the cache keeps. */
const traceBlock = (model: Model, layer: number, scope: Scope, x: Tensor, attend: Attend) => {
  const made = {} as { keys: Tensor; values: Tensor }
  const attendAndKeep: Attend = (q, k, v, options) => {
    Object.assign(made, { keys: k, values: v })
    return attend(q, k, v, options)
  }
  const context = { ...raggedContext, attend: attendAndKeep }
  const y = model.architecture.block(scope, x, context, model.config, kindOf(model, layer))
  return { y, ...made }
}

/** Neighbouring layers that one program covers; the first embeds the ids, the last ends with the final norm of some tokens. */
export type Segment = { layers: readonly number[]; program: Executable; handles: Handles }

/** Bytes of weights in one program: while it is made there are several copies of them. */
const segmentBytes = 2 ** 28

export const segmentsOf = (model: Model, packed: boolean, limit = segmentBytes): Segment[] => {
  const groups: number[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (let layer = 0; layer < model.config.num_hidden_layers; layer++) {
    const size = packed ? bytesOf(layerPart(model, layer)) : 0
    if (bytes + size > limit) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1)!.push(layer)
    bytes += size
  }
  return groups.map((layers) => segment(model, layers, packed))
}

const bytesOf = ({ handles }: Part) =>
  Object.values(handles).reduce((n, { shape, dtype }) => n + (dtype === 'u8' ? 1 : 4) * numel(shape), 0)

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
 * [N, kvHeads*D], concatenated, since every output costs. Parameters have their full names.
 */
const traceSegment = (model: Model, layers: readonly number[], packed: boolean): Record<string, Tensor> => {
  const { architecture, config } = model
  const shapes = new Map([...model.params].map(([name, { shape }]) => [name, shape]))
  const quantized = packed
    ? new Map([...model.quantized].map(([name, how]) => [name, decodeQuantization(how)]))
    : model.quantized
  const scope = makeScope(shapes, { scalings: model.scalings, quantized, rounded: packed })
  const states: Tensor[] = []
  const i64 = (name: string, size = 'N') => input(name, [size], 'i64')
  const isFirst = layers[0] === 0
  const isLast = layers.at(-1) === config.num_hidden_layers - 1
  let x = isFirst
    ? architecture.embed(scope, i64('ids'), i64('positions'), config)
    : input('x', ['N', config.hidden_size])
  for (const layer of layers) {
    const made = traceBlock(model, layer, scope.at(architecture.layerPrefix(layer)), x, attendCached(layer))
    x = made.y
    states.push(made.keys, made.values)
  }
  return {
    states: concat(states, 0),
    y: isLast ? architecture.finalNorm(scope, x.gather(i64('index', 'R')), config) : x,
  }
}

/** Names of parameters whose values go into a program: those below these prefixes, but for adapters. */
const isPacked = (prefixes: readonly string[]) => (name: string) =>
  !/\.lora_[AB]\.weight$/.test(name) && prefixes.some((prefix) => name.startsWith(prefix))

/** Cached keys and values as the programs read them. */
export const pastOf = (model: Model, of: (layer: number) => readonly [Handle, Handle]): Handles =>
  Object.fromEntries(
    Array.from({ length: model.config.num_hidden_layers }, (_, layer) => {
      const [keys, values] = of(layer)
      return [[`keys ${layer}`, keys] as const, [`values ${layer}`, values] as const]
    }).flat(),
  )

/** The last program's y, and each program's keys and values of the new tokens. */
export const runSegments = ({ backend }: Model, segments: readonly Segment[], shared: Handles) => {
  const made: Handle[] = []
  let x: Handle | undefined
  for (const { program, handles } of segments) {
    const results = backend.run(program, { ...handles, ...shared, ...(x && { x }) })
    made.push(results.states)
    if (x) backend.free([x])
    x = results.y
  }
  return { y: x!, made }
}

/** A file of ONNX holds less than 2 GiB. */
export const fitsProgram = (shape: readonly number[]) => 4 * numel(shape) < 1.5 * 2 ** 30
