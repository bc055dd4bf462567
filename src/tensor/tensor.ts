/**
 * A symbolic tensor: a node of a traced program. Methods append nodes and infer shapes; nothing is computed here.
 * Numbers can be used in place of tensors. A shape error is thrown where the operation is written, not when the program
 * runs.
 */
import { assert } from '../util/fault.ts'
import { addDims, type Dim, type Shape, sameShape, sizeOf } from './dim.ts'
import {
  type CodeType,
  type DType,
  type Params,
  type Primitive,
  type QuantizedProduct,
  shapeRules,
  type Type,
  typeText,
} from './primitives.ts'

let count = 0

/**
 * A tensor that only records how it is computed: an operation, its inputs, and the shape and type of the result. Methods make new
 * tensors; values exist when a program that is compiled from them runs.
 */
export class Tensor<P extends Primitive = Primitive> implements Type {
  /** A number of its own. */
  readonly id = count++
  /** The operation that makes it. */
  readonly op: P
  /** What the operation reads. */
  readonly inputs: readonly Tensor[]
  /** The operation's own settings, such as an axis. */
  readonly params: Params[P]
  /** The size along each axis: a number, or a name for a size that is known when the program runs. */
  readonly shape: Shape
  /** The type of each value. */
  readonly dtype: DType

  constructor(op: P, inputs: readonly Tensor[], params: Params[P]) {
    this.op = op
    this.inputs = inputs
    this.params = params
    const type = infer(op, inputs, params)
    this.shape = type.shape
    this.dtype = type.dtype
  }

  /** The number of axes. */
  get rank() {
    return this.shape.length
  }

  /** -x */
  neg = () => node('neg', [this])
  /** e to the x */
  exp = () => node('exp', [this])
  /** The natural logarithm. */
  log = () => node('log', [this])
  /** The square root. */
  sqrt = () => node('sqrt', [this])
  /** The magnitude. */
  abs = () => node('abs', [this])
  /** -1, 0 or 1. */
  sign = () => node('sign', [this])
  /** The error function. */
  erf = () => node('erf', [this])
  /** The hyperbolic tangent. */
  tanh = () => node('tanh', [this])
  /** 1 / (1 + exp(-x)) */
  sigmoid = () => node('sigmoid', [this])
  /** log(1 + exp(x)) without overflow. */
  softplus = () => node('softplus', [this])
  /** x where it is above 0, else 0. */
  relu = () => node('relu', [this])
  /** x sigmoid(x) */
  silu = () => node('silu', [this])
  /** Where this (bool) does not hold. */
  not = () => node('not', [this])
  /** log(sigmoid(x)) without overflow. */
  logSigmoid = () => this.neg().softplus().neg()
  /** x x */
  square = () => this.mul(this)

  /** This and another tensor added, element by element; sizes of 1 are repeated. */
  add = (other: Operand) => node('add', this.with(other))
  /** This less another. */
  sub = (other: Operand) => node('sub', this.with(other))
  /** Multiplied element by element. */
  mul = (other: Operand) => node('mul', this.with(other))
  /** Divided element by element. */
  div = (other: Operand) => node('div', this.with(other))
  /** To the power of another. */
  pow = (other: Operand) => node('pow', this.with(other))
  /** The larger of each two elements. */
  max = (other: Operand) => node('max', this.with(other))
  /** The smaller of each two elements. */
  min = (other: Operand) => node('min', this.with(other))
  /** The remainder of whole numbers, with the sign of the divisor. */
  mod = (other: Operand) => node('mod', this.with(other))
  /** Whether they are equal, as bool. */
  eq = (other: Operand) => node('eq', this.with(other))
  /** Whether this is less, as bool. */
  lt = (other: Operand) => node('lt', this.with(other))
  /** Whether this is less or equal, as bool. */
  le = (other: Operand) => node('le', this.with(other))
  /** Whether this is greater, as bool. */
  gt = (other: Operand) => node('lt', this.with(other).reverse())
  /** Whether this is greater or equal, as bool. */
  ge = (other: Operand) => node('le', this.with(other).reverse())
  /** Whether both (bool) hold. */
  and = (other: Tensor) => node('and', [this, other])
  /** Whether one of them (bool) holds. */
  or = (other: Tensor) => node('or', [this, other])

  /** x where this (bool) holds, else y. */
  where = (x: Operand, y: Operand) => {
    const like = x instanceof Tensor ? x : y instanceof Tensor ? y : scalar(0)
    return node('where', [this, operand(x, like.dtype), operand(y, like.dtype)])
  }
  /** The same values in another type. */
  cast = (dtype: DType): Tensor => (dtype === this.dtype ? this : node('cast', [this], { dtype }))

  /** The sum over some axes (default: all), which stay with size 1 or not. */
  sum = (axes?: number | readonly number[], keep = false) => node('reduceSum', [this], { axes: this.axes(axes), keep })
  /** The largest value over some axes. */
  amax = (axes?: number | readonly number[], keep = false) => node('reduceMax', [this], { axes: this.axes(axes), keep })
  /** The mean over some axes. */
  mean = (axes?: number | readonly number[], keep = false): Tensor => {
    const summed = this.sum(axes, keep)
    const size = sizeOf(this.axes(axes).map((i) => this.shape[i]))
    return summed.div(typeof size === 'number' ? size : sizeTensor(size))
  }
  /** log(sum(exp(x))) over the last axis, kept or not; finite for any finite x. */
  logsumexp = (keep = false): Tensor => {
    const m = this.amax(-1, true).stopGradient()
    const y = this.sub(m).exp().sum(-1, true).log().add(m)
    return keep ? y : y.reshape(y.shape.slice(0, -1))
  }
  /** The index of the largest value along the last axis; of equal values the first. */
  argmax = (keep = false) => node('argmax', [this], { keep })
  /** The indices that sort the last axis; equal values keep their order. */
  argsort = (descending = false) => node('argsort', [this], { descending })
  /** Indices of the k largest values along the last axis, largest first; of equal values the first comes first. */
  topIndex = (k: number) => node('argsort', [this], { descending: true, count: k })
  /** exp(x) / sum(exp(x)) over the last axis. */
  softmax = () => node('softmax', [this])
  /** log(softmax(x)) without overflow. */
  logSoftmax = () => this.sub(this.logsumexp(true))

  /** The product of matrices, of which the last two axes are rows and columns; either may be transposed first. */
  matmul = (other: Tensor, { transA = false, transB = false } = {}) => node('matmul', [this, other], { transA, transB })

  /**
   * The product of this x [M, inner] with a quantized weight W [out, inner]: x W' [M, out]; transposed: x [M, out] -> x
   * W [M, inner].
   */
  matmulQuantized = ({ codes, scales, weight, transposed = false, rounded = false }: QuantizedWeight): Tensor =>
    node('matmulQuantized', [this, codes, scales], { weight, transposed, rounded })

  /**
   * The product of this x [M, inner] with 8-bit codes [inner, out] (see `roundRows`), in whole numbers: each row of x is
   * rounded to 8 bits of its largest magnitude, in one term or two. Then times scales [out]. -> [M, out]
   */
  matmulInt8 = (codes: Tensor, scales: Tensor, terms: 1 | 2) => node('matmulInt8', [this, codes, scales], { terms })
  /** The product of these codes [M, inner] with others [inner, out], in whole numbers. Then times scales [out]. -> [M, out] */
  matmulCodes = (codes: Tensor, scales: Tensor, params: Params['matmulCodes']) =>
    node('matmulCodes', [this, codes, scales], params)
  /**
   * The products of groups of rows of this [S, inner] with a weight each: the first sizes[0] rows with the first weight [inner, out]
   * (transB: [out, inner]), the next sizes[1] with the second, ... -> [S, out]
   */
  matmulGrouped = (sizes: Tensor, weights: readonly Tensor[], { transB = false } = {}) =>
    node('matmulGrouped', [this, sizes, ...weights], { transB })
  /** This' other, of the rows of one group: this [S, m], other [S, n] -> [m, n]. */
  matmulOfGroup = (other: Tensor, sizes: Tensor, group: number) =>
    node('matmulOfGroup', [this, other, sizes], { group })
  /** The same as `matmulGrouped` with quantized weights, all of one kind. */
  matmulGroupedQuantized = (sizes: Tensor, weights: readonly QuantizedWeight[]): Tensor => {
    const { weight, transposed = false, rounded = false } = weights[0]
    const stored = weights.flatMap(({ codes, scales }) => [codes, scales])
    return node('matmulGroupedQuantized', [this, sizes, ...stored], { weight, transposed, rounded })
  }
  /** Codes of this x [R, C]: the whole number nearest to x / scales [R], from -127 to 127. */
  roundRows = (scales: Tensor, dtype: CodeType) => node('roundRows', [this, scales], { dtype })

  /** Codes (u8) of the nearest whole numbers from 0 to 255. */
  roundShares = () => node('roundShares', [this])

  /** The same values in another shape. */
  reshape = (shape: Shape): Tensor => (sameShape(shape, this.shape) ? this : node('reshape', [this], { shape }))
  /** The axes in another order. */
  transpose = (perm: readonly number[]) => node('transpose', [this], { perm })
  /** Repeated along axes of size 1 to a larger shape. */
  broadcastTo = (shape: Shape): Tensor => (sameShape(shape, this.shape) ? this : node('broadcastTo', [this], { shape }))
  /** The part from `start` up to `end` of an axis. */
  slice = (axis: number, start: Dim, end: Dim) => node('slice', [this], { axis: this.axis(axis), start, end })
  /** So many columns of these codes [R, C], from the one that `start` [1] i64 says. */
  columnsFrom = (start: Tensor, size: Dim) => node('columnsFrom', [this, start], { size })
  /** Zeros before and after along an axis. */
  pad = (axis: number, before: Dim, after: Dim) => node('pad', [this], { axis: this.axis(axis), before, after })
  /** Rows of this [R, ...] by index [...i] -> [...i, ...]. */
  gather = (index: Tensor) => node('gather', [this, index])
  /** This [...i, ...] added into `rows` rows of zeros. */
  scatterAdd = (index: Tensor, rows: Dim) => node('scatterAdd', [this, index], { rows })
  /**
   * The linear recurrence of the delta rule over n chunks, all its states y: with this C [n+1, P, k, v], decay d [n, P, 1, 1], and a, b
   * [n, P, l, k], y[0] = C[0] and y[c+1] = d[c] y[c] - a[c]' (b[c] y[c]) + C[c+1]; or the same from the last one back.
   */
  deltaScan = (decay: Tensor, a: Tensor, b: Tensor, { reverse = false } = {}) =>
    node('deltaScan', [this, decay, a, b], { reverse })
  /** Along the last axis the values at the indices: y[..., i] = x[..., index[..., i]]. */
  takeAlong = (index: Tensor) => node('takeAlong', [this, index])
  /** The reverse of takeAlong: values added at the indices of an axis of `size` zeros. */
  putAlong = (index: Tensor, size: Dim) => node('putAlong', [this, index], { size })

  /** x weight / sqrt(mean(x^2) + eps) over the last axis. */
  rmsNorm = (weight: Tensor, eps: number) => node('rmsNorm', [this, weight], { eps })
  /** 1 / sqrt(mean(x^2) + eps) over the last axis, which stays with size 1. */
  rmsInverse = (weight: Tensor, eps: number) => node('rmsInverse', [this, weight], { eps })
  /** Rotates the first `rotary` of each head's values; this is [N, heads * D]; tables are [M, rotary / 2]. */
  rope = (positions: Tensor, cos: Tensor, sin: Tensor, params: Params['rope']) =>
    node('rope', [this, positions, cos, sin], params)

  /** The same value, through which no gradient passes. */
  stopGradient = () => node('stopGradient', [this])

  /** This value with a custom gradient: `rule` gives those of `sources`. */
  withGrad = (sources: readonly Tensor[], rule: (dy: Tensor) => readonly Tensor[]) =>
    node('customGrad', [this, ...sources], { rule: rule as Params['customGrad']['rule'] })

  private with(other: Operand): Tensor[] {
    return [this, operand(other, this.dtype)]
  }
  private axis(axis: number): number {
    return axis < 0 ? axis + this.rank : axis
  }
  private axes(axes?: number | readonly number[]): number[] {
    const all = axes === undefined ? this.shape.map((_, i) => i) : typeof axes === 'number' ? [axes] : axes
    return all.map((i) => this.axis(i)).sort((a, b) => a - b)
  }
}

/** Applies the shape rule; an error names the operation and its operands. */
const infer = <P extends Primitive>(op: P, inputs: readonly Tensor[], params: Params[P]): Type => {
  try {
    return shapeRules[op](inputs, params)
  } catch (error) {
    const why = (error as Error).message.replace(/^attune: /, '')
    throw new Error(`attune: ${op} of ${inputs.map(typeText).join(', ')}: ${why}`, { cause: error })
  }
}

/** A weight in 8 or 4 bits, and how it is multiplied with. */
export type QuantizedWeight = {
  /** The packed numbers. */
  codes: Tensor
  /** What each block of them is multiplied by. */
  scales: Tensor
} & Pick<QuantizedProduct, 'weight'> &
  Partial<QuantizedProduct>

/** A tensor, or a number that stands for a scalar of the type of the other operand. */
export type Operand = Tensor | number

const operand = (x: Operand, dtype: DType): Tensor => (x instanceof Tensor ? x : scalar(x, dtype))

/** The tensor that an operation makes of its inputs. Throws where their shapes or types do not fit. */
export const node = <P extends Primitive>(op: P, inputs: readonly Tensor[], params = {} as Params[P]): Tensor =>
  new Tensor(op, inputs, params) as Tensor

/** A tensor whose values are given when the program runs. */
export const input = (name: string, shape: Shape, dtype: DType = 'f32') => node('input', [], { name, shape, dtype })

/** A tensor of one value, without axes. */
export const scalar = (value: number, dtype: DType = 'f32') => node('constant', [], { data: [value], shape: [], dtype })

/** A small tensor of given values, row-major. */
export const constant = (data: readonly number[], shape: Shape = [data.length], dtype: DType = 'f32') => {
  assert(sizeOf(shape) === data.length, `constant of ${data.length} values with shape [${shape}]`)
  return node('constant', [], { data, shape, dtype })
}

/** [size] the whole numbers 0, 1, ... */
export const iota = (size: Dim) => node('iota', [], { size })

/** A size as an f32 scalar whose value is known when the program runs. */
export const sizeTensor = (size: Dim): Tensor =>
  typeof size === 'number' ? scalar(size) : iota(addDims(size, 1)).amax(0).cast('f32')

/** A tensor of zeros. */
export const zeros = (shape: Shape, dtype: DType = 'f32') => scalar(0, dtype).broadcastTo(shape)

/** Tensors one after the other along an axis that exists. */
export const concat = (xs: readonly Tensor[], axis: number): Tensor =>
  xs.length === 1 ? xs[0] : node('concat', xs, { axis: axis < 0 ? axis + xs[0].rank : axis })

/** Stacks tensors of one shape along a new first axis. */
export const stack = (xs: readonly Tensor[]): Tensor =>
  concat(
    xs.map((x) => x.reshape([1, ...x.shape])),
    0,
  )
