/**
 * A traced program as an ONNX model: the emitter that lowering rules write into, and the file around it.
 * Sizes that are only known at run time are computed inside the graph from the shapes of its inputs, so that one
 * session serves every shape.
 */
import { type Dim, parseDim, type Shape } from '../tensor/dim.ts'
import { inputsOf, topological } from '../tensor/graph.ts'
import type { DType, Type } from '../tensor/primitives.ts'
import { simplify } from '../tensor/simplify.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { assert } from '../util/fault.ts'
import { bytes, type Field, float, head, int, join, message, string } from '../util/proto.ts'
import { type LowerRule, lowerings } from './lower.ts'

export type Port = Type & { readonly name: string }

/**
 * An ONNX model with the symbolic types of what goes in and out, in order. `constants` are inputs whose values the
 * file is to hold: without them (see `withConstants`) it does not run.
 */
export type Program = {
  name: string
  bytes: Uint8Array
  inputs: readonly Port[]
  outputs: readonly Port[]
  constants: readonly Port[]
}

export type Attribute = number | string | readonly number[] | { float: number }

/** What lowering rules write with; names are the graph's value names. */
export type Emitter = {
  /** Appends a node with one output (or the named number of outputs) and returns its name(s). */
  emit(op: string, inputs: readonly string[], attributes?: Record<string, Attribute>, domain?: string): string
  emitMany(op: string, inputs: readonly string[], attributes: Record<string, Attribute>, outputs: number): string[]
  constant(data: readonly number[], shape: readonly number[], dtype: DType): string
  /** A 1-D i64 value holding these sizes. */
  shape(shape: Shape): string
  /** Makes a value once per key. */
  once<T>(key: string, make: () => T): T
}

export const elementType: Record<DType, number> = { f32: 1, u8: 2, i64: 7, bool: 9 }
const opset = 21
const irVersion = 10

/** Simplifies, lowers and serialises. Outputs are named by their keys; inputs that `isConstant` names become constants. */
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
    bytes: modelBytes(name, nodes.map(nodeField), graph.initializers, inputs, ports),
  }
}

type Node = {
  op: string
  inputs: readonly string[]
  outputs: readonly string[]
  attributes: Record<string, Attribute>
  domain: string
}

/**
 * Nodes that write the program's outputs under their names. A value that no node made, or that is an output already, is
 * copied; all others are written where they belong at once.
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
  const initializers: Field[] = []
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
  return { nodes, initializers, emitter, names }
}

const makeEmitter = (nodes: Node[], initializers: Field[], inputs: readonly Port[]) => {
  let count = 0
  const made = new Map<string, unknown>()
  const once = <T>(key: string, make: () => T): T => {
    if (!made.has(key)) made.set(key, make())
    return made.get(key) as T
  }
  const write = (op: string, ins: readonly string[], attributes: Record<string, Attribute>, n: number, domain = '') => {
    const outputs = Array.from({ length: n }, () => `v${count++}`)
    nodes.push({ op, inputs: ins, outputs, attributes, domain })
    return outputs
  }
  const emit = (op: string, ins: readonly string[], attributes: Record<string, Attribute> = {}, domain = '') =>
    write(op, ins, attributes, 1, domain)[0]
  const emitMany = write
  const constant = (data: readonly number[], shape: readonly number[], dtype: DType) =>
    once(`constant ${dtype} ${shape} : ${data.map((x) => (Object.is(x, -0) ? '-0' : x))}`, () => {
      initializers.push(message(5, tensorFields(`c${count}`, data, shape, dtype)))
      return `c${count++}`
    })
  const dim = (size: Dim): string => once(`dim ${size}`, () => sizeValue(size, inputs, { emit, constant, dim }))
  const shape = (sizes: Shape): string =>
    sizes.every((size) => typeof size === 'number')
      ? constant(sizes as number[], [sizes.length], 'i64')
      : once(`shape ${sizes}`, () => (sizes.length === 1 ? dim(sizes[0]) : emit('Concat', sizes.map(dim), { axis: 0 })))
  return { emit, emitMany, constant, shape, once }
}

/** A size as a 1-element i64 value: a polynomial in the sizes of the inputs' axes. */
const sizeValue = (
  size: Dim,
  inputs: readonly Port[],
  e: Pick<Emitter, 'emit' | 'constant'> & { dim: (size: Dim) => string },
): string => {
  if (typeof size === 'number') return e.constant([size], [1], 'i64')
  if (/^\w+$/.test(size)) {
    const port = inputs.find((candidate) => candidate.shape.includes(size))
    assert(port, `no input has an axis of size ${size}`)
    const start = port.shape.indexOf(size)
    return e.emit('Shape', [port.name], { start, end: start + 1 })
  }
  const terms = [...parseDim(size)].map(([monomial, coefficient]) => {
    const factors: Dim[] = monomial.split('*').filter(Boolean)
    if (coefficient !== 1 || factors.length === 0) factors.push(coefficient)
    return factors.map(e.dim).reduce((a, b) => e.emit('Mul', [a, b]))
  })
  return terms.reduce((a, b) => e.emit('Add', [a, b]))
}

/** Little-endian values under a name. */
export type Constant = { name: string; shape: readonly number[]; dtype: DType; data: Uint8Array }

/**
 * A program's bytes with the values of its constants. Peculiar: the wire format joins two messages by putting one
 * behind the other, so the file is copied once and never taken apart.
 */
export const withConstants = (program: Uint8Array, constants: readonly Constant[]): Uint8Array => {
  const size = (parts: readonly Uint8Array[]) => parts.reduce((n, part) => n + part.length, 0)
  const initializers = constants.flatMap(({ name, shape, dtype, data }) => {
    const fields = [...tensorType(name, shape, dtype), head(9, data.length), data]
    return [head(5, size(fields)), ...fields]
  })
  return join([program, head(7, size(initializers)), ...initializers])
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
  return [...value.map((x) => int(8, x)), int(20, 7)]
}

const tensorType = (name: string, shape: readonly number[], dtype: DType): Field[] => [
  ...shape.map((dim) => int(1, dim)),
  int(2, elementType[dtype]),
  string(8, name),
]

const tensorFields = (name: string, data: readonly number[], shape: readonly number[], dtype: DType): Field[] => [
  ...tensorType(name, shape, dtype),
  bytes(9, rawData(data, dtype)),
]

const rawData = (data: readonly number[], dtype: DType): Uint8Array => {
  if (dtype === 'f32') return new Uint8Array(Float32Array.from(data).buffer)
  if (dtype === 'bool' || dtype === 'u8') return Uint8Array.from(data)
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
  join([
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
    message(8, [string(1, 'com.microsoft'), int(2, 1)]),
  ])
