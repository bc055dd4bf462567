/**
 * Strided views: a torch tensor is an offset, a shape and strides (in elements) into a storage that several tensors may
 * share. A view is checked against its storage when the file is opened, and made contiguous when it is read.
 */
import type { ByteSource } from '../util/bytes.ts'
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import { numel } from '../util/shape.ts'
import { aligned, toFloats } from './convert.ts'
import { type Dtype, dtypeBytes, type StoredTensor } from './stored.ts'

export type Storage = { kind: 'storage'; dtype: Dtype; key: string; numel: number }
export type View = { kind: 'view'; storage: Storage; offset: number; shape: number[]; stride: number[] }

export const RANK_LIMIT = 64

/** A view as a tensor of the file. @param place byte offset of its storage. Throws a Fault 'bad-tensor'. */
export const viewTensor = (source: ByteSource, name: string, view: View, place: number): StoredTensor => {
  const fault = problem(view, source.size)
  if (fault)
    throw badInput('bad-tensor', `tensor ${quoted(name)} ${fault}; do not trust this file`, { file: source.name })
  const { dtype } = view.storage
  const bytes = () => read(source, view, place)
  return {
    name,
    dtype,
    shape: view.shape,
    bytes,
    floats: async () => toFloats(dtype, await bytes(), source.name, name),
  }
}

const problem = ({ storage, offset, shape, stride }: View, fileSize: number): string | undefined => {
  if (shape.length !== stride.length || shape.length > RANK_LIMIT)
    return `has ${shape.length} sizes, ${stride.length} strides`
  const numbers = [offset, ...shape, ...stride]
  if (!numbers.every((n) => Number.isSafeInteger(n) && n >= 0)) return 'has a size, stride or offset that is no count'
  const count = product(shape)
  if (count > 0 && last({ offset, shape, stride }) >= storage.numel)
    return `reaches past its storage of ${storage.numel}`
  // an expanded view repeats elements; one that is larger than its whole file is refused
  if (count * dtypeBytes[storage.dtype] > fileSize) return `would take ${count} elements, more than the file holds`
  return undefined
}

/** 0 where any size is 0, however large the others are. */
const product = (shape: readonly number[]) => (shape.includes(0) ? 0 : numel(shape))

const last = ({ offset, shape, stride }: Pick<View, 'offset' | 'shape' | 'stride'>) =>
  shape.reduce((sum, size, i) => sum + (size - 1) * stride[i], offset)

const read = async (source: ByteSource, view: View, place: number): Promise<Uint8Array> => {
  const size = dtypeBytes[view.storage.dtype]
  const count = product(view.shape)
  if (count === 0) return new Uint8Array(0)
  const bytes = await source.read(place + view.offset * size, place + (last(view) + 1) * size)
  return contiguous(view) ? bytes : gather(bytes, size, view, count)
}

/** Whether a view is contiguous; the strides of axes of size 1 do not matter. */
const contiguous = ({ shape, stride }: View): boolean => {
  let expected = 1
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && stride[i] !== expected) return false
    expected *= shape[i]
  }
  return true
}

type WordArray = new (
  buffer: ArrayBufferLike,
  at: number,
  length: number,
) => { [i: number]: number; buffer: ArrayBufferLike }

/** Elements are copied as integers, since a NaN that is copied as a double may change its payload. */
const words: Record<1 | 2 | 4 | 8, unknown> = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }

const gather = (bytes: Uint8Array, size: 1 | 2 | 4 | 8, { shape, stride }: View, count: number): Uint8Array => {
  const there = aligned(bytes, size)
  const Words = words[size] as WordArray
  const from = new Words(there.buffer, there.byteOffset, there.byteLength / size)
  const to = new Words(new ArrayBuffer(count * size), 0, count)
  let next = 0
  const inner = shape.length - 1
  const walk = (axis: number, at: number) => {
    for (let i = 0; i < shape[axis]; i++, at += stride[axis])
      if (axis < inner) walk(axis + 1, at)
      else to[next++] = from[at]
  }
  walk(0, 0)
  return new Uint8Array(to.buffer)
}
