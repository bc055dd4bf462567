/**
 * Quantized weights, in blocks of 8-bit or 4-bit codes with one fp32 scale each, in the layout of the operator that
 * reads them:
 *
 * - `int8` and `int4`, for ONNX Runtime's MatMulNBits: blocks of 32 along a row, [out, blocks, bytes], the low half of
 *   a byte first, value = (code - 2^(bits-1)) scale. The value of largest magnitude in a block is exactly -2^(bits-1)
 *   scales, so that all codes are used and no zero point is stored.
 * - `nf4` and `fp4`, as bitsandbytes stores them (Dettmers et al. 2023, QLoRA, section 3): blocks of 64 over the
 *   flattened weight, the high half of a byte first, value = book[code] absmax.
 */
import { assert } from '../util/fault.ts'
import { numel } from '../util/shape.ts'

export const quantFormats = ['int8', 'int4', 'nf4', 'fp4'] as const
export type QuantFormat = (typeof quantFormats)[number]

/** How a weight [out, inner] is stored. */
export type Quantization = { format: QuantFormat; block: number; out: number; inner: number }

const blocks: Record<QuantFormat, number> = { int8: 32, int4: 32, nf4: 64, fp4: 64 }

export const quantization = (format: QuantFormat, [out, inner]: readonly [number, number]): Quantization => ({
  format,
  block: blocks[format],
  out,
  inner,
})

/** Quantiles of the normal distribution, with an exact 0 (QLoRA, appendix E). */
const nf4 = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
]
const fp4Magnitudes = [0, 0.005208333333, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25]

/** Values of the 16 codes of `nf4` and `fp4`, whose highest bit is a sign. */
export const codeBooks = {
  nf4: Float32Array.from(nf4),
  fp4: Float32Array.from([...fp4Magnitudes, ...fp4Magnitudes.map((x) => -x)]),
}

export const isCodeBook = (format: QuantFormat): format is keyof typeof codeBooks => format in codeBooks

export const bitsOf = (format: QuantFormat): 4 | 8 => (format === 'int8' ? 8 : 4)

/** Shapes of the codes (u8) and of the scales (f32). */
export const storedShapes = ({ format, block, out, inner }: Quantization) => {
  if (isCodeBook(format)) return { codes: [Math.ceil((out * inner) / 2)], scales: [Math.ceil((out * inner) / block)] }
  const count = Math.ceil(inner / block)
  return { codes: [out, count, (block * bitsOf(format)) / 8], scales: [out, count] }
}

export type Quantized = { codes: Uint8Array; scales: Float32Array }

/**
 * Rounds a weight [out, inner], row-major, to the nearest codes.
 * @returns undefined where a value is not finite
 */
export const quantize = (values: Float32Array, how: Quantization): Quantized | undefined => {
  assert(values.length === how.out * how.inner, `${values.length} values of [${how.out}, ${how.inner}]`)
  return isCodeBook(how.format) ? quantizeToCodeBook(values, how, codeBooks[how.format]) : quantizeLinear(values, how)
}

const emptyStore = (how: Quantization): Quantized => {
  const { codes, scales } = storedShapes(how)
  return { codes: new Uint8Array(numel(codes)), scales: new Float32Array(numel(scales)) }
}

const quantizeLinear = (values: Float32Array, how: Quantization): Quantized | undefined => {
  const { block, out, inner } = how
  const stored = emptyStore(how)
  const half = 2 ** (bitsOf(how.format) - 1)
  const perRow = Math.ceil(inner / block)
  for (let row = 0; row < out; row++)
    for (let b = 0; b < perRow; b++) {
      const from = row * inner + b * block
      const to = Math.min(from + block, (row + 1) * inner)
      const extreme = extremeOf(values, from, to)
      if (!Number.isFinite(extreme)) return undefined
      const at = row * perRow + b
      const scale = (stored.scales[at] = extreme / -half)
      writeLinear(values, from, to, stored.scales[at] && 1 / scale, stored.codes, at * block, half)
    }
  return stored
}

/** Writes codes from index `at` on, two in a byte for 4 bits. */
const writeLinear = (
  values: Float32Array,
  from: number,
  to: number,
  inverse: number,
  codes: Uint8Array,
  at: number,
  half: number,
) => {
  for (let i = from, n = at; i < to; i++, n++) {
    // truncation rounds to nearest here: 0.5 is added and the sum is not negative
    const code = Math.min(2 * half - 1, (values[i] * inverse + (half + 0.5)) | 0)
    if (half === 128) codes[n] = code
    else codes[n >> 1] |= n & 1 ? code << 4 : code
  }
}

/** The value of largest magnitude, with its sign; NaN or infinite where one of the values is. */
const extremeOf = (values: Float32Array, from: number, to: number): number => {
  let most = 0
  let extreme = 0
  let sum = 0
  for (let i = from; i < to; i++) {
    const magnitude = Math.abs(values[i])
    sum += magnitude
    if (magnitude > most) {
      most = magnitude
      extreme = values[i]
    }
  }
  return Number.isFinite(sum) ? extreme : sum
}

const quantizeToCodeBook = (values: Float32Array, how: Quantization, book: Float32Array): Quantized | undefined => {
  const stored = emptyStore(how)
  const ladder = ladderOf(book)
  for (let b = 0; b < stored.scales.length; b++) {
    const from = b * how.block
    const to = Math.min(from + how.block, values.length)
    const absmax = Math.abs(extremeOf(values, from, to))
    if (!Number.isFinite(absmax)) return undefined
    stored.scales[b] = absmax
    writeNearest(values, from, to, absmax && 1 / absmax, stored.codes, ladder)
  }
  return stored
}

/** [-1, 1] is divided into so many cells; the nearest code is at most a step or two from a cell's first candidate. */
const cells = 512

/** Codes by rising value, the midpoint between each and the next, and the first candidate of each cell. */
type Ladder = { codes: Uint8Array; middles: Float64Array; first: Uint8Array }

const ladderOf = (book: Float32Array): Ladder => {
  // fp4 has two zeros, of which the first is used
  const order = [...book.keys()].filter((code) => book.indexOf(book[code]) === code).sort((i, j) => book[i] - book[j])
  const middles = Float64Array.from(order, (code, i) =>
    i + 1 < order.length ? (book[code] + book[order[i + 1]]) / 2 : Number.POSITIVE_INFINITY,
  )
  const first = Uint8Array.from({ length: cells + 1 }, (_, cell) => {
    const low = (2 * cell) / cells - 1
    return middles.findIndex((middle) => middle >= low)
  })
  return { codes: Uint8Array.from(order), middles, first }
}

/** Blocks begin at even indices, so that no byte belongs to two of them. */
const writeNearest = (
  values: Float32Array,
  from: number,
  to: number,
  inverse: number,
  out: Uint8Array,
  { codes, middles, first }: Ladder,
) => {
  for (let i = from; i < to; i++) {
    const x = values[i] * inverse
    let at = first[Math.min(cells, ((x + 1) * (cells / 2)) | 0)]
    while (x > middles[at]) at++
    out[i >> 1] |= i & 1 ? codes[at] : codes[at] << 4
  }
}

/** The values that codes and scales stand for, [out, inner] row-major. */
export const dequantize = (codes: ArrayLike<number>, scales: ArrayLike<number>, how: Quantization): Float32Array => {
  const { format, block, out, inner } = how
  const values = new Float32Array(out * inner)
  if (isCodeBook(format)) {
    const book = codeBooks[format]
    for (let i = 0; i < values.length; i++)
      values[i] = book[i & 1 ? codes[i >> 1] & 15 : codes[i >> 1] >> 4] * scales[Math.floor(i / block)]
    return values
  }
  const perRow = Math.ceil(inner / block)
  for (let i = 0; i < values.length; i++) {
    const row = Math.floor(i / inner)
    const column = i % inner
    const n = row * perRow * block + column
    const scale = scales[row * perRow + Math.floor(column / block)]
    values[i] = (bitsOf(format) === 8 ? codes[n] - 128 : ((codes[n >> 1] >> (n & 1 ? 4 : 0)) & 15) - 8) * scale
  }
  return values
}
