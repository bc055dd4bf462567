/**
 * Linear layers with their low-rank updates. Weights keep the checkpoint's layout: [out, in] everywhere but GPT-2,
 * whose Conv1D stores [in, out].
 */
import { sizeOf } from '../tensor/dim.ts'
import { iota, scalar, type Tensor } from '../tensor/tensor.ts'
import type { LoraTerm, Scope } from './scope.ts'

/** x [..., in] -> [..., out]: x W' (+ bias) (+ LoRA). */
export const linear = (p: Scope, name: string, x: Tensor): Tensor =>
  finish(p, name, x, x.matmul(p.get(`${name}.weight`), { transB: true }))

/** The same for a weight stored as [in, out]. */
export const conv1d = (p: Scope, name: string, x: Tensor): Tensor =>
  finish(p, name, x, x.matmul(p.get(`${name}.weight`)))

const finish = (p: Scope, name: string, x: Tensor, product: Tensor): Tensor => {
  const lora = p.lora(name)
  const y = p.has(`${name}.bias`) ? product.add(p.get(`${name}.bias`)) : product
  return lora ? y.add(loraUpdate(lora, x)) : y
}

/** scaling * dropout(x) A' B' (Hu et al. 2021, eq. 3). A [r, in], B [out, r]. */
export const loraUpdate = ({ A, B, scaling, dropout, seed }: LoraTerm, x: Tensor): Tensor => {
  const dropped = seed ? x.mul(dropoutMask(x, dropout, seed)) : x
  return dropped.matmul(A, { transB: true }).mul(scaling).matmul(B, { transB: true })
}

/** Prime below 2^31: products of two residues stay within 64 bits. */
const prime = 2_147_483_647

/**
 * 1/(1-rate) where a value stays, else 0. The bits are a hash of (element, seed), so a resumed run drops the same
 * values. The hash is four rounds of x -> x^2 + c x + seed modulo a prime; the first input mixes index and seed.
 */
const dropoutMask = (x: Tensor, rate: number, seed: Tensor): Tensor => {
  let h = iota(sizeOf(x.shape)).add(seed).mod(scalar(prime, 'i64'))
  for (const c of [48_271, 69_621, 40_692, 16_807])
    h = h
      .mul(h)
      .add(h.mul(scalar(c, 'i64')))
      .add(seed)
      .mod(scalar(prime, 'i64'))
  const stays = h.lt(scalar(Math.round((1 - rate) * prime), 'i64'))
  return stays.where(scalar(1 / (1 - rate)), 0).reshape(x.shape)
}
