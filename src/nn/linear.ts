/** Linear layers with LoRA. Weights keep the checkpoint's layout: [out, in], but [in, out] for GPT-2's Conv1D. */
import { type Dim, mulDims, type Shape } from '../tensor/dim.ts'
import { iota, scalar, type Tensor } from '../tensor/tensor.ts'
import type { LoraTerm, Scope } from './scope.ts'

/** x [..., in] -> [..., out]: x W' (+ bias) (+ LoRA). */
export const linear = (p: Scope, name: string, x: Tensor): Tensor => finish(p, name, x, product(p, name, x, true))

/** The same for a weight stored as [in, out]. */
export const conv1d = (p: Scope, name: string, x: Tensor): Tensor => finish(p, name, x, product(p, name, x, false))

/** Quantized weights are [out, in] whatever the checkpoint's layout. */
const product = (p: Scope, name: string, x: Tensor, transB: boolean): Tensor => {
  const rounded = p.quantized(`${name}.weight`)
  return rounded ? x.matmulQuantized(rounded) : x.matmul(p.get(`${name}.weight`), { transB })
}

const finish = (p: Scope, name: string, x: Tensor, product: Tensor): Tensor => {
  const lora = p.lora(name)
  const y = p.has(`${name}.bias`) ? product.add(p.get(`${name}.bias`)) : product
  return lora ? y.add(loraUpdate(lora, x)) : y
}

/** scaling * dropout(x) A' B' (Hu et al. 2021, eq. 3). A [r, in], B [out, r]. Dropout's 1 / (1 - p) is part of the factor. */
export const loraUpdate = ({ A, B, scaling, dropout, seed }: LoraTerm, x: Tensor): Tensor => {
  const dropped = seed ? keepMask(x.shape, dropout, seed).where(x, 0) : x
  const gain = seed ? scaling / (1 - dropout) : scaling
  return dropped.matmul(A, { transB: true }).mul(gain).matmul(B, { transB: true })
}

/** Prime below 2^31: products of two residues stay within 64 bits. */
const prime = 2_147_483_647

/** [n] in 0..prime: four rounds of x -> x^2 + c x + seed modulo the prime; the first input mixes index and seed. */
const hash = (n: Dim, seed: Tensor): Tensor => {
  const i64 = (value: number) => scalar(value, 'i64')
  const start = iota(n).add(seed).mod(i64(prime))
  const round = (h: Tensor, c: number) =>
    h
      .mul(h)
      .add(h.mul(i64(c)))
      .add(seed)
      .mod(i64(prime))
  return [48_271, 69_621, 40_692, 16_807].reduce(round, start)
}

/** [n] odd numbers below 2^63, of two hashes. */
const wideHash = (n: Dim, seed: Tensor, stream: number): Tensor => {
  const part = (k: number) => hash(n, seed.add(scalar((2 * stream + k) * 15_485_863, 'i64')))
  return part(0)
    .mul(scalar(2 ** 32, 'i64'))
    .add(part(1).mul(scalar(2, 'i64')))
    .add(scalar(1, 'i64'))
}

/**
 * [N, C]: which values dropout keeps. The bits are a hash of (row, column, seed), so a resumed run drops the same values. A row's
 * and a column's number are multiplied modulo 2^64 (i64 wraps), whose upper bits are well mixed (Dietzfelbinger et al.
 * 1997, multiply-shift): one product and one comparison an element, where hashing each would take a dozen passes.
 */
const keepMask = (shape: Shape, rate: number, seed: Tensor): Tensor => {
  const width = shape.at(-1)!
  const rows = shape.slice(0, -1).reduce(mulDims, 1)
  const product = wideHash(rows, seed, 0)
    .reshape([rows, 1])
    .mul(wideHash(width, seed, 1))
  return product.lt(scalar((1 - rate - 0.5) * 2 ** 64, 'i64')).reshape(shape)
}
