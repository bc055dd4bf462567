/**
 * A symbolic tensor: a node of a traced program. Methods append nodes and infer shapes; nothing is computed here.
 * Numbers can be used in place of tensors. A shape error is thrown where the operation is written, not when the program
 * runs.
 */
import { assert } from '../util/fault.ts'
import { addDims, type Dim, type Shape, sizeOf } from './dim.ts'
import {
  type DType,
  type Params,
  type Primitive,
  type QuantizedProduct,
  sameShape,
  shapeRules,
  type Type,
  typeText,
} from './primitives.ts'

let count = 0

export class Tensor<P extends Primitive = Primitive> implements Type {
  readonly id = count++
  readonly op: P
  readonly inputs: readonly Tensor[]
  readonly params: Params[P]
  readonly shape: Shape
  readonly dtype: DType

  constructor(op: P, inputs: readonly Tensor[], params: Params[P]) {
    this.op = op
    this.inputs = inputs
    this.params = params
    const type = infer(op, inputs, params)
    this.shape = type.shape
    this.dtype = type.dtype
  }

  get rank() {
    return this.shape.length
  }

  neg = () => node('neg', [this])
  exp = () => node('exp', [this])
  log = () => node('log', [this])
  sqrt = () => node('sqrt', [this])
  abs = () => node('abs', [this])
  sign = () => node('sign', [this])
  erf = () => node('erf', [this])
  tanh = () => node('tanh', [this])
  sigmoid = () => node('sigmoid', [this])
  softplus = () => node('softplus', [this])
  relu = () => node('relu', [this])
  silu = () => node('silu', [this])
  not = () => node('not', [this])
  /** log(sigmoid(x)) without overflow. */
  logSigmoid = () => this.neg().softplus().neg()
  square = () => this.mul(this)

  add = (other: Operand) => node('add', this.with(other))
  sub = (other: Operand) => node('sub', this.with(other))
  mul = (other: Operand) => node('mul', this.with(other))
  div = (other: Operand) => node('div', this.with(other))
  pow = (other: Operand) => node('pow', this.with(other))
  max = (other: Operand) => node('max', this.with(other))
  min = (other: Operand) => node('min', this.with(other))
  mod = (other: Operand) => node('mod', this.with(other))
  eq = (other: Operand) => node('eq', this.with(other))
  lt = (other: Operand) => node('lt', this.with(other))
  le = (other: Operand) => node('le', this.with(other))
  gt = (other: Operand) => node('lt', this.with(other).reverse())
  ge = (other: Operand) => node('le', this.with(other).reverse())
  and = (other: Tensor) => node('and', [this, other])
  or = (other: Tensor) => node('or', [this, other])

  /** x where this (bool) holds, else y. */
  where = (x: Operand, y: Operand) => {
    const like = x instanceof Tensor ? x : y instanceof Tensor ? y : scalar(0)
    return node('where', [this, operand(x, like.dtype), operand(y, like.dtype)])
  }
  cast = (dtype: DType): Tensor => (dtype === this.dtype ? this : node('cast', [this], { dtype }))

  sum = (axes?: number | readonly number[], keep = false) => node('reduceSum', [this], { axes: this.axes(axes), keep })
  amax = (axes?: number | readonly number[], keep = false) => node('reduceMax', [this], { axes: this.axes(axes), keep })
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
  argmax = (keep = false) => node('argmax', [this], { keep })
  argsort = (descending = false) => node('argsort', [this], { descending })
  /** Indices of the k largest values along the last axis, largest first; of equal values the first comes first. */
  topIndex = (k: number) => node('argsort', [this], { descending: true, count: k })
  softmax = () => node('softmax', [this])
  logSoftmax = () => this.sub(this.logsumexp(true))

  matmul = (other: Tensor, { transA = false, transB = false } = {}) => node('matmul', [this, other], { transA, transB })

  /**
   * The product of this x [M, inner] with a quantized weight W [out, inner]: x W' [M, out]; transposed: x [M, out] -> x
   * W [M, inner].
   */
  matmulQuantized = ({ codes, scales, weight, transposed = false, rounded = false }: QuantizedWeight): Tensor =>
    node('matmulQuantized', [this, codes, scales], { weight, transposed, rounded })

  reshape = (shape: Shape): Tensor => (sameShape(shape, this.shape) ? this : node('reshape', [this], { shape }))
  transpose = (perm: readonly number[]) => node('transpose', [this], { perm })
  broadcastTo = (shape: Shape): Tensor => (sameShape(shape, this.shape) ? this : node('broadcastTo', [this], { shape }))
  slice = (axis: number, start: Dim, end: Dim) => node('slice', [this], { axis: this.axis(axis), start, end })
  pad = (axis: number, before: Dim, after: Dim) => node('pad', [this], { axis: this.axis(axis), before, after })
  /** Rows of this [R, ...] by index [...i] -> [...i, ...]. */
  gather = (index: Tensor) => node('gather', [this, index])
  /** This [...i, ...] added into `rows` rows of zeros. */
  scatterAdd = (index: Tensor, rows: Dim) => node('scatterAdd', [this, index], { rows })
  takeAlong = (index: Tensor) => node('takeAlong', [this, index])
  putAlong = (index: Tensor, size: Dim) => node('putAlong', [this, index], { size })

  rmsNorm = (weight: Tensor, eps: number) => node('rmsNorm', [this, weight], { eps })
  rmsInverse = (weight: Tensor, eps: number) => node('rmsInverse', [this, weight], { eps })
  /** Rotates the first `rotary` of each head's values; this is [N, heads * D]; tables are [M, rotary / 2]. */
  rope = (positions: Tensor, cos: Tensor, sin: Tensor, params: Params['rope']) =>
    node('rope', [this, positions, cos, sin], params)

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

export type QuantizedWeight = { codes: Tensor; scales: Tensor } & Pick<QuantizedProduct, 'weight'> &
  Partial<QuantizedProduct>

export type Operand = Tensor | number

const operand = (x: Operand, dtype: DType): Tensor => (x instanceof Tensor ? x : scalar(x, dtype))

export const node = <P extends Primitive>(op: P, inputs: readonly Tensor[], params = {} as Params[P]): Tensor =>
  new Tensor(op, inputs, params) as Tensor

export const input = (name: string, shape: Shape, dtype: DType = 'f32') => node('input', [], { name, shape, dtype })

export const scalar = (value: number, dtype: DType = 'f32') => node('constant', [], { data: [value], shape: [], dtype })

/** A small tensor of given values, row-major. */
export const constant = (data: readonly number[], shape: Shape = [data.length], dtype: DType = 'f32') => {
  assert(sizeOf(shape) === data.length, `constant of ${data.length} values with shape [${shape}]`)
  return node('constant', [], { data, shape, dtype })
}

export const iota = (size: Dim) => node('iota', [], { size })

/** A size as an f32 scalar whose value is known when the program runs. */
export const sizeTensor = (size: Dim): Tensor =>
  typeof size === 'number' ? scalar(size) : iota(addDims(size, 1)).amax(0).cast('f32')

export const zeros = (shape: Shape, dtype: DType = 'f32') => scalar(0, dtype).broadcastTo(shape)

export const concat = (xs: readonly Tensor[], axis: number): Tensor =>
  xs.length === 1 ? xs[0] : node('concat', xs, { axis: axis < 0 ? axis + xs[0].rank : axis })

/** Stacks tensors of one shape along a new first axis. */
export const stack = (xs: readonly Tensor[]): Tensor =>
  concat(
    xs.map((x) => x.reshape([1, ...x.shape])),
    0,
  )
