/**
 * The interpreter: evaluates traced programs in TypeScript, slowly and in float64, by one rule for each primitive.
 * Tests compare gradients, `simplify` and the lowering to ONNX with it.
 *
 * Values are row-major Float64Arrays: i64 as whole doubles (exact up to 2^53, which the dropout hash exceeds), bool as
 * 0 and 1. An index out of range throws.
 */
import { bindShape, type Dim, evalDim } from '../tensor/dim.ts'
import { topological } from '../tensor/graph.ts'
import type { Params, Primitive } from '../tensor/primitives.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { assert } from '../util/fault.ts'
import { numel } from '../util/shape.ts'
import {
  deltaScan,
  matmul,
  matmulCodes,
  matmulGrouped,
  matmulGroupedQuantized,
  matmulInt8,
  matmulOfGroup,
  matmulQuantized,
  roundRows,
  roundShares,
} from './interpreterProducts.ts'
import { type Out, offsets, type Rule, rowMajor, stretch, strided, type Value } from './interpreterValues.ts'

export type Feed = { shape: readonly number[]; data: ArrayLike<number> }

/**
 * Values of traced tensors. Named sizes are taken from the feeds' shapes.
 * @throws where a feed is missing, disagrees with its declared shape, or has the wrong number of values
 */
export const evaluate = (outputs: readonly Tensor[], feeds: Readonly<Record<string, Feed>>): Value[] => {
  const order = topological(outputs)
  const bindings = bindFeeds(order, feeds)
  const size = (dim: Dim) => evalDim(dim, bindings)
  const fed = (name: string) => feeds[name].data
  const values = new Map<Tensor, Value>()
  for (const t of order) {
    const shape = t.shape.map(size)
    const rule = rules[t.op] as Rule<Primitive>
    const inputs = t.inputs.map((x) => values.get(x)!)
    const types = t.inputs.map((x) => x.dtype)
    const data = rule(inputs, t.params, { shape, dtype: t.dtype, inputs: types, size, fed })
    assert(data.length === numel(shape), `${t.op} made ${data.length} values of shape [${shape}]`)
    values.set(t, { shape, data })
  }
  return outputs.map((t) => values.get(t)!)
}

const bindFeeds = (order: readonly Tensor[], feeds: Readonly<Record<string, Feed>>) => {
  const bindings = new Map<string, number>()
  const inputs = order.filter((t): t is Tensor<'input'> => t.op === 'input')
  for (const { params, shape } of inputs) {
    assert(feeds[params.name], `input ${params.name} is not fed`)
    bindShape(params.name, shape, feeds[params.name].shape, bindings)
  }
  for (const { params, shape } of inputs)
    bindShape(
      params.name,
      shape.map((dim) => evalDim(dim, bindings)),
      feeds[params.name].shape,
      bindings,
    ) // B*T
  return bindings
}

const unary =
  (f: (x: number) => number) =>
  ([x]: readonly Value[]) =>
    x.data.map(f)

const binary =
  (f: (a: number, b: number) => number) =>
  (inputs: readonly Value[], _: unknown, { shape }: Out) => {
    const [a, b] = inputs.map((x) => stretch(x, shape))
    return a.map((x, i) => f(x, b[i]))
  }

const compare = (f: (a: number, b: number) => boolean) => binary((a, b) => Number(f(a, b)))

const same = ([x]: readonly Value[]) => x.data

const reduce =
  (start: number, f: (a: number, b: number) => number) =>
  ([{ shape, data }]: readonly Value[], { axes }: { axes: readonly number[] }) => {
    const kept = shape.map((size, i) => (axes.includes(i) ? 1 : size))
    const result = new Float64Array(numel(kept)).fill(start)
    const strides = rowMajor(kept).map((stride, i) => (axes.includes(i) ? 0 : stride))
    for (const [i, o] of offsets(shape, strides).entries()) result[o] = f(result[o], data[i])
    return result
  }

/** Maps each row along the last axis. */
const byRow = ({ shape, data }: Value, f: (row: Float64Array) => Iterable<number>): Float64Array => {
  const width = shape.at(-1)!
  const rows = numel(shape.slice(0, -1))
  return Float64Array.from(
    Array.from({ length: rows }, (_, r) => [...f(data.subarray(r * width, (r + 1) * width))]).flat(),
  )
}

const softmaxRow = (row: Float64Array) => {
  const top = row.reduce((a, b) => Math.max(a, b), -Infinity)
  const e = row.map((x) => Math.exp(x - top))
  const sum = e.reduce((a, b) => a + b, 0)
  return e.map((x) => x / sum)
}

const argsortRow = (row: Float64Array, descending: boolean) =>
  [...row.keys()].sort((i, j) => (descending ? row[j] - row[i] : row[i] - row[j]))

const sigmoid = (x: number) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)))

/** erf(x) = 2 / sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!: all terms have one sign, so nothing cancels. */
const erf = (x: number): number => {
  if (Math.abs(x) > 6) return Math.sign(x)
  let [sum, term] = [0, x]
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++)
    [sum, term] = [sum + term, (term * 2 * x * x) / (2 * n + 1)]
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum
}

/** Copies blocks that lie side by side along an axis. `parts` may lack the zeros that stand around them. */
const place = (parts: readonly Value[], axis: number, start: number, shape: readonly number[]) => {
  const y = new Float64Array(numel(shape))
  const width = numel(shape.slice(axis))
  let at = start * numel(shape.slice(axis + 1))
  for (const x of parts) {
    const block = numel(x.shape.slice(axis))
    for (let o = 0; o * width < y.length; o++) y.set(x.data.subarray(o * block, (o + 1) * block), o * width + at)
    at += block
  }
  return y
}

const checked = (index: number, size: number): number => {
  assert(index >= 0 && index < size, `index ${index} is outside of 0..${size - 1}`)
  return index
}

const gather: Rule<'gather'> = ([x, index]) => {
  const width = numel(x.shape.slice(1))
  const rows = [...index.data].map((r) => x.data.subarray(checked(r, x.shape[0]) * width, (r + 1) * width))
  return Float64Array.from(rows.flatMap((row) => [...row]))
}

const scatterAdd: Rule<'scatterAdd'> = ([updates, index, base], _, { shape }) => {
  const y = base ? base.data.slice() : new Float64Array(numel(shape))
  const width = numel(shape.slice(1))
  for (const [i, u] of updates.data.entries())
    y[checked(index.data[Math.floor(i / width)], shape[0]) * width + (i % width)] += u
  return y
}

const takeAlong: Rule<'takeAlong'> = ([x, index]) => {
  const [width, n] = [x.shape.at(-1)!, index.shape.at(-1)!]
  return index.data.map((c, i) => x.data[Math.floor(i / n) * width + checked(c, width)])
}

const putAlong: Rule<'putAlong'> = ([updates, index], _, { shape }) => {
  const y = new Float64Array(numel(shape))
  const [width, n] = [shape.at(-1)!, index.shape.at(-1)!]
  for (const [i, u] of updates.data.entries()) y[Math.floor(i / n) * width + checked(index.data[i], width)] += u
  return y
}

const inverseRms = (x: Value, eps: number) =>
  byRow(x, (row) => [1 / Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / row.length + eps)])

const rope: Rule<'rope'> = ([x, positions, cos, sin], { heads, rotary, inverse }) => {
  const [N, width] = x.shape
  const half = rotary / 2
  const y = x.data.slice()
  for (let at = 0; at < N * heads; at++) {
    const base = at * (width / heads)
    const row = checked(positions.data[Math.floor(at / heads)], cos.shape[0]) * half
    for (let i = 0; i < half; i++) {
      const [c, s] = [cos.data[row + i], inverse ? -sin.data[row + i] : sin.data[row + i]]
      const [a, b] = [x.data[base + i], x.data[base + half + i]]
      y[base + i] = a * c - b * s
      y[base + half + i] = b * c + a * s
    }
  }
  return y
}

const cast = ([x]: readonly Value[], { dtype }: Params['cast']) =>
  dtype === 'bool' ? x.data.map((v) => Number(v !== 0)) : dtype === 'i64' ? x.data.map(Math.trunc) : x.data

export const rules: { [P in Primitive]: Rule<P> } = {
  input: (_, { name }, { fed }) => Float64Array.from(fed(name)),
  constant: (_, { data }) => Float64Array.from(data),
  iota: (_, { size }, out) => Float64Array.from({ length: out.size(size) }, (_, i) => i),
  neg: unary((x) => -x),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  abs: unary(Math.abs),
  sign: unary(Math.sign),
  erf: unary(erf),
  tanh: unary(Math.tanh),
  sigmoid: unary(sigmoid),
  softplus: unary((x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))),
  relu: unary((x) => Math.max(x, 0)),
  silu: unary((x) => x * sigmoid(x)),
  not: unary((x) => 1 - x),
  add: binary((a, b) => a + b),
  sub: binary((a, b) => a - b),
  mul: binary((a, b) => a * b),
  // Whole numbers divide towards zero.
  div: (inputs, params, out) =>
    binary((a, b) => (out.dtype === 'i64' ? Math.trunc(a / b) : a / b))(inputs, params, out),
  pow: binary((a, b) => a ** b),
  max: binary(Math.max),
  min: binary(Math.min),
  mod: binary((a, b) => ((a % b) + b) % b),
  eq: compare((a, b) => a === b),
  lt: compare((a, b) => a < b),
  le: compare((a, b) => a <= b),
  and: binary((a, b) => a * b),
  or: binary(Math.max),
  where: (inputs, _, { shape }) => {
    const [c, x, y] = inputs.map((v) => stretch(v, shape))
    return c.map((holds, i) => (holds ? x[i] : y[i]))
  },
  cast,
  reduceSum: reduce(0, (a, b) => a + b),
  reduceMax: reduce(-Infinity, Math.max),
  // The first of equal values.
  argmax: ([x]) => byRow(x, (row) => [row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity))]),
  argsort: ([x], { descending, count }) => byRow(x, (row) => argsortRow(row, descending).slice(0, count)),
  softmax: ([x]) => byRow(x, softmaxRow),
  matmul,
  matmulQuantized,
  matmulCodes,
  matmulInt8,
  matmulGrouped,
  matmulGroupedQuantized,
  matmulOfGroup,
  roundRows,
  roundShares,
  reshape: same,
  transpose: ([x], { perm }, { shape }) => {
    const own = rowMajor(x.shape)
    return strided(
      x.data,
      shape,
      perm.map((p) => own[p]),
    )
  },
  broadcastTo: ([x], _, { shape }) => stretch(x, shape),
  concat: (xs, { axis }, { shape }) => place(xs, axis, 0, shape),
  slice: ([x], { axis, start }, { shape, size }) => {
    const own = rowMajor(x.shape)
    const [from, to] = [size(start), size(start) + shape[axis]]
    assert(from >= 0 && to <= x.shape[axis], `slice ${from}..${to} of axis ${axis} of [${x.shape}]`)
    return strided(x.data, shape, own, from * own[axis])
  },
  columnsFrom: ([x, start], _, { shape }) => {
    const from = start.data[0]
    assert(from >= 0 && from + shape[1] <= x.shape[1], `${shape[1]} columns from ${from} of [${x.shape}]`)
    return strided(x.data, shape, rowMajor(x.shape), from)
  },
  pad: ([x], { axis, before }, { shape, size }) => place([x], axis, size(before), shape),
  gather,
  scatterAdd,
  deltaScan,
  takeAlong,
  putAlong,
  rmsNorm: ([x, w], { eps }) => {
    const inverse = inverseRms(x, eps)
    const C = w.data.length
    return x.data.map((v, i) => v * inverse[Math.floor(i / C)] * w.data[i % C])
  },
  rmsInverse: ([x], { eps }) => inverseRms(x, eps),
  rope,
  stopGradient: same,
  customGrad: same,
}
