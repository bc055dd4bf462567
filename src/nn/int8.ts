/**
 * Products with weights in 8-bit whole numbers, forward and backward. One scale for each output channel and one for each
 * row of x leave a product of whole numbers, which processors compute two to three times as fast as fp32.
 *
 * The rows of x may be rounded twice, the second time what the first rounding left (`terms` 2): then the result is that of
 * the 8-bit weights in fp32. SmoothQuant (Xiao et al. 2022, arXiv 2211.10438, eq. 3 and 4) helps where they are rounded once:
 * columns of x with large values are divided by a factor, and the weight's columns are multiplied by it.
 */
import type { CodeType } from '../tensor/primitives.ts'
import { scalar, type Tensor } from '../tensor/tensor.ts'
import type { Int8Weight } from './scope.ts'

/**
 * x W' [M, out] of x [M, inner].
 * @param W the fp32 weight behind the codes, where it is trained: [out, inner], or [inner, out] unless `transB`
 */
export const int8Product = (x: Tensor, weight: Int8Weight, W: Tensor | undefined, transB: boolean): Tensor => {
  const { codes, scales, back, smooth, terms } = weight
  const y = (smooth ? x.mul(smooth) : x).matmulInt8(codes, scales, terms)
  return y.withGrad([x, ...(W ? [W] : [])], (dy) => {
    const ones = scalar(1).broadcastTo([codes.shape[0]])
    const dx = dy.mul(scales).matmulInt8(back ?? codes.transpose([1, 0]), ones, 1)
    const dW = transB ? dy.matmul(x, { transA: true }) : x.matmul(dy, { transA: true })
    return [smooth ? dx.mul(smooth) : dx, ...(W ? [dW] : [])]
  })
}

/**
 * Logits h W' [M, V] of hidden states [M, C]. The gradient is that of the codes' values in fp32: a row of it is a peak and a long tail,
 * of which rounding by the row's largest magnitude would lose the tail.
 */
export const int8Head = (h: Tensor, { codes, scales, back, terms }: Int8Weight): Tensor =>
  h.matmulInt8(codes, scales, terms).withGrad([h], (dy) => {
    const W = wholeNumbers(back ?? codes.transpose([1, 0]))
    return [dy.mul(scales).matmul(W)]
  })

/** The whole numbers that codes stand for, as f32. */
export const wholeNumbers = (codes: Tensor): Tensor =>
  codes.dtype === 'u8' ? codes.cast('f32').sub(128) : codes.cast('f32')

/** Codes [inner, out] and [out, inner], and scales [out], of a weight W [out, inner]; of W / smooth where x is multiplied by that. */
export const int8Codes = (
  W: Tensor,
  dtype: CodeType,
  smooth?: Tensor,
): { codes: Tensor; back: Tensor; scales: Tensor } => {
  const divided = smooth ? W.div(smooth) : W
  const scales = divided.amax(1).max(divided.neg().amax(1)).div(127)
  const back = divided.roundRows(scales, dtype)
  return { codes: back.transpose([1, 0]), back, scales }
}
