/**
 * The emitter: what lowering rules write a program's ONNX nodes with. Sizes that are only known at run time are
 * computed inside the graph from the shapes of its inputs, so that one session serves every shape.
 */
import { type Dim, parseDim, type Shape } from '../tensor/dim.ts'
import type { DType, Primitive, Type } from '../tensor/primitives.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { assert } from '../util/fault.ts'

/** An input or output of a program: its name and symbolic type. */
export type Port = Type & { readonly name: string }

/** An integer, a text, a list of integers, a float (marked, since JavaScript's 1 and 1.0 are the same), or a graph of its own. */
export type Attribute = number | string | readonly number[] | { float: number } | { graph: Subgraph }

/** What a node runs several times. No value of it may be called as one of the graph around it. */
export type Subgraph = { nodes: readonly Node[]; inputs: readonly Port[]; outputs: readonly Port[] }

/** How one primitive becomes ONNX nodes. `inputs` and the result are names of values in the graph. */
export type LowerRule<P extends Primitive> = (e: Emitter, t: Tensor<P>, inputs: readonly string[]) => string

/** The domain of ONNX Runtime's own operators. */
export const microsoft = 'com.microsoft'

/** TensorProto.DataType */
export const elementType: Record<DType, number> = { f32: 1, u8: 2, s8: 3, i64: 7, bool: 9 }

/** Lowering rules append nodes and constants with these functions, and pass values on by their names in the graph. */
export type Emitter = {
  /** Appends a node with one output and returns the output's name. */
  emit(op: string, inputs: readonly string[], attributes?: Record<string, Attribute>, domain?: string): string
  /** Appends a node with so many outputs and returns their names. */
  emitMany(op: string, inputs: readonly string[], attributes: Record<string, Attribute>, outputs: number): string[]
  /** A constant; equal constants are stored once. */
  constant(data: readonly number[], shape: readonly number[], dtype: DType): string
  /** A 1-D i64 value holding these sizes. */
  shape(shape: Shape): string
  /** Makes a value once per key. */
  once<T>(key: string, make: () => T): T
}

export type Node = {
  op: string
  inputs: readonly string[]
  outputs: readonly string[]
  attributes: Record<string, Attribute>
  domain: string
}

/** A constant of the graph, as lowering rules wrote it. */
export type Initializer = { name: string; data: readonly number[]; shape: readonly number[]; dtype: DType }

/**
 * An emitter that appends to `nodes` and `initializers`; `inputs` are those of the program, whose axes give run-time
 * sizes.
 */
export const makeEmitter = (nodes: Node[], initializers: Initializer[], inputs: readonly Port[]): Emitter => {
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
      const name = `c${count++}`
      initializers.push({ name, data, shape, dtype })
      return name
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
