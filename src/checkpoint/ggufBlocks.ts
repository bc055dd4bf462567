/**
 * The block formats of llama.cpp, rounded as its reference quantizer rounds: every step in fp32, half away from zero in
 * Q8_0, upwards from -8.5 in Q4_0. A block is 32 neighbouring values of a row with one fp16 scale (ggml-quants.c); K blocks are
 * in ggufKBlocks.ts.
 */
import { assert, runFailure } from '../util/fault.ts'
import { fromFloats, overflowOf, toHalf } from './convert.ts'
import { kBlocks } from './ggufKBlocks.ts'
import { ggufBlockTypes } from './ggufTypes.ts'

/** Types that are written. */
export const writtenTypes = ['F32', 'F16', 'Q4_0', 'Q5_0', 'Q5_1', 'Q8_0', 'Q4_K', 'Q5_K', 'Q6_K'] as const
export type GgufType = (typeof writtenTypes)[number]

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

/** As Q4_0 with 32 levels: q = floor(x / d + 16.5); the fifth bits come first. */
const q5: Quantize = (x, from, out, at) => {
  let far = 0
  for (let i = from; i < from + 32; i++) if (Math.abs(x[i]) > Math.abs(far)) far = x[i]
  const d = Math.fround(far / -16)
  const inverse = d ? Math.fround(1 / d) : 0
  const level = (i: number) => Math.min(31, Math.trunc(Math.fround(Math.fround(x[i] * inverse) + 16.5)))
  packFive(level, from, out, at + 2)
  return d
}

/** d = (max - min) / 31 and the minimum: q = floor((x - min) / d + 0.5). The minimum is written here. */
const q5WithMinimum: Quantize = (x, from, out, at) => {
  let [low, high] = [x[from], x[from]]
  for (let i = from; i < from + 32; i++) {
    low = Math.min(low, x[i])
    high = Math.max(high, x[i])
  }
  const d = Math.fround(Math.fround(high - low) / 31)
  const inverse = d ? Math.fround(1 / d) : 0
  const level = (i: number) =>
    Math.min(31, Math.trunc(Math.fround(Math.fround(Math.fround(x[i] - low) * inverse) + 0.5)))
  packFive(level, from, out, at + 4)
  const half = toHalf(low)
  out[at + 2] = half & 255
  out[at + 3] = half >> 8
  return d
}

const packFive = (level: (i: number) => number, from: number, out: Uint8Array, at: number) => {
  for (let i = 0; i < 16; i++) {
    const [a, b] = [level(from + i), level(from + 16 + i)]
    out[at + 4 + i] = (a & 15) | ((b & 15) << 4)
    out[at + (i >> 3)] |= (a >> 4) << (i & 7)
    out[at + 2 + (i >> 3)] |= (b >> 4) << (i & 7)
  }
}

const quantizers = { Q8_0: q8, Q4_0: q4, Q5_0: q5, Q5_1: q5WithMinimum }

/**
 * fp32 values as stored bytes; block formats take a multiple of 32 values. Throws a Fault 'overflow' (exit 1) where a
 * value, or the scale of a block, is beyond float16.
 */
export const toGguf = (type: GgufType, x: Float32Array, name: string): Uint8Array => {
  if (type === 'F32' || type === 'F16') {
    refuseOverflow(type, x, name)
    return fromFloats(type, x)
  }
  const { block, bytes } = ggufBlockTypes[type]
  assert(x.length % block === 0, `${x.length} values are no multiple of a block`)
  const blocks = x.length / block
  const out = new Uint8Array(blocks * bytes)
  if (type === 'Q4_K' || type === 'Q5_K' || type === 'Q6_K') {
    for (let b = 0; b < blocks; b++) {
      const beyond = kBlocks[type](x, b * block, out, b * bytes)
      if (beyond !== undefined) throw overflow(name, beyond)
    }
    return out
  }
  const scales = new Float32Array(blocks)
  for (let b = 0; b < blocks; b++) scales[b] = quantizers[type](x, b * block, out, b * bytes)
  refuseOverflow('F16', scales, name)
  const halves = fromFloats('F16', scales)
  for (let b = 0; b < blocks; b++) out.set(halves.subarray(2 * b, 2 * b + 2), b * bytes)
  return out
}

const refuseOverflow = (type: 'F32' | 'F16', values: Float32Array, name: string) => {
  const found = overflowOf(type, values)
  if (found !== undefined) throw overflow(name, found)
}

const overflow = (name: string, value: number) =>
  runFailure('overflow', `${name} needs ${value}, and float16 ends at 65504; use --gguf F32`)
