/** Linear layers with LoRA. Weights keep the checkpoint's layout: [out, in], but [in, out] for GPT-2's Conv1D. */
import { type Dim, mulDims, type Shape } from '../tensor/dim.ts'
import { iota, scalar, type Tensor, zeros } from '../tensor/tensor.ts'
import { int8Product } from './int8.ts'
import type { LoraTerm, Scope } from './scope.ts'

/** x [..., in] -> [..., out]: x W' (+ bias) (+ LoRA, or DoRA). */
export const linear = (p: Scope, name: string, x: Tensor): Tensor => adapted(p, name, x, true)

/** The same for a weight stored as [in, out]. */
export const conv1d = (p: Scope, name: string, x: Tensor): Tensor => adapted(p, name, x, false)

/** Quantized weights are [out, in] whatever the checkpoint's layout. */
const product = (p: Scope, name: string, x: Tensor, transB: boolean): Tensor => {
  const whole = p.int8(`${name}.weight`)
  if (whole) return int8Product(x, whole, p.has(`${name}.weight`) ? p.get(`${name}.weight`) : undefined, transB)
  const rounded = p.quantized(`${name}.weight`)
  return rounded ? x.matmulQuantized(rounded) : x.matmul(p.get(`${name}.weight`), { transB })
}

const adapted = (p: Scope, name: string, x: Tensor, transB: boolean): Tensor => {
  const lora = p.lora(name)
  const plain = product(p, name, x, transB)
  const directed = lora?.magnitude
    ? doraProduct(p, name, x, plain, { ...lora, magnitude: lora.magnitude }, transB)
    : plain
  const y = p.has(`${name}.bias`) ? directed.add(p.get(`${name}.bias`)) : directed
  return lora && !lora.magnitude ? y.add(loraUpdate(lora, x)) : y
}

/**
 * x W' becomes x V', the rows of V those of W + scaling B A with the lengths that the magnitude says. As in the paper (Liu et al.
 * 2024, arXiv 2402.09353, section 4.3) gradients take the lengths before as constants. Dropout is of x in all that differs from x W',
 * as in PEFT.
 */
const doraProduct = (
  p: Scope,
  name: string,
  x: Tensor,
  plain: Tensor,
  lora: LoraTerm & { magnitude: Tensor },
  transB: boolean,
): Tensor => {
  const lengths = rowLengths(p.get(`${name}.weight`), lora, transB).stopGradient()
  const gain = lora.magnitude.div(lengths)
  if (!lora.seed) return plain.add(loraUpdate(lora, x)).mul(gain)
  const { dropped } = dropValues(lora, x)
  const whole = dropped.div(1 - lora.dropout)
  const update = loraUpdate({ ...lora, seed: undefined }, whole)
  return plain.add(product(p, name, whole, transB).mul(gain.sub(1))).add(update.mul(gain))
}

/**
 * [out]: the lengths of the rows of W + s B A, without making that: |w + s b A|^2 = |w|^2 + 2 s b (A w') + s^2 b (A A') b'.
 * @param W [out, in], or [in, out] unless `transB`
 */
const rowLengths = (W: Tensor, { A, B, scaling }: LoraTerm, transB: boolean): Tensor => {
  const own = W.square().sum(transB ? 1 : 0)
  const cross = A.matmul(W, { transB }).transpose([1, 0]).mul(B).sum(1)
  const square = B.matmul(A.matmul(A, { transB: true }))
    .mul(B)
    .sum(1)
  return own
    .add(cross.mul(2 * scaling))
    .add(square.mul(scaling ** 2))
    .sqrt()
}

/** scaling * dropout(x) A' B' (Hu et al. 2021, eq. 3). A [r, in], B [out, r]. */
export const loraUpdate = (term: LoraTerm, x: Tensor): Tensor => {
  const { dropped, gain } = dropValues(term, x)
  return dropped.matmul(term.A, { transB: true }).mul(gain).matmul(term.B, { transB: true })
}

/** dropout(x), and the scaling with dropout's 1 / (1 - p) in it. */
const dropValues = ({ scaling, dropout, seed }: LoraTerm, x: Tensor) =>
  seed
    ? { dropped: keepMask(x.shape, dropout, seed).where(x, 0), gain: scaling / (1 - dropout) }
    : { dropped: x, gain: scaling }

/**
 * A linear layer of each expert, with LoRA on all of them or none: x [S, in] in groups, the rows of one expert after those of the
 * other -> [S, out].
 * @param names of the experts' modules   @param sizes [experts] i64: rows of each
 */
export const groupedLinear = (p: Scope, names: readonly string[], x: Tensor, sizes: Tensor): Tensor => {
  const transB = { transB: true }
  const weights = names.map((name) => `${name}.weight`)
  const rounded = weights.flatMap((weight) => p.quantized(weight) ?? [])
  const plain = rounded.length
    ? x.matmulGroupedQuantized(sizes, rounded)
    : x.matmulGrouped(sizes, weights.map(p.get), transB)
  const y = p.has(`${names[0]}.bias`) ? plain.add(groupedBias(p, names, x.shape[0], sizes)) : plain
  const terms = names.flatMap((name) => p.lora(name) ?? [])
  if (!terms.length) return y
  const [As, Bs] = [terms.map(({ A }) => A), terms.map(({ B }) => B)]
  const { dropped, gain } = dropValues(terms[0], x)
  return y.add(dropped.matmulGrouped(sizes, As, transB).mul(gain).matmulGrouped(sizes, Bs, transB))
}

/** [rows, out]: the bias of each row's expert, as the product of a column of ones with it. */
const groupedBias = (p: Scope, names: readonly string[], rows: Dim, sizes: Tensor): Tensor => {
  const biases = names.map((name) => p.get(`${name}.bias`)).map((bias) => bias.reshape([1, bias.shape[0]]))
  return zeros([rows, 1]).add(1).matmulGrouped(sizes, biases)
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
