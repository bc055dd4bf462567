/**
 * The primitives of traced programs. Each has one row in each of four tables: shape (here), vjp (grad.ts), lowering
 * (onnx/lower.ts) and interpreter (runtime/interpreter.ts). Everything else is composed of them.
 */
import { assert } from '../util/fault.ts'
import { addDims, broadcast, type Dim, type Shape, sameShape, sizeOf, subDims } from './dim.ts'
import { type Quantization, storedShapes } from './quantization.ts'

export type DType = 'f32' | 'i64' | 'bool' | 'u8' | 's8'

/** 8-bit codes of whole numbers from -127 to 127: themselves (s8), or added to 128 (u8). */
export type CodeType = 'u8' | 's8'
export type Type = { readonly shape: Shape; readonly dtype: DType }

export const typeText = ({ dtype, shape }: Type) => `${dtype}[${shape.join(', ')}]`

type None = Record<never, never>
type Reduce = { axes: readonly number[]; keep: boolean }

/** `rounded`: x may also be rounded, to 8 bits in blocks, where that is faster; used for decoding. */
export type QuantizedProduct = { weight: Quantization; transposed: boolean; rounded: boolean }

/** In how many 8-bit numbers each value of x is rounded: the second holds what the first leaves, 254 times finer. */
export type Int8Product = { terms: 1 | 2 }

/** Of the left codes: the one that stands for 0, and what 1 stands for. */
export type CodedProduct = { zero: 0 | 128; unit: number }

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
  /** `count`: only the first so many of the order. */
  argsort: { descending: boolean; count?: number }
  softmax: None
  matmul: { transA: boolean; transB: boolean }
  matmulQuantized: QuantizedProduct
  matmulInt8: Int8Product
  matmulCodes: CodedProduct
  roundShares: None
  columnsFrom: { size: Dim }
  matmulGrouped: { transB: boolean }
  matmulGroupedQuantized: QuantizedProduct
  matmulOfGroup: { group: number }
  roundRows: { dtype: CodeType }
  reshape: { shape: Shape }
  transpose: { perm: readonly number[] }
  broadcastTo: { shape: Shape }
  concat: { axis: number }
  slice: { axis: number; start: Dim; end: Dim }
  pad: { axis: number; before: Dim; after: Dim }
  gather: None
  scatterAdd: { rows: Dim }
  deltaScan: { reverse: boolean }
  takeAlong: None
  putAlong: { size: Dim }
  rmsNorm: { eps: number }
  rmsInverse: { eps: number }
  rope: { heads: number; rotary: number; inverse: boolean }
  stopGradient: None
  /** The value of the first input, which gets no gradient; the rule gives the gradients of all others. */
  customGrad: { rule: (dy: unknown) => readonly unknown[] }
}
export type Primitive = keyof Params

/** Codes and scales, which stand side by side among the inputs of `matmulGroupedQuantized`. */
export const pairsOf = <T>(all: readonly T[]): [T, T][] =>
  Array.from({ length: all.length / 2 }, (_, i) => [all[2 * i], all[2 * i + 1]])

export type ShapeRule<P extends Primitive> = (inputs: readonly Type[], params: Params[P]) => Type

const expect = (x: Type, ...dtypes: readonly DType[]) =>
  assert(dtypes.includes(x.dtype), `expected ${dtypes.join(' or ')}, got ${x.dtype}`)

const checkAxis = ({ shape }: Type, axis: number) => assert(shape[axis] !== undefined, `axis ${axis} of [${shape}]`)

const unary =
  (...dtypes: readonly DType[]) =>
  ([x]: readonly Type[]): Type => {
    expect(x, ...dtypes)
    return x
  }

const binary =
  (...dtypes: readonly DType[]) =>
  ([a, b]: readonly Type[]): Type => {
    expect(a, ...dtypes)
    expect(b, a.dtype)
    return { shape: broadcast(a.shape, b.shape), dtype: a.dtype }
  }

const comparison =
  (...dtypes: readonly DType[]) =>
  (inputs: readonly Type[]): Type => ({ shape: binary(...dtypes)(inputs).shape, dtype: 'bool' })

const reduce = ([x]: readonly Type[], { axes, keep }: Reduce): Type => {
  expect(x, 'f32', 'i64')
  for (const axis of axes) checkAxis(x, axis)
  assert(new Set(axes).size === axes.length, `axes [${axes}] repeat`)
  return { shape: x.shape.flatMap((dim, i) => (axes.includes(i) ? (keep ? [1] : []) : [dim])), dtype: x.dtype }
}

/** Checks that two operands have equal axes before their last one. */
const checkLeading = (a: Type, b: Type) =>
  assert(sameShape(a.shape.slice(0, -1), b.shape.slice(0, -1)), `axes before the last differ`)

/** Rows [S, ...] that stand in groups, one after the other; `sizes` [groups] says how many each has. */
const checkGroups = (x: Type, sizes: Type, groups: number) => {
  expect(sizes, 'i64')
  checkAxis(x, 0)
  assert(groups > 0 && sameShape(sizes.shape, [groups]), `sizes must be [${groups}]`)
}

/** The type that all of these have. */
const sameType = (types: readonly Type[]): Type => {
  const other = types.find(({ shape }) => !sameShape(shape, types[0].shape))
  assert(!other, `groups of [${types[0].shape}] and [${other?.shape}]`)
  return types[0]
}

const withAxis = (shape: Shape, axis: number, dim: Dim): Shape => shape.map((d, i) => (i === axis ? dim : d))

/** Checks sizes that are known before the program runs. */
const checkOrder = (low: Dim, high: Dim, what: string) => {
  const room = subDims(high, low)
  assert(typeof room !== 'number' || room >= 0, `${what}: ${low} > ${high}`)
}

const checkNorm = ([x, weight]: readonly Type[]) => {
  expect(x, 'f32')
  assert(weight.shape.length === 1 && weight.shape[0] === x.shape.at(-1), `weight must be [${x.shape.at(-1)}]`)
}

export const shapeRules: { [P in Primitive]: ShapeRule<P> } = {
  input: (_, { shape, dtype }) => ({ shape, dtype }),
  constant: (_, { shape, dtype }) => ({ shape, dtype }),
  iota: (_, { size }) => ({ shape: [size], dtype: 'i64' }),
  neg: unary('f32', 'i64'),
  exp: unary('f32'),
  log: unary('f32'),
  sqrt: unary('f32'),
  abs: unary('f32', 'i64'),
  sign: unary('f32', 'i64'),
  erf: unary('f32'),
  tanh: unary('f32'),
  sigmoid: unary('f32'),
  softplus: unary('f32'),
  relu: unary('f32'),
  silu: unary('f32'),
  not: unary('bool'),
  add: binary('f32', 'i64'),
  sub: binary('f32', 'i64'),
  mul: binary('f32', 'i64'),
  div: binary('f32', 'i64'),
  pow: binary('f32'),
  max: binary('f32', 'i64'),
  min: binary('f32', 'i64'),
  mod: binary('i64'),
  eq: comparison('f32', 'i64', 'bool'),
  lt: comparison('f32', 'i64'),
  le: comparison('f32', 'i64'),
  and: binary('bool'),
  or: binary('bool'),
  // [condition (bool), x, y]
  where: ([c, x, y]) => {
    expect(c, 'bool')
    expect(y, x.dtype)
    return { shape: broadcast(c.shape, broadcast(x.shape, y.shape)), dtype: x.dtype }
  },
  cast: ([x], { dtype }) => ({ shape: x.shape, dtype }),
  reduceSum: reduce,
  reduceMax: reduce,
  // Along the last axis, as argsort and softmax.
  argmax: ([x], { keep }) => ({ shape: reduce([x], { axes: [x.shape.length - 1], keep }).shape, dtype: 'i64' }),
  argsort: ([x], { count }) => {
    const last = x.shape.length - 1
    checkAxis(x, last)
    if (count !== undefined) checkOrder(count, x.shape[last], 'count and size')
    return { shape: withAxis(x.shape, last, count ?? x.shape[last]), dtype: 'i64' }
  },
  softmax: ([x]) => {
    checkAxis(x, x.shape.length - 1)
    return unary('f32')([x])
  },
  // [..., m, k] x [..., k, n], leading axes broadcast; transA, transB swap the last two
  matmul: ([a, b], { transA, transB }) => {
    expect(a, 'f32')
    expect(b, 'f32')
    assert(a.shape.length >= 2 && b.shape.length >= 2, 'both operands need two axes')
    const [m, k] = transA ? [a.shape.at(-1)!, a.shape.at(-2)!] : [a.shape.at(-2)!, a.shape.at(-1)!]
    const [k2, n] = transB ? [b.shape.at(-1)!, b.shape.at(-2)!] : [b.shape.at(-2)!, b.shape.at(-1)!]
    assert(k === k2, `inner sizes ${k} and ${k2} (transA ${transA}, transB ${transB})`)
    return { shape: [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), m, n], dtype: a.dtype }
  },
  // [x [M, inner], codes, scales] -> [M, out]: x W' of a weight W [out, inner]; transposed: x [M, out] -> [M, inner]: x W
  matmulQuantized: ([x, codes, scales], { weight, transposed }) => {
    expect(x, 'f32')
    expect(codes, 'u8')
    const stored = storedShapes(weight)
    assert(sameShape(codes.shape, stored.codes), `codes must be [${stored.codes}]`)
    assert(sameShape(scales.shape, stored.scales), `scales must be [${stored.scales}]`)
    const [from, to] = transposed ? [weight.out, weight.inner] : [weight.inner, weight.out]
    assert(x.shape.length === 2 && x.shape[1] === from, `x must be [M, ${from}]`)
    return { shape: [x.shape[0], to], dtype: 'f32' }
  },
  // [x [M, inner], codes [inner, out], scales [out]] -> [M, out]: the rows of x rounded to 8 bits, times codes, times scales
  matmulInt8: ([x, codes, scales]) => {
    expect(x, 'f32')
    expect(codes, 'u8', 's8')
    expect(scales, 'f32')
    const [inner, out] = codes.shape
    assert(x.shape.length === 2 && x.shape[1] === inner, `x must be [M, ${inner}]`)
    assert(sameShape(scales.shape, [out]), `scales must be [${out}]`)
    return { shape: [x.shape[0], out], dtype: 'f32' }
  },
  // [a [M, inner], codes [inner, out], scales [out]] -> [M, out]: unit * (a - zero) times codes
  matmulCodes: ([a, codes, scales]) => {
    expect(a, 'u8')
    return shapeRules.matmulInt8([{ ...a, dtype: 'f32' }, codes, scales], { terms: 1 })
  },
  // x -> codes of the nearest whole numbers from 0 to 255
  roundShares: ([x]) => {
    expect(x, 'f32')
    return { shape: x.shape, dtype: 'u8' }
  },
  // [codes [R, C], start [1]] -> [R, size]: so many columns from the one that `start` says
  columnsFrom: ([x, start], { size }) => {
    expect(x, 'u8', 's8')
    expect(start, 'i64')
    assert(x.shape.length === 2, 'x must be a matrix')
    return { shape: [x.shape[0], size], dtype: x.dtype }
  },
  // [x [S, inner], sizes [E], W0, ... W(E-1)] -> [S, out]: the first sizes[0] rows of x times W0, the next times W1, ...
  matmulGrouped: ([x, sizes, ...weights], { transB }) => {
    checkGroups(x, sizes, weights.length)
    return sameType(weights.map((W) => shapeRules.matmul([x, W], { transA: false, transB })))
  },
  // [x [S, inner], sizes [E], codes0, scales0, codes1, ...] -> [S, out]: the same with quantized weights
  matmulGroupedQuantized: ([x, sizes, ...weights], params) => {
    checkGroups(x, sizes, weights.length / 2)
    return sameType(pairsOf(weights).map((weight) => shapeRules.matmulQuantized([x, ...weight], params)))
  },
  // [a [S, m], b [S, n], sizes [E]] -> [m, n]: a' b over the rows of one group
  matmulOfGroup: ([a, b, sizes], { group }) => {
    checkGroups(a, sizes, sizes.shape[0] as number)
    assert(group < (sizes.shape[0] as number), `group ${group} of ${sizes.shape[0]}`)
    return shapeRules.matmul([a, b], { transA: true, transB: false })
  },
  // [x [R, C], scales [R]] -> codes [R, C] of x / scales, rounded to the nearest of -127 to 127; 0 where a scale is 0
  roundRows: ([x, scales], { dtype }) => {
    expect(x, 'f32')
    assert(x.shape.length === 2 && sameShape(scales.shape, [x.shape[0]]), `scales must be [${x.shape[0]}]`)
    return { shape: x.shape, dtype }
  },
  reshape: ([x], { shape }) => {
    assert(sizeOf(x.shape) === sizeOf(shape), `to [${shape}]: ${sizeOf(x.shape)} values for ${sizeOf(shape)}`)
    return { shape, dtype: x.dtype }
  },
  transpose: ([x], { perm }) => {
    const complete = perm.length === x.shape.length && x.shape.every((_, i) => perm.includes(i))
    assert(complete, `[${perm}] is no permutation of ${x.shape.length} axes`)
    return { shape: perm.map((i) => x.shape[i]), dtype: x.dtype }
  },
  broadcastTo: ([x], { shape }) => {
    assert(sameShape(broadcast(x.shape, shape), shape), `[${x.shape}] does not stretch to [${shape}]`)
    return { shape, dtype: x.dtype }
  },
  concat: (xs, { axis }) => {
    checkAxis(xs[0], axis)
    for (const x of xs) {
      expect(x, xs[0].dtype)
      const fits = sameShape(withAxis(x.shape, axis, 0), withAxis(xs[0].shape, axis, 0))
      assert(fits, `[${xs[0].shape}] and [${x.shape}] differ beside axis ${axis}`)
    }
    return { shape: withAxis(xs[0].shape, axis, xs.map((x) => x.shape[axis]).reduce(addDims)), dtype: xs[0].dtype }
  },
  slice: ([x], { axis, start, end }) => {
    checkAxis(x, axis)
    checkOrder(0, start, 'start')
    checkOrder(start, end, 'start and end')
    checkOrder(end, x.shape[axis], `end on axis ${axis}`)
    return { shape: withAxis(x.shape, axis, subDims(end, start)), dtype: x.dtype }
  },
  // Zeros before and after.
  pad: ([x], { axis, before, after }) => {
    expect(x, 'f32', 'i64')
    checkAxis(x, axis)
    checkOrder(0, before, 'before')
    checkOrder(0, after, 'after')
    return { shape: withAxis(x.shape, axis, addDims(addDims(before, x.shape[axis]), after)), dtype: x.dtype }
  },
  // [x [R, ...], index [...i]] -> [...i, ...]: rows of x
  gather: ([x, index]) => {
    expect(index, 'i64')
    checkAxis(x, 0)
    return { shape: [...index.shape, ...x.shape.slice(1)], dtype: x.dtype }
  },
  // [updates [...i, ...], index [...i], base?] -> [rows, ...]: zeros or the base, and each update added to its row
  scatterAdd: ([u, index, base], { rows }) => {
    expect(index, 'i64')
    const rank = index.shape.length
    assert(sameShape(u.shape.slice(0, rank), index.shape), `updates must begin with [${index.shape}]`)
    const shape = [rows, ...u.shape.slice(rank)]
    assert(!base || sameShape(base.shape, shape), `what is added to must be [${shape}]`)
    return { shape, dtype: u.dtype }
  },
  // [updates C [n+1, P, k, v], decay d [n, P, 1, 1], A and B [n, P, l, k]] -> y [n+1, P, k, v]: y[0] = C[0],
  // y[c+1] = d[c] y[c] - A[c]' (B[c] y[c]) + C[c+1]; reverse: y[n] = C[n], y[c] = d[c] y[c+1] - A[c]' (B[c] y[c+1]) + C[c]
  deltaScan: ([updates, decay, a, b]) => {
    for (const x of [updates, decay, a, b]) expect(x, 'f32')
    const [n, P, , k] = a.shape
    assert(a.shape.length === 4 && sameShape(a.shape, b.shape), 'A and B must be [n, P, l, k], both')
    assert(sameShape(decay.shape, [n, P, 1, 1]), `the decay must be [${n}, ${P}, 1, 1]`)
    const v = updates.shape[3]
    assert(sameShape(updates.shape, [addDims(n, 1), P, k, v]), `updates must be [${addDims(n, 1)}, ${P}, ${k}, v]`)
    return updates
  },
  // [x [..., V], index [..., n]] -> [..., n]: along the last axis
  takeAlong: ([x, index]) => {
    expect(index, 'i64')
    checkLeading(x, index)
    return { shape: index.shape, dtype: x.dtype }
  },
  // [updates [..., n], index [..., n]] -> [..., size]: zeros, and each update added at its index
  putAlong: ([u, index], { size }) => {
    expect(index, 'i64')
    assert(sameShape(u.shape, index.shape), 'updates and index differ in shape')
    return { shape: [...u.shape.slice(0, -1), size], dtype: u.dtype }
  },
  // [x [..., C], weight [C]] -> x / sqrt(mean(x^2) + eps) * weight
  rmsNorm: (inputs) => {
    checkNorm(inputs)
    return inputs[0]
  },
  // [x, weight] -> [..., 1]: 1 / sqrt(mean(x^2) + eps); the weight only makes it one node with rmsNorm when lowered
  rmsInverse: (inputs) => {
    checkNorm(inputs)
    return { shape: [...inputs[0].shape.slice(0, -1), 1], dtype: 'f32' }
  },
  // [x [N, heads * D], positions [N] i64, cos [M, rotary / 2], sin [M, rotary / 2]]: of each head's first `rotary`
  // values, the halves (a, b) become (a cos - b sin, b cos + a sin); `inverse` negates sin
  rope: ([x, positions, cos, sin], { heads, rotary }) => {
    expect(positions, 'i64')
    const [N, width] = x.shape
    const fits = typeof width === 'number' && width % heads === 0 && rotary <= width / heads && rotary % 2 === 0
    assert(
      fits && x.shape.length === 2,
      `x must be [N, heads * D] for ${heads} heads, with an even rotary ${rotary} <= D`,
    )
    assert(sameShape(positions.shape, [N]), `positions must be [${N}]`)
    const half = cos.shape.length === 2 && cos.shape[1] === rotary / 2 && sameShape(cos.shape, sin.shape)
    assert(half, `tables must be [M, ${rotary / 2}]`)
    return x
  },
  stopGradient: ([x]) => x,
  customGrad: ([x]) => x,
}
