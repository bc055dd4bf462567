/** A traced program as an ONNX model: simplified, lowered to ONNX nodes, and written as the bytes of a ModelProto. */
import { inputsOf, topological } from '../tensor/graph.ts'
import type { DType } from '../tensor/primitives.ts'
import { simplify } from '../tensor/simplify.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { concatBytes } from '../util/bytes.ts'
import { assert } from '../util/fault.ts'
import { bytes, type Field, float, head, int, message, string } from '../util/proto.ts'
import {
  type Attribute,
  elementType,
  type Initializer,
  type LowerRule,
  makeEmitter,
  microsoft,
  type Node,
  type Port,
  type Subgraph,
} from './emitter.ts'
import { lowerings } from './lower.ts'

/**
 * An ONNX model with the symbolic types of its inputs and outputs, in order. `constants` are inputs whose values belong
 * into the file: it runs only after they are added (`withConstants`).
 */
export type Program = {
  /** For messages and profiles. */
  name: string
  /** The model as ONNX. */
  bytes: Uint8Array
  /** What it is fed with at each run. */
  inputs: readonly Port[]
  /** What it computes. */
  outputs: readonly Port[]
  /** What has to be added before it can run. */
  constants: readonly Port[]
}

const opset = 21
const irVersion = 10

/**
 * Simplifies, lowers and serialises. Outputs are named by their keys; inputs that `isConstant` names become constants.
 */
export const compileProgram = (
  name: string,
  outputs: Record<string, Tensor>,
  isConstant: (input: string) => boolean = () => false,
): Program => {
  const names = Object.keys(outputs)
  const results = simplify(Object.values(outputs))
  const order = topological(results)
  const all = inputsOf(order).map((t) => ({ name: t.params.name, shape: t.shape, dtype: t.dtype }))
  const repeated = all.find((port, i) => all.findIndex((other) => other.name === port.name) !== i)
  assert(!repeated, `program ${name} has two different inputs named ${repeated?.name}`)
  const constants = all.filter((port) => isConstant(port.name))
  const inputs = all.filter((port) => !isConstant(port.name))
  const graph = lowerGraph(order, inputs)
  const nodes = named(
    graph.nodes,
    names.map((output, i) => [graph.names.get(results[i])!, output]),
  )
  const ports = names.map((output, i) => ({ name: output, shape: results[i].shape, dtype: results[i].dtype }))
  return {
    name,
    inputs,
    constants,
    outputs: ports,
    bytes: modelBytes(name, nodes.map(nodeField), graph.initializers.map(initializerField), inputs, ports),
  }
}

/**
 * Renames the results of nodes to the names of the program's outputs. A value that no node makes (an input), or that
 * already has the name of another output, is copied by an Identity node.
 */
const named = (nodes: readonly Node[], outputs: readonly (readonly [value: string, name: string])[]): Node[] => {
  const made = new Set(nodes.flatMap((node) => node.outputs))
  const names = new Map<string, string>()
  const copies: Node[] = []
  for (const [value, name] of outputs) {
    if (made.has(value) && !names.has(value)) names.set(value, name)
    else copies.push({ op: 'Identity', inputs: [value], outputs: [name], attributes: {}, domain: '' })
  }
  const rename = (value: string) => names.get(value) ?? value
  return [...nodes, ...copies].map((node) => ({
    ...node,
    inputs: node.inputs.map(rename),
    outputs: node.outputs.map(rename),
  }))
}

const lowerGraph = (order: readonly Tensor[], inputs: readonly Port[]) => {
  const nodes: Node[] = []
  const initializers: Initializer[] = []
  const emitter = makeEmitter(nodes, initializers, inputs)
  const names = new Map<Tensor, string>()
  for (const t of order) {
    const rule = lowerings[t.op] as LowerRule<typeof t.op>
    names.set(
      t,
      rule(
        emitter,
        t,
        t.inputs.map((x) => names.get(x)!),
      ),
    )
  }
  return { nodes, initializers, names }
}

/** Little-endian values under a name. */
export type Constant = {
  /** As the program calls it. */
  name: string
  /** Its size along each axis. */
  shape: readonly number[]
  /** The type of each value. */
  dtype: DType
  /** The values, row-major. */
  data: Uint8Array
}

/**
 * A program's bytes with the values of its constants. In the protobuf wire format two messages are merged by writing
 * one after the other, so the file is copied once and never parsed.
 */
export const withConstants = (program: Uint8Array, constants: readonly Constant[]): Uint8Array => {
  const size = (parts: readonly Uint8Array[]) => parts.reduce((n, part) => n + part.length, 0)
  const initializers = constants.flatMap(({ name, shape, dtype, data }) => {
    const fields = [...tensorType(name, shape, dtype), head(9, data.length), data]
    return [head(5, size(fields)), ...fields]
  })
  return concatBytes([program, head(7, size(initializers)), ...initializers])
}

// Field numbers of onnx.proto3

const nodeField = ({ op, inputs, outputs, attributes, domain }: Node): Field =>
  message(1, [
    ...inputs.map((name) => string(1, name)),
    ...outputs.map((name) => string(2, name)),
    string(3, outputs[0]),
    string(4, op),
    ...Object.entries(attributes).map(([name, value]) => message(5, [string(1, name), ...attributeFields(value)])),
    ...(domain ? [string(7, domain)] : []),
  ])

const attributeFields = (value: Attribute): Field[] => {
  if (typeof value === 'number') return [int(3, value), int(20, 2)]
  if (typeof value === 'string') return [string(4, value), int(20, 3)]
  if ('float' in value) return [float(2, value.float), int(20, 1)]
  if ('graph' in value) return [message(6, subgraphFields(value.graph)), int(20, 5)]
  return [...value.map((x) => int(8, x)), int(20, 7)]
}

const subgraphFields = ({ nodes, inputs, outputs }: Subgraph): Field[] => [
  ...nodes.map(nodeField),
  string(2, 'body'),
  ...inputs.map((port) => portField(11, port)),
  ...outputs.map((port) => portField(12, port)),
]

const tensorType = (name: string, shape: readonly number[], dtype: DType): Field[] => [
  ...shape.map((dim) => int(1, dim)),
  int(2, elementType[dtype]),
  string(8, name),
]

const initializerField = ({ name, data, shape, dtype }: Initializer): Field =>
  message(5, [...tensorType(name, shape, dtype), bytes(9, rawData(data, dtype))])

const rawData = (data: readonly number[], dtype: DType): Uint8Array => {
  if (dtype === 'f32') return new Uint8Array(Float32Array.from(data).buffer)
  if (dtype === 'bool' || dtype === 'u8') return Uint8Array.from(data)
  if (dtype === 's8') return new Uint8Array(Int8Array.from(data).buffer)
  return new Uint8Array(BigInt64Array.from(data.map(BigInt)).buffer)
}

const portField = (field: number, { name, shape, dtype }: Port): Field => {
  const dims = shape.map((dim) => message(1, [typeof dim === 'number' ? int(1, dim) : string(2, dim)]))
  const tensorType = [int(1, elementType[dtype]), message(2, dims)]
  return message(field, [string(1, name), message(2, [message(1, tensorType)])])
}

const modelBytes = (
  name: string,
  nodes: readonly Field[],
  initializers: readonly Field[],
  inputs: readonly Port[],
  outputs: readonly Port[],
): Uint8Array =>
  concatBytes([
    int(1, irVersion),
    string(2, 'attune'),
    message(7, [
      ...nodes,
      string(2, name),
      ...initializers,
      ...inputs.map((port) => portField(11, port)),
      ...outputs.map((port) => portField(12, port)),
    ]),
    message(8, [string(1, ''), int(2, opset)]),
    message(8, [string(1, microsoft), int(2, 1)]),
  ])
