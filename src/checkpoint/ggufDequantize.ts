/**
 * The values of llama.cpp's blocks, in the fp32 steps of its reference: each product and each sum is rounded, so the bits are
 * those of ggml and of the Python package gguf. A block has a scale d in fp16 (fp32 in Q8_K), in some types also a minimum m;
 * K blocks of 256 have scales of parts of 16 or 32 that are integers times d. Source: ggml-quants.c, gguf-py/gguf/quants.py.
 */
import { fromHalf, toFloats } from './convert.ts'
import { type GgufBlockType, ggufBlockTypes } from './ggufTypes.ts'

/** Writes the values of the block at x[at...] to y[to...]. */
type Dequantize = (x: Uint8Array, at: number, y: Float32Array, to: number) => void

const { fround } = Math

/** fp16 by its bits. */
const halves = fromHalf(Uint16Array.from({ length: 65_536 }, (_, bits) => bits))
const half = (x: Uint8Array, at: number): number => halves[x[at] | (x[at + 1] << 8)]
const signed = (byte: number): number => (byte << 24) >> 24

/** 32 values d q: the first 16 in the low nibbles, the others in the high ones. */
const nibbles =
  (value: (nibble: number) => number): Dequantize =>
  (x, at, y, to) => {
    const d = half(x, at)
    for (let i = 0; i < 16; i++) {
      const byte = x[at + 2 + i]
      y[to + i] = d * value(byte & 15)
      y[to + 16 + i] = d * value(byte >> 4)
    }
  }

/** Nibbles with a minimum: d q + m. */
const q4WithMinimum: Dequantize = (x, at, y, to) => {
  const [d, m] = [half(x, at), half(x, at + 2)]
  for (let i = 0; i < 16; i++) {
    const byte = x[at + 4 + i]
    y[to + i] = fround(d * (byte & 15)) + m
    y[to + 16 + i] = fround(d * (byte >> 4)) + m
  }
}

/** The fifth bits of all 32 values come before the nibbles. */
const q5: Dequantize = (x, at, y, to) => {
  const d = half(x, at)
  for (let i = 0; i < 16; i++) {
    const byte = x[at + 6 + i]
    y[to + i] = d * (((byte & 15) | (bit(x, at + 2, i) << 4)) - 16)
    y[to + 16 + i] = d * (((byte >> 4) | (bit(x, at + 2, 16 + i) << 4)) - 16)
  }
}

const q5WithMinimum: Dequantize = (x, at, y, to) => {
  const [d, m] = [half(x, at), half(x, at + 2)]
  for (let i = 0; i < 16; i++) {
    const byte = x[at + 8 + i]
    y[to + i] = fround(d * ((byte & 15) | (bit(x, at + 4, i) << 4))) + m
    y[to + 16 + i] = fround(d * ((byte >> 4) | (bit(x, at + 4, 16 + i) << 4))) + m
  }
}

const bit = (x: Uint8Array, at: number, i: number): number => (x[at + (i >> 3)] >> (i & 7)) & 1

const q8: Dequantize = (x, at, y, to) => {
  const d = half(x, at)
  for (let i = 0; i < 32; i++) y[to + i] = signed(x[at + 2 + i]) * d
}

/** 16 parts of 16: their scales and minima of 4 bits, then the values of 2 bits, four of them to a byte, 32 apart. */
const q2k: Dequantize = (x, at, y, to) => {
  const [d, dmin] = [half(x, at + 80), half(x, at + 82)]
  for (let part = 0; part < 16; part++) {
    const scale = x[at + part]
    const [dl, ml] = [fround(d * (scale & 15)), fround(dmin * (scale >> 4))]
    const [from, shift] = quarter(part)
    for (let i = 0; i < 16; i++) y[to + part * 16 + i] = fround(dl * ((x[at + 16 + from + i] >> shift) & 3)) - ml
  }
}

/** Where the values of 2 bits of a part of 16 stand: the byte, and the shift in it. */
const quarter = (part: number): [from: number, shift: number] => [
  32 * (part >> 3) + 16 * (part & 1),
  2 * ((part >> 1) & 3),
]

/** 2 bits as in Q2_K; a third bit of each in the first 32 bytes, 0 for -4; scales of 6 bits less 32, whose high bits come last. */
const q3k: Dequantize = (x, at, y, to) => {
  const d = half(x, at + 108)
  const scales = at + 96
  for (let part = 0; part < 16; part++) {
    const low = part < 8 ? x[scales + part] & 15 : x[scales + part - 8] >> 4
    const high = (x[scales + 8 + (part & 3)] >> (2 * (part >> 2))) & 3
    const dl = fround(d * ((low | (high << 4)) - 32))
    const [from, shift] = quarter(part)
    for (let i = 0; i < 16; i++) {
      const third = (x[at + 16 * (part & 1) + i] >> (part >> 1)) & 1
      y[to + part * 16 + i] = dl * (((x[at + 32 + from + i] >> shift) & 3) - (third ? 0 : 4))
    }
  }
}

/** The scale and the minimum of part j of 8, 6 bits each, in the 12 bytes at `at` of Q4_K and Q5_K. */
const scaleAndMinimum = (x: Uint8Array, at: number, j: number): [scale: number, minimum: number] =>
  j < 4
    ? [x[at + j] & 63, x[at + 4 + j] & 63]
    : [(x[at + 4 + j] & 15) | ((x[at + j - 4] >> 6) << 4), (x[at + 4 + j] >> 4) | ((x[at + j] >> 6) << 4)]

/** 8 parts of 32; two parts share 32 bytes of nibbles. */
const q4k: Dequantize = (x, at, y, to) => {
  const [d, dmin] = [half(x, at), half(x, at + 2)]
  for (let part = 0; part < 8; part++) {
    const [scale, minimum] = scaleAndMinimum(x, at + 4, part)
    const [dl, ml] = [fround(d * scale), fround(dmin * minimum)]
    const [from, shift] = [at + 16 + 32 * (part >> 1), 4 * (part & 1)]
    for (let i = 0; i < 32; i++) y[to + part * 32 + i] = fround(dl * ((x[from + i] >> shift) & 15)) - ml
  }
}

/** As Q4_K, with the fifth bits of part j in bit j of 32 bytes before the nibbles. */
const q5k: Dequantize = (x, at, y, to) => {
  const [d, dmin] = [half(x, at), half(x, at + 2)]
  for (let part = 0; part < 8; part++) {
    const [scale, minimum] = scaleAndMinimum(x, at + 4, part)
    const [dl, ml] = [fround(d * scale), fround(dmin * minimum)]
    const [from, shift] = [at + 48 + 32 * (part >> 1), 4 * (part & 1)]
    for (let i = 0; i < 32; i++) {
      const q = ((x[from + i] >> shift) & 15) | (((x[at + 16 + i] >> part) & 1) << 4)
      y[to + part * 32 + i] = fround(dl * q) - ml
    }
  }
}

/** 16 parts of 16 with scales of 8 bits: low nibbles, then the upper 2 bits, then the scales. */
const q6k: Dequantize = (x, at, y, to) => {
  const d = half(x, at + 208)
  for (let i = 0; i < 256; i++) {
    const dl = fround(d * signed(x[at + 192 + (i >> 4)]))
    const low = (x[at + 64 * (i >> 7) + (i & 63)] >> (4 * ((i >> 6) & 1))) & 15
    const high = (x[at + 128 + 32 * (i >> 7) + (i & 31)] >> (2 * ((i >> 5) & 3))) & 3
    y[to + i] = dl * ((low | (high << 4)) - 32)
  }
}

const single = new Float32Array(1)
const singleBytes = new Uint8Array(single.buffer)

const q8k: Dequantize = (x, at, y, to) => {
  singleBytes.set(x.subarray(at, at + 4))
  const d = single[0]
  for (let i = 0; i < 256; i++) y[to + i] = d * signed(x[at + 4 + i])
}

/** The 16 values, spaced as weights are, that the nibbles of the IQ4 types stand for. */
const levels = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)

/** 8 parts of 32 with scales of 6 bits less 32: the upper two in a u16, the lower four in 4 bytes. */
const iq4xs: Dequantize = (x, at, y, to) => {
  const d = half(x, at)
  const high = x[at + 2] | (x[at + 3] << 8)
  for (let part = 0; part < 8; part++) {
    const low = (x[at + 4 + (part >> 1)] >> (4 * (part & 1))) & 15
    const dl = fround(d * ((low | (((high >> (2 * part)) & 3) << 4)) - 32))
    for (let i = 0; i < 16; i++) {
      const byte = x[at + 8 + 16 * part + i]
      y[to + part * 32 + i] = dl * levels[byte & 15]
      y[to + part * 32 + 16 + i] = dl * levels[byte >> 4]
    }
  }
}

type Plain = 'F32' | 'F16' | 'BF16'

const blocks: { readonly [T in Exclude<GgufBlockType, Plain>]: Dequantize } = {
  Q4_0: nibbles((q) => q - 8),
  Q4_1: q4WithMinimum,
  Q5_0: q5,
  Q5_1: q5WithMinimum,
  Q8_0: q8,
  Q2_K: q2k,
  Q3_K: q3k,
  Q4_K: q4k,
  Q5_K: q5k,
  Q6_K: q6k,
  Q8_K: q8k,
  IQ4_NL: nibbles((q) => levels[q]),
  IQ4_XS: iq4xs,
}

/** Whether the type is one of safetensors too. */
export const isPlain = (type: GgufBlockType): type is Plain => type === 'F32' || type === 'F16' || type === 'BF16'

/** fp32 values of whole blocks. */
export const dequantize = (type: GgufBlockType, stored: Uint8Array, file: string, name: string): Float32Array => {
  if (isPlain(type)) return toFloats(type, stored, file, name)
  const { block, bytes } = ggufBlockTypes[type]
  const count = stored.length / bytes
  const values = new Float32Array(count * block)
  for (let i = 0; i < count; i++) blocks[type](stored, i * bytes, values, i * block)
  return values
}
