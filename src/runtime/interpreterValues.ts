/** Values of the interpreter: arrays with a shape, walked by strides. */
import type { Dim } from '../tensor/dim.ts'
import type { DType, Params, Primitive } from '../tensor/primitives.ts'
import { numel } from '../util/shape.ts'

export type Value = { shape: number[]; data: Float64Array }

/** The node's own type with its sizes known, and what its parameters may need. */
export type Out = {
  shape: number[]
  dtype: DType
  inputs: readonly DType[]
  size: (dim: Dim) => number
  fed: (name: string) => ArrayLike<number>
}
export type Rule<P extends Primitive> = (inputs: readonly Value[], params: Params[P], out: Out) => Float64Array

export const rowMajor = (shape: readonly number[]): number[] => shape.map((_, i) => numel(shape.slice(i + 1)))

/** Where each element of a walk over `shape` lies in memory with these strides. */
export const offsets = (shape: readonly number[], strides: readonly number[]): number[] =>
  shape.reduceRight<number[]>(
    (inner, size, axis) => Array.from({ length: size }, (_, i) => inner.map((o) => o + i * strides[axis])).flat(),
    [0],
  )

export const strided = (data: Float64Array, shape: readonly number[], strides: readonly number[], start = 0) =>
  Float64Array.from(offsets(shape, strides), (o) => data[start + o])

export const stretch = ({ shape, data }: Value, to: readonly number[]): Float64Array => {
  const own = rowMajor(shape)
  const extra = to.length - shape.length
  return strided(
    data,
    to,
    to.map((_, i) => (i < extra || shape[i - extra] === 1 ? 0 : own[i - extra])),
  )
}
