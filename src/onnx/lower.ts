/**
 * Lowering: for each primitive, the ONNX nodes that compute it. Operators of ONNX Runtime's own are used where they are
 * faster: FusedMatMul (transposing an operand is free), QuickGelu with alpha 1 (SiLU), RotaryEmbedding, and
 * SimplifiedLayerNormalization (RMS norm, whose second output is 1/rms).
 */
import { type Shape, sameShape, sizeOf } from '../tensor/dim.ts'
import { type Params, type Primitive, pairsOf } from '../tensor/primitives.ts'
import { type Emitter, elementType, type LowerRule, microsoft } from './emitter.ts'
import { matmulCodes, matmulInt8, roundRows, roundShares } from './lowerInt8.ts'
import { quantizedProduct } from './lowerQuantized.ts'
import { deltaScan } from './lowerScan.ts'

const plain =
  (op: string) =>
  (e: Emitter, _: unknown, inputs: readonly string[]): string =>
    e.emit(op, inputs)

const reduction =
  (op: string): LowerRule<'reduceSum' | 'reduceMax'> =>
  (e, { params: { axes, keep } }, [x]) =>
    axes.length === 0 ? x : e.emit(op, [x, e.constant(axes, [axes.length], 'i64')], { keepdims: keep ? 1 : 0 })

/**
 * Where at most one unknown size is not kept from the input, ONNX's own 0 and -1 express the shape without computing
 * it.
 */
const reshape: LowerRule<'reshape'> = (e, t, [x]) => {
  const from = t.inputs[0].shape
  const sizes = t.params.shape.map((dim, i) => (typeof dim === 'number' ? dim : dim === from[i] ? 0 : -1))
  const plainZero = t.params.shape.includes(0)
  const simple = !plainZero && sizes.filter((size) => size === -1).length <= 1
  return e.emit('Reshape', [x, simple ? e.constant(sizes, [sizes.length], 'i64') : e.shape(t.params.shape)])
}

const zeros = (e: Emitter, shape: Shape) => e.emit('ConstantOfShape', [e.shape(shape)])

/**
 * Uses ScatterElements, although ScatterND could add whole rows: with several threads, ScatterND (onnxruntime 1.30)
 * adds to one row from two of them at once, which loses updates and differs from run to run.
 */
const scatterAdd: LowerRule<'scatterAdd'> = (e, t, [updates, index, base]) => {
  const indexShape = t.inputs[1].shape
  const [n, width] = [sizeOf(indexShape), sizeOf(t.inputs[0].shape.slice(indexShape.length))]
  const shaped = (x: string, from: Shape, to: Shape) => (sameShape(from, to) ? x : e.emit('Reshape', [x, e.shape(to)]))
  const sums: Shape = [t.params.rows, width]
  const into = base === undefined ? zeros(e, sums) : shaped(base, t.shape, sums)
  const rows = e.emit('Expand', [shaped(index, indexShape, [n, 1]), e.shape([n, width])])
  const added = [into, rows, shaped(updates, t.inputs[0].shape, [n, width])]
  return shaped(e.emit('ScatterElements', added, { axis: 0, reduction: 'add' }), sums, t.shape)
}

const rms = (e: Emitter, [x, weight]: readonly string[], { eps }: Params['rmsNorm']) =>
  e.once(`rms ${x} ${weight} ${eps}`, () =>
    e.emitMany('SimplifiedLayerNormalization', [x, weight], { axis: -1, epsilon: { float: eps }, stash_type: 1 }, 2),
  )

/** The rows of each group. */
const groupsOf = (e: Emitter, x: string, sizes: string, groups: number): string[] =>
  e.once(`groups ${x} ${sizes}`, () => e.emitMany('Split', [x, sizes], { axis: 0 }, groups))

const product = (e: Emitter, inputs: readonly string[], transA: boolean, transB: boolean) =>
  transA || transB
    ? e.emit('FusedMatMul', inputs, { transA: Number(transA), transB: Number(transB) }, microsoft)
    : e.emit('MatMul', inputs)

const matmulGrouped: LowerRule<'matmulGrouped'> = (e, { params: { transB } }, [x, sizes, ...weights]) => {
  const rows = groupsOf(e, x, sizes, weights.length)
  const products = weights.map((W, i) => product(e, [rows[i], W], false, transB))
  return e.emit('Concat', products, { axis: 0 })
}

const matmulGroupedQuantized: LowerRule<'matmulGroupedQuantized'> = (e, { params }, [x, sizes, ...weights]) => {
  const rows = groupsOf(e, x, sizes, weights.length / 2)
  const products = pairsOf(weights).map((weight, i) => quantizedProduct(e, params, [rows[i], ...weight]))
  return e.emit('Concat', products, { axis: 0 })
}

const matmulOfGroup: LowerRule<'matmulOfGroup'> = (e, t, [a, b, sizes]) => {
  const groups = t.inputs[2].shape[0] as number
  const [rowsOfA, rowsOfB] = [a, b].map((x) => groupsOf(e, x, sizes, groups)[t.params.group])
  return product(e, [rowsOfA, rowsOfB], true, false)
}

/** Each token is a batch of one, since RotaryEmbedding refuses sequences longer than its tables. */
const rope: LowerRule<'rope'> = (e, t, [x, positions, cos, sin]) => {
  const { heads, rotary, inverse } = t.params
  const width = t.shape[1] as number
  const minusOne = (sizes: number[]) => e.constant(sizes, [sizes.length], 'i64')
  const rotated = e.emit(
    'RotaryEmbedding',
    [
      e.emit('Reshape', [x, minusOne([-1, 1, width])]),
      e.emit('Reshape', [positions, minusOne([-1, 1])]),
      cos,
      inverse ? e.once(`neg ${sin}`, () => e.emit('Neg', [sin])) : sin,
    ],
    { num_heads: heads, rotary_embedding_dim: rotary === width / heads ? 0 : rotary },
    microsoft,
  )
  return e.emit('Reshape', [rotated, minusOne([-1, width])])
}

const topK: LowerRule<'argsort'> = (e, t, [x]) =>
  e.emitMany(
    'TopK',
    [x, e.shape([t.shape.at(-1)!])],
    { axis: -1, largest: t.params.descending ? 1 : 0, sorted: 1 },
    2,
  )[1]

export const lowerings: { [P in Primitive]: LowerRule<P> } = {
  input: (_, t) => t.params.name,
  constant: (e, { params: { data, shape, dtype } }) => e.constant(data, shape as number[], dtype),
  iota: (e, t) => {
    const size = e.emit('Reshape', [e.shape(t.shape), e.constant([], [0], 'i64')])
    return e.emit('Range', [e.constant([0], [], 'i64'), size, e.constant([1], [], 'i64')])
  },
  neg: plain('Neg'),
  exp: plain('Exp'),
  log: plain('Log'),
  sqrt: plain('Sqrt'),
  abs: plain('Abs'),
  sign: plain('Sign'),
  erf: plain('Erf'),
  tanh: plain('Tanh'),
  sigmoid: plain('Sigmoid'),
  softplus: plain('Softplus'),
  relu: plain('Relu'),
  silu: (e, _, inputs) => e.emit('QuickGelu', inputs, { alpha: { float: 1 } }, microsoft),
  not: plain('Not'),
  add: plain('Add'),
  sub: plain('Sub'),
  mul: plain('Mul'),
  div: plain('Div'),
  pow: plain('Pow'),
  max: plain('Max'),
  min: plain('Min'),
  mod: plain('Mod'),
  eq: plain('Equal'),
  lt: plain('Less'),
  le: plain('LessOrEqual'),
  and: plain('And'),
  or: plain('Or'),
  where: plain('Where'),
  cast: (e, { params }, inputs) => e.emit('Cast', inputs, { to: elementType[params.dtype] }),
  reduceSum: reduction('ReduceSum') as LowerRule<'reduceSum'>,
  reduceMax: reduction('ReduceMax') as LowerRule<'reduceMax'>,
  argmax: (e, { params }, inputs) => e.emit('ArgMax', inputs, { axis: -1, keepdims: params.keep ? 1 : 0 }),
  argsort: topK,
  softmax: (e, _, inputs) => e.emit('Softmax', inputs, { axis: -1 }),
  matmul: (e, { params: { transA, transB } }, inputs) => product(e, inputs, transA, transB),
  matmulQuantized: (e, { params }, inputs) => quantizedProduct(e, params, inputs),
  matmulInt8,
  matmulCodes,
  matmulGrouped,
  matmulGroupedQuantized,
  matmulOfGroup,
  roundRows,
  roundShares,
  reshape,
  transpose: (e, { params }, inputs) => e.emit('Transpose', inputs, { perm: params.perm }),
  broadcastTo: (e, { params }, [x]) => e.emit('Expand', [x, e.shape(params.shape)]),
  concat: (e, { params }, inputs) => e.emit('Concat', inputs, { axis: params.axis }),
  slice: (e, { params: { axis, start, end } }, [x]) =>
    e.emit('Slice', [x, e.shape([start]), e.shape([end]), e.constant([axis], [1], 'i64')]),
  columnsFrom: (e, { params: { size } }, [x, start]) =>
    e.emit('Slice', [x, start, e.emit('Add', [start, e.shape([size])]), e.constant([1], [1], 'i64')]),
  pad: (e, { params: { axis, before, after } }, [x]) =>
    e.emit('Pad', [x, e.shape([before, after]), '', e.constant([axis], [1], 'i64')]),
  gather: (e, _, inputs) => e.emit('Gather', inputs, { axis: 0 }),
  scatterAdd,
  deltaScan,
  takeAlong: (e, _, inputs) => e.emit('GatherElements', inputs, { axis: -1 }),
  putAlong: (e, t, [updates, index]) =>
    e.emit('ScatterElements', [zeros(e, t.shape), index, updates], { axis: -1, reduction: 'add' }),
  rmsNorm: (e, { params }, inputs) => rms(e, inputs, params)[0],
  rmsInverse: (e, { params }, inputs) => rms(e, inputs, params)[1],
  rope,
  stopGradient: (_, __, [x]) => x,
  customGrad: (_, __, [x]) => x,
}
