/**
 * Writes GGUF files, version 3, as a stream: header, metadata and the table of tensors first, then one tensor at a
 * time, so that a model is never in memory twice. In the table, the sizes of a tensor are listed innermost first.
 * Source: ggml/docs/gguf.md.
 */
import { concatBytes } from '../util/bytes.ts'
import { assert } from '../util/fault.ts'
import { numel } from '../util/shape.ts'
import { type GgufType, toGguf } from './ggufBlocks.ts'
import { ggufBlockTypes } from './ggufTypes.ts'

/** uint32, float32, bool, string, or a list of one of int32, float32, uint8 and string. */
export type GgufValue =
  | { readonly uint: number }
  | { readonly float: number }
  | boolean
  | string
  | Int32Array
  | Float32Array
  | Uint8Array
  | readonly string[]

export type GgufTensor = {
  name: string
  type: GgufType
  /** Row-major, outermost first. */
  shape: readonly number[]
  /** Called when the tensor is written. */
  data: () => Promise<Float32Array>
}

/** GGUF's default alignment of tensors in bytes. */
const alignment = 32

/** Whether the rows of a tensor are whole blocks of this type. */
export const fitsBlocks = (type: GgufType, shape: readonly number[]): boolean =>
  (shape.at(-1) ?? 1) % ggufBlockTypes[type].block === 0

const bytesOf = ({ type, shape }: GgufTensor): number => {
  const { block, bytes } = ggufBlockTypes[type]
  return (numel(shape) / block) * bytes
}

const padded = (size: number): number => Math.ceil(size / alignment) * alignment

/** Bytes of the tensors in a file. */
export const ggufBytes = (tensors: readonly GgufTensor[]): number =>
  tensors.reduce((sum, tensor) => sum + padded(bytesOf(tensor)), 0)

/** The file as chunks, for `writeWhole`. */
export async function* ggufChunks(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
): AsyncGenerator<Uint8Array> {
  const head = ggufHead(metadata, tensors)
  yield head
  yield new Uint8Array(padded(head.length) - head.length)
  for (const tensor of tensors) yield* tensorChunks(tensor)
}

/** How many values are converted at a time; a multiple of every block. */
const SLICE = 1 << 20

async function* tensorChunks(tensor: GgufTensor): AsyncGenerator<Uint8Array> {
  const x = await tensor.data()
  const size = bytesOf(tensor)
  assert(x.length === numel(tensor.shape), `${tensor.name} is not [${tensor.shape}]`)
  for (let at = 0; at < x.length; at += SLICE) yield toGguf(tensor.type, x.subarray(at, at + SLICE), tensor.name)
  yield new Uint8Array(padded(size) - size)
}

const ggufHead = (metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Uint8Array => {
  const { parts, u32, u64, text } = writer()
  parts.push(new TextEncoder().encode('GGUF'))
  u32(3)
  u64(tensors.length)
  u64(metadata.size)
  for (const [key, value] of metadata) {
    text(key)
    writeValue({ parts, u32, u64, text }, value)
  }
  let offset = 0
  for (const tensor of tensors) {
    text(tensor.name)
    u32(tensor.shape.length)
    for (const size of tensor.shape.toReversed()) u64(size)
    u32(ggufBlockTypes[tensor.type].code)
    u64(offset)
    offset += padded(bytesOf(tensor))
  }
  return concatBytes(parts)
}

type Writer = ReturnType<typeof writer>

const writer = () => {
  const parts: Uint8Array[] = []
  const u32 = (value: number) => parts.push(new Uint8Array(Uint32Array.of(value).buffer))
  const u64 = (value: number) => parts.push(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer))
  const text = (value: string) => {
    const bytes = new TextEncoder().encode(value)
    u64(bytes.length)
    parts.push(bytes)
  }
  return { parts, u32, u64, text }
}

// Codes of the metadata types
const UINT8 = 0
const UINT32 = 4
const INT32 = 5
const FLOAT32 = 6
const BOOL = 7
const STRING = 8
const ARRAY = 9

const writeValue = (w: Writer, value: GgufValue) => {
  const typed = (type: number, bytes: ArrayBufferView) => {
    w.u32(type)
    w.parts.push(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  }
  const list = (type: number, count: number) => {
    w.u32(ARRAY)
    w.u32(type)
    w.u64(count)
  }
  if (typeof value === 'string') {
    w.u32(STRING)
    w.text(value)
  } else if (typeof value === 'boolean') typed(BOOL, Uint8Array.of(Number(value)))
  else if (value instanceof Int32Array || value instanceof Float32Array || value instanceof Uint8Array) {
    list(value instanceof Int32Array ? INT32 : value instanceof Float32Array ? FLOAT32 : UINT8, value.length)
    w.parts.push(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
  } else if ('uint' in value) typed(UINT32, Uint32Array.of(value.uint))
  else if ('float' in value) typed(FLOAT32, Float32Array.of(value.float))
  else {
    list(STRING, value.length)
    for (const item of value) w.text(item)
  }
}
