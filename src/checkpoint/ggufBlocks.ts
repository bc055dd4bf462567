/**
 * The block formats of llama.cpp, rounded as its reference quantizer rounds: every step in fp32, half away from zero in
 * Q8_0, upwards from -8.5 in Q4_0. A block is 32 neighbouring values of a row with one fp16 scale (ggml-quants.c).
 */
import { assert, runFailure } from '../util/fault.ts'
import { fromFloats, overflowOf } from './convert.ts'

/** ggml's code of the type, and the elements and bytes of a block. */
export const ggufTypes = {
  F32: { code: 0, block: 1, bytes: 4 },
  F16: { code: 1, block: 1, bytes: 2 },
  Q4_0: { code: 2, block: 32, bytes: 18 },
  Q8_0: { code: 8, block: 32, bytes: 34 },
} as const

export type GgufType = keyof typeof ggufTypes

/** Writes the codes of the block x[from..from+32) at `at`; returns its scale, which is written later. */
type Quantize = (x: Float32Array, from: number, out: Uint8Array, at: number) => number

/** d = max|x| / 127, q = round(x / d). */
const q8: Quantize = (x, from, out, at) => {
  let most = 0
  for (let i = from; i < from + 32; i++) most = Math.max(most, Math.abs(x[i]))
  const d = Math.fround(most / 127)
  const inverse = d ? Math.fround(1 / d) : 0
  for (let i = 0; i < 32; i++) {
    const scaled = Math.fround(x[from + i] * inverse)
    out[at + 2 + i] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5)
  }
  return d
}

/**
 * d = (the value farthest from 0) / -8, q = floor(x / d + 8.5), at most 15; the first 16 values are in the low nibbles.
 */
const q4: Quantize = (x, from, out, at) => {
  let far = 0
  for (let i = from; i < from + 32; i++) if (Math.abs(x[i]) > Math.abs(far)) far = x[i]
  const d = Math.fround(far / -8)
  const inverse = d ? Math.fround(1 / d) : 0
  const level = (i: number) => Math.min(15, Math.trunc(Math.fround(Math.fround(x[i] * inverse) + 8.5)))
  for (let i = 0; i < 16; i++) out[at + 2 + i] = level(from + i) | (level(from + 16 + i) << 4)
  return d
}

const quantizers = { Q8_0: q8, Q4_0: q4 }

/**
 * fp32 values as stored bytes; block formats take a multiple of 32 values. Throws a Fault 'overflow' (exit 1) where a
 * value, or the scale of a block, is beyond float16.
 */
export const toGguf = (type: GgufType, x: Float32Array, name: string): Uint8Array => {
  if (type === 'F32' || type === 'F16') {
    refuseOverflow(type, x, name)
    return fromFloats(type, x)
  }
  const { block, bytes } = ggufTypes[type]
  assert(x.length % block === 0, `${x.length} values are no multiple of a block`)
  const blocks = x.length / block
  const out = new Uint8Array(blocks * bytes)
  const scales = new Float32Array(blocks)
  for (let b = 0; b < blocks; b++) scales[b] = quantizers[type](x, b * block, out, b * bytes)
  refuseOverflow('F16', scales, name)
  const halves = fromFloats('F16', scales)
  for (let b = 0; b < blocks; b++) out.set(halves.subarray(2 * b, 2 * b + 2), b * bytes)
  return out
}

const refuseOverflow = (type: 'F32' | 'F16', values: Float32Array, name: string) => {
  const found = overflowOf(type, values)
  if (found !== undefined)
    throw runFailure('overflow', `${name} needs ${found}, and float16 ends at 65504; use --gguf F32`)
}
