/**
 * What a program is made of. A primitive is one row in each of four tables: shape (here), vjp (grad.ts), lowering
 * (onnx/lower.ts) and reference (runtime/reference.ts). Everything else is composed of these.
 */
import { assert } from '../util/fault.ts'
import { addDims, type Dim, type Shape, sizeOf, subDims } from './dim.ts'

export type DType = 'f32' | 'i64' | 'bool'
export type Type = { readonly shape: Shape; readonly dtype: DType }

type None = Record<never, never>
type Reduce = { axes: readonly number[]; keep: boolean }

/** The static parameters of each primitive. Inputs are named in the shape table. */
export type Params = {
  input: Type & { name: string }
  /** Row-major values. */
  constant: Type & { data: readonly number[] }
  /** 0, 1, ... size-1. */
  iota: { size: Dim }
  neg: None
  exp: None
  log: None
  sqrt: None
  abs: None
  sign: None
  erf: None
  tanh: None
  sigmoid: None
  softplus: None
  relu: None
  silu: None
  not: None
  add: None
  sub: None
  mul: None
  div: None
  pow: None
  max: None
  min: None
  /** Remainder of i64, sign of the divisor. */
  mod: None
  eq: None
  lt: None
  le: None
  and: None
  or: None
  where: None
  cast: { dtype: DType }
  reduceSum: Reduce
  reduceMax: Reduce
  argmax: { keep: boolean }
  argsort: { descending: boolean }
  softmax: None
  matmul: { transA: boolean; transB: boolean }
  reshape: { shape: Shape }
  transpose: { perm: readonly number[] }
  broadcastTo: { shape: Shape }
  concat: { axis: number }
  slice: { axis: number; start: Dim; end: Dim }
  pad: { axis: number; before: Dim; after: Dim }
  gather: None
  scatterAdd: { rows: Dim }
  takeAlong: None
  putAlong: { size: Dim }
  rmsNorm: { eps: number }
  rmsInverse: { eps: number }
  rope: { heads: number; rotary: number; inverse: boolean }
  stopGradient: None
  /** The first input's value; the rule gives the gradients of all others, and the first gets none. */
  customGrad: { rule: (dy: unknown) => readonly unknown[] }
}
export type Primitive = keyof Params

export type ShapeRule<P extends Primitive> = (inputs: readonly Type[], params: Params[P]) => Type

const unary = ([x]: readonly Type[]): Type => x

const binary = ([a, b]: readonly Type[]): Type => {
  assert(a.dtype === b.dtype, `operands are ${a.dtype} and ${b.dtype}`)
  return { shape: broadcast(a.shape, b.shape), dtype: a.dtype }
}

const comparison = ([a, b]: readonly Type[]): Type => ({ shape: broadcast(a.shape, b.shape), dtype: 'bool' })

const reduce = ([x]: readonly Type[], { axes, keep }: Reduce): Type => ({
  shape: x.shape.flatMap((dim, i) => (axes.includes(i) ? (keep ? [1] : []) : [dim])),
  dtype: x.dtype,
})

const lastReduced = (x: Type, keep: boolean): Shape => (keep ? [...x.shape.slice(0, -1), 1] : x.shape.slice(0, -1))

const withAxis = (shape: Shape, axis: number, dim: Dim): Shape => shape.map((d, i) => (i === axis ? dim : d))

/** NumPy's rule: align at the right, 1 stretches. */
export const broadcast = (a: Shape, b: Shape): Shape => {
  const rank = Math.max(a.length, b.length)
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1]
    assert(x === y || x === 1 || y === 1, `shapes [${a}] and [${b}] do not broadcast`)
    return x === 1 ? y : x
  })
}

export const shapeRules: { [P in Primitive]: ShapeRule<P> } = {
  input: (_, { shape, dtype }) => ({ shape, dtype }),
  constant: (_, { shape, dtype }) => ({ shape, dtype }),
  iota: (_, { size }) => ({ shape: [size], dtype: 'i64' }),
  neg: unary,
  exp: unary,
  log: unary,
  sqrt: unary,
  abs: unary,
  sign: unary,
  erf: unary,
  tanh: unary,
  sigmoid: unary,
  softplus: unary,
  relu: unary,
  silu: unary,
  not: unary,
  add: binary,
  sub: binary,
  mul: binary,
  div: binary,
  pow: binary,
  max: binary,
  min: binary,
  mod: binary,
  eq: comparison,
  lt: comparison,
  le: comparison,
  and: binary,
  or: binary,
  // [condition (bool), x, y]
  where: ([c, x, y]) => ({ shape: broadcast(c.shape, broadcast(x.shape, y.shape)), dtype: x.dtype }),
  cast: ([x], { dtype }) => ({ shape: x.shape, dtype }),
  reduceSum: reduce,
  reduceMax: reduce,
  argmax: ([x], { keep }) => ({ shape: lastReduced(x, keep), dtype: 'i64' }),
  argsort: ([x]) => ({ shape: x.shape, dtype: 'i64' }),
  softmax: unary,
  // [..., m, k] x [..., k, n], leading axes broadcast; transA, transB swap the last two
  matmul: ([a, b], { transA, transB }) => {
    const [m, k] = transA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!]
    const [k2, n] = transB ? [b.shape.at(-1)!, b.shape.at(-2)!] : [b.shape.at(-2)!, b.shape.at(-1)!]
    assert(k === k2, `matmul of [${a.shape}] and [${b.shape}]: inner sizes ${k} and ${k2}`)
    return { shape: [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n], dtype: a.dtype }
  },
  reshape: ([x], { shape }) => {
    assert(sizeOf(x.shape) === sizeOf(shape), `reshape of [${x.shape}] to [${shape}]`)
    return { shape, dtype: x.dtype }
  },
  transpose: ([x], { perm }) => ({ shape: perm.map((i) => x.shape[i]), dtype: x.dtype }),
  broadcastTo: ([x], { shape }) => ({ shape: broadcast(x.shape, shape), dtype: x.dtype }),
  concat: (xs, { axis }) => ({
    shape: withAxis(xs[0].shape, axis, xs.map((x) => x.shape[axis]).reduce(addDims)),
    dtype: xs[0].dtype,
  }),
  slice: ([x], { axis, start, end }) => ({ shape: withAxis(x.shape, axis, subDims(end, start)), dtype: x.dtype }),
  pad: ([x], { axis, before, after }) => ({
    shape: withAxis(x.shape, axis, addDims(addDims(before, x.shape[axis]), after)),
    dtype: x.dtype,
  }),
  // [x [R, ...], index [...i]] -> [...i, ...]: rows of x
  gather: ([x, index]) => ({ shape: [...index.shape, ...x.shape.slice(1)], dtype: x.dtype }),
  // [updates [...i, ...], index [...i]] -> [rows, ...]: zeros, and each update added to its row
  scatterAdd: ([u, index], { rows }) => ({ shape: [rows, ...u.shape.slice(index.shape.length)], dtype: u.dtype }),
  // [x [..., V], index [..., n]] -> [..., n]: along the last axis
  takeAlong: ([x, index]) => ({ shape: index.shape, dtype: x.dtype }),
  // [updates [..., n], index [..., n]] -> [..., size]: zeros, and each update added at its index
  putAlong: ([u], { size }) => ({ shape: [...u.shape.slice(0, -1), size], dtype: u.dtype }),
  // [x [..., C], weight [C]] -> x / sqrt(mean(x^2) + eps) * weight
  rmsNorm: unary,
  // [x, weight] -> [..., 1]: 1 / sqrt(mean(x^2) + eps)
  rmsInverse: ([x]) => ({ shape: lastReduced(x, true), dtype: x.dtype }),
  // [x [N, heads * D], positions [N] i64, cos [M, rotary / 2], sin [M, rotary / 2]]
  rope: unary,
  stopGradient: unary,
  customGrad: unary,
}
