/** Converts between stored element types and fp32, by bits on typed arrays, in one pass. */
import { badInput } from '../util/fault.ts'
import { quoted } from '../util/quote.ts'
import type { Dtype } from './stored.ts'

type Numeric = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => ArrayLike<number>

/** The bytes at an address that is a multiple of `size`: the same bytes where they are aligned, else a copy. */
export const aligned = (bytes: Uint8Array, size: number): Uint8Array =>
  // not slice, which makes a view of a Buffer
  bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)

const view = <T>(Type: new (b: ArrayBufferLike, at: number, n: number) => T, size: number, bytes: Uint8Array): T => {
  const there = aligned(bytes, size)
  return new Type(there.buffer, there.byteOffset, there.byteLength / size)
}

const plain = (Type: Numeric, size: number) => (bytes: Uint8Array) => new Float32Array(view(Type, size, bytes))

const big = (Type: typeof BigInt64Array | typeof BigUint64Array) => (bytes: Uint8Array) =>
  Float32Array.from(view<BigInt64Array | BigUint64Array>(Type, 8, bytes), Number)

/** bfloat16 is the upper half of an fp32. */
const fromBF16 = (bytes: Uint8Array): Float32Array => {
  const half = view(Uint16Array, 2, bytes)
  const bits = new Uint32Array(half.length)
  for (let i = 0; i < half.length; i++) bits[i] = half[i] << 16
  return new Float32Array(bits.buffer)
}

const fromF16 = (bytes: Uint8Array): Float32Array => fromHalf(view(Uint16Array, 2, bytes))

/** The values of float16 by their bits. Exponent bias 15 to 127 (112 << 23 = 0x38000000); subnormals are mantissa * 2^-24. */
export const fromHalf = (half: Uint16Array): Float32Array => {
  const out = new Float32Array(half.length)
  const bits = new Uint32Array(out.buffer)
  for (let i = 0; i < half.length; i++) {
    const h = half[i]
    const exponent = h & 0x7c00
    if (exponent === 0) out[i] = ((h & 0x8000 ? -1 : 1) * (h & 0x3ff)) / 0x1000000
    else bits[i] = ((h & 0x8000) << 16) | (((h & 0x7fff) << 13) + (exponent === 0x7c00 ? 0x70000000 : 0x38000000))
  }
  return out
}

const widen: { [D in Dtype]?: (bytes: Uint8Array) => Float32Array } = {
  BOOL: plain(Uint8Array, 1),
  U8: plain(Uint8Array, 1),
  I8: plain(Int8Array, 1),
  I16: plain(Int16Array, 2),
  U16: plain(Uint16Array, 2),
  I32: plain(Int32Array, 4),
  U32: plain(Uint32Array, 4),
  F64: plain(Float64Array, 8),
  I64: big(BigInt64Array),
  U64: big(BigUint64Array),
  F16: fromF16,
  BF16: fromBF16,
  F32: (bytes) => view(Float32Array, 4, bytes),
}

/** fp32 values of stored bytes; F32 is a view where alignment allows. Throws a Fault for 8-bit floats. */
export const toFloats = (dtype: Dtype, bytes: Uint8Array, file: string, name: string): Float32Array => {
  const convert = widen[dtype]
  if (convert) return convert(bytes)
  throw badInput('bad-dtype', `tensor ${quoted(name)} is ${dtype}; use a copy in bfloat16 or float32`, { file })
}

/** Rounds to nearest even; NaN stays a (quiet) NaN. */
const toBF16 = (values: Float32Array): Uint16Array => {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const out = new Uint16Array(values.length)
  for (let i = 0; i < out.length; i++) {
    const u = bits[i]
    out[i] = (u & 0x7fffffff) > 0x7f800000 ? (u >>> 16) | 0x40 : (u + 0x7fff + ((u >>> 16) & 1)) >>> 16
  }
  return out
}

const one = new Float32Array(1)
const oneBits = new Uint32Array(one.buffer)

/**
 * Rounds to nearest even, to infinity from 65520 on. For a subnormal, adding 0.5 leaves its rounded digits in the last
 * bits of the fp32.
 */
const halfBits = (u: number, value: number): number => {
  const magnitude = u & 0x7fffffff
  if (magnitude > 0x7f800000) return 0x7e00
  if (magnitude >= 0x47800000) return 0x7c00
  if (magnitude >= 0x38800000) return (magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13
  one[0] = Math.abs(value) + 0.5
  return oneBits[0] - 0x3f000000
}

const toF16 = (values: Float32Array): Uint16Array => {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const out = new Uint16Array(values.length)
  for (let i = 0; i < out.length; i++) out[i] = ((bits[i] >>> 16) & 0x8000) | halfBits(bits[i], values[i])
  return out
}

/** The bits of a number as float16. */
export const toHalf = (value: number): number => toF16(Float32Array.of(value))[0]

/** The value of these bits as float16. */
export const halfOf = (bits: number): number => fromHalf(Uint16Array.of(bits))[0]

const narrow: { [D in Dtype]?: (values: Float32Array) => ArrayBufferView } = {
  F32: (values) => values,
  F16: toF16,
  BF16: toBF16,
  F64: (values) => Float64Array.from(values),
}

/** The element types that fp32 values can be written as. */
export const isFloat = (dtype: Dtype): boolean => dtype in narrow

/** The least value that float16 rounds to infinity. */
const beyondF16 = 65520

/** The first finite value that becomes infinite in this type; undefined where none does. */
export const overflowOf = (dtype: Dtype, values: Float32Array): number | undefined =>
  dtype === 'F16' ? values.find((value) => Math.abs(value) >= beyondF16 && Number.isFinite(value)) : undefined

/** fp32 values as stored bytes of a float dtype (`isFloat`), rounded to nearest even. */
export const fromFloats = (dtype: Dtype, values: Float32Array): Uint8Array => {
  const stored = narrow[dtype]!(values)
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength)
}
