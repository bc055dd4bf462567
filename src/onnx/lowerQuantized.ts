/**
 * Lowering of matrix products with quantized weights. There are three ways, each the fastest for its case on ONNX
 * Runtime:
 *
 * - x may be rounded and the weights are constants of the program: MatMulNBits at accuracy level 4 (8-bit products,
 *   which give the same row whatever the batch, but for the last digit on x86 without AVX-512).
 * - other integer weights: DequantizeLinear, then an fp32 product, because MatMulNBits is slower at expanding weights
 *   that are fed. Of 4-bit weights the low and high halves of the bytes are not interleaved; instead the columns of x,
 *   which is smaller, are reordered: even columns first.
 * - code books (nf4, fp4): MatMulBnb4, which expands one weight at a time.
 */
import type { QuantizedProduct } from '../tensor/primitives.ts'
import { bitsOf, isCodeBook, type Quantization, storedShapes } from '../tensor/quantization.ts'
import { type Emitter, microsoft } from './emitter.ts'

/** @param inputs x, codes, scales */
export const quantizedProduct = (e: Emitter, params: QuantizedProduct, inputs: readonly string[]): string => {
  const { weight, transposed, rounded } = params
  if (isCodeBook(weight.format)) return bookProduct(e, params, inputs)
  if (rounded && !transposed) return roundedProduct(e, weight, inputs)
  return transposed ? backProduct(e, weight, inputs) : plainProduct(e, weight, inputs)
}

const sizes = (e: Emitter, ...values: number[]) => e.constant(values, [values.length], 'i64')

const bookProduct = (e: Emitter, { weight, transposed }: QuantizedProduct, inputs: readonly string[]) =>
  transposed ? bookBackProduct(e, weight, inputs) : bnb4(e, weight, inputs, weight)

/** x W' of a weight [out, inner]. Its codes are stored flat, so `out` and `inner` may be any shape of the same size. */
const bnb4 = (
  e: Emitter,
  { format, block }: Quantization,
  inputs: readonly string[],
  { out, inner }: Pick<Quantization, 'out' | 'inner'>,
) =>
  e.emit(
    'MatMulBnb4',
    inputs,
    { K: inner, N: out, block_size: block, quant_type: format === 'nf4' ? 1 : 0, training_mode: 0, transB: 1 },
    microsoft,
  )

/**
 * On the CPU MatMulBnb4 (onnxruntime 1.30) multiplies by W' even with transB 0. So here it only expands W, by a product
 * with the 2 x 2 unit matrix, which gives the even and the odd columns. Rows of odd length need the 1 x 1 matrix, which
 * is half as fast.
 */
const bookBackProduct = (e: Emitter, weight: Quantization, [dy, codes, scales]: readonly string[]) => {
  const { out, inner } = weight
  const parts = inner % 2 ? 1 : 2
  const unit = e.constant(parts === 1 ? [1] : [1, 0, 0, 1], [parts, parts], 'f32')
  const values = bnb4(e, weight, [unit, codes, scales], { out: (out * inner) / parts, inner: parts })
  const W = e.emit('Reshape', [values, sizes(e, parts, out, inner / parts)])
  const dx = e.emit('Transpose', [e.emit('MatMul', [dy, W])], { perm: [1, 2, 0] })
  return e.emit('Reshape', [dx, sizes(e, -1, inner)])
}

const roundedProduct = (e: Emitter, { format, block, out, inner }: Quantization, inputs: readonly string[]) =>
  e.emit(
    'MatMulNBits',
    inputs,
    { K: inner, N: out, bits: bitsOf(format), block_size: block, accuracy_level: 4 },
    microsoft,
  )

/** Columns of the expanded weight, a whole number of blocks. */
const widthOf = ({ block, inner }: Quantization) => Math.ceil(inner / block) * block

const plainProduct = (e: Emitter, weight: Quantization, [x, codes, scales]: readonly string[]) => {
  const W = expanded(e, weight, codes, scales)
  return e.emit('FusedMatMul', [ordered(e, weight, x), W], { transA: 0, transB: 1 }, microsoft)
}

const backProduct = (e: Emitter, weight: Quantization, [dy, codes, scales]: readonly string[]) => {
  const width = widthOf(weight)
  const { inner } = weight
  const dx = e.emit('MatMul', [dy, expanded(e, weight, codes, scales)])
  const back = weight.format === 'int8' ? dx : swapped(e, dx, [2, width / 2], width)
  return inner === width ? back : e.emit('Slice', [back, sizes(e, 0), sizes(e, inner), sizes(e, 1)])
}

/** x [M, inner] padded with zeros to whole blocks, with its columns in the order of those of `expanded`. */
const ordered = (e: Emitter, weight: Quantization, x: string): string =>
  e.once(`ordered ${x} ${weight.format} ${weight.block}`, () => {
    const width = widthOf(weight)
    const { inner } = weight
    const padded = inner === width ? x : e.emit('Pad', [x, sizes(e, 0, width - inner), '', sizes(e, 1)])
    return weight.format === 'int8' ? padded : swapped(e, padded, [width / 2, 2], width)
  })

/** Each row as a matrix [a, b], transposed. */
const swapped = (e: Emitter, x: string, [a, b]: readonly [number, number], width: number): string => {
  const turned = e.emit('Transpose', [e.emit('Reshape', [x, sizes(e, -1, a, b)])], { perm: [0, 2, 1] })
  return e.emit('Reshape', [turned, sizes(e, -1, width)])
}

/** An integer weight as fp32 [out, width]; for 4 bits the even columns come before the odd ones. */
const expanded = (e: Emitter, weight: Quantization, codes: string, scales: string): string =>
  e.once(`expanded ${codes}`, () => {
    const { block, out } = weight
    const [, count, bytes] = storedShapes(weight).codes
    const flat = e.emit('Reshape', [codes, sizes(e, out, count * bytes)])
    const linear = (q: string, s: string, zero: number, blocks: number, size: number) => {
      const zeros = e.emit('Expand', [e.constant([zero], [], 'u8'), sizes(e, out, blocks)])
      return e.emit('DequantizeLinear', [q, s, zeros], { axis: 1, block_size: size })
    }
    if (weight.format === 'int8') return linear(flat, scales, 128, count, block)
    const low = e.emit('BitwiseAnd', [flat, e.constant([15], [], 'u8')])
    const high = e.emit('Div', [flat, e.constant([16], [], 'u8')])
    const joined = (a: string, b: string) => e.emit('Concat', [a, b], { axis: 1 })
    return linear(joined(low, high), joined(scales, scales), 8, 2 * count, block / 2)
  })
