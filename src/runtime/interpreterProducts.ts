/** The interpreter's products of matrices: plain, of quantized weights, of groups, in 8-bit numbers, and from chunk to chunk. */
import { type DType, pairsOf } from '../tensor/primitives.ts'
import { dequantize } from '../tensor/quantization.ts'
import { assert } from '../util/fault.ts'
import { numel } from '../util/shape.ts'
import { type Out, type Rule, stretch, type Value } from './interpreterValues.ts'

export const matmul: Rule<'matmul'> = ([a, b], { transA, transB }, { shape }) => {
  const [m, n] = shape.slice(-2)
  const k = a.shape.at(transA ? -2 : -1)!
  const batch = shape.slice(0, -2)
  const A = stretch(a, [...batch, ...a.shape.slice(-2)])
  const B = stretch(b, [...batch, ...b.shape.slice(-2)])
  const y = new Float64Array(numel(shape))
  for (let o = 0; o < y.length; o++) {
    const [j, i, s] = [o % n, Math.floor(o / n) % m, Math.floor(o / (n * m))]
    for (let p = 0; p < k; p++)
      y[o] += A[s * m * k + (transA ? p * m + i : i * k + p)] * B[s * k * n + (transB ? j * k + p : p * n + j)]
  }
  return y
}

export const matmulQuantized: Rule<'matmulQuantized'> = ([x, codes, scales], { weight, transposed }, out) => {
  const data = Float64Array.from(dequantize(codes.data, scales.data, weight))
  return matmul([x, { shape: [weight.out, weight.inner], data }], { transA: false, transB: !transposed }, out)
}

/** The rows of each group. */
const groupsOf = ({ shape: [, width], data }: Value, sizes: Value): Value[] => {
  let end = 0
  return Array.from(sizes.data, (size) => {
    const start = end
    end += size
    return { shape: [size, width], data: data.subarray(start * width, end * width) }
  })
}

/** What a product makes of each group of rows, one after the other. */
const byGroup = (
  x: Value,
  sizes: Value,
  out: Out,
  multiply: (rows: Value, group: number, out: Out) => Float64Array,
) => {
  const groups = groupsOf(x, sizes)
  assert(
    groups.reduce((n, { shape }) => n + shape[0], 0) === x.shape[0],
    `groups of ${[...sizes.data]} rows of ${x.shape[0]}`,
  )
  const products = groups.map((rows, group) => multiply(rows, group, { ...out, shape: [rows.shape[0], out.shape[1]] }))
  return Float64Array.from(products.flatMap((product) => [...product]))
}

export const matmulGrouped: Rule<'matmulGrouped'> = ([x, sizes, ...weights], { transB }, out) =>
  byGroup(x, sizes, out, (rows, group, own) => matmul([rows, weights[group]], { transA: false, transB }, own))

export const matmulGroupedQuantized: Rule<'matmulGroupedQuantized'> = ([x, sizes, ...weights], params, out) =>
  byGroup(x, sizes, out, (rows, group, own) => matmulQuantized([rows, ...pairsOf(weights)[group]], params, own))

export const matmulOfGroup: Rule<'matmulOfGroup'> = ([a, b, sizes], { group }, out) =>
  matmul([groupsOf(a, sizes)[group], groupsOf(b, sizes)[group]], { transA: true, transB: false }, out)

/** Whole numbers that codes stand for. */
const wholeNumbers = (data: Float64Array, dtype: DType) => (dtype === 'u8' ? data.map((code) => code - 128) : data)

/** To even where it lies in the middle. */
const roundEven = (x: number) => {
  const low = Math.floor(x)
  return x - low === 0.5 ? low + (low % 2 === 0 ? 0 : 1) : Math.round(x)
}

const clipped = (x: number) => Math.min(127, Math.max(-127, x))

export const matmulInt8: Rule<'matmulInt8'> = ([x, codes, scales], { terms }, out) => {
  const [M, inner] = x.shape
  const data = Float64Array.from(x.data)
  for (let m = 0; m < M; m++) {
    const row = data.subarray(m * inner, (m + 1) * inner)
    const largest = Math.max(...row.map(Math.abs))
    if (largest === 0) continue
    for (const [i, value] of row.entries()) {
      const scaled = (value / largest) * 127
      const first = roundEven(scaled)
      const rest = terms === 2 ? clipped(roundEven((scaled - first) * 254)) / 254 : 0
      row[i] = ((first + rest) / 127) * largest
    }
  }
  const W = wholeNumbers(codes.data, out.inputs[1]).map((code, i) => code * scales.data[i % codes.shape[1]])
  return matmul(
    [
      { shape: x.shape, data },
      { shape: codes.shape, data: W },
    ],
    { transA: false, transB: false },
    out,
  )
}

export const matmulCodes: Rule<'matmulCodes'> = ([a, codes, scales], { zero, unit }, out) => {
  const W = wholeNumbers(codes.data, out.inputs[1]).map((code, i) => code * scales.data[i % codes.shape[1]])
  return matmul(
    [
      { shape: a.shape, data: a.data.map((code) => (code - zero) * unit) },
      { shape: codes.shape, data: W },
    ],
    { transA: false, transB: false },
    out,
  )
}

export const roundShares: Rule<'roundShares'> = ([x]) =>
  x.data.map((value) => Math.min(255, Math.max(0, roundEven(value))))

export const roundRows: Rule<'roundRows'> = ([x, scales], { dtype }) =>
  x.data.map((value, i) => {
    const scale = scales.data[Math.floor(i / x.shape[1])]
    return (scale === 0 ? 0 : clipped(roundEven(value / scale))) + (dtype === 'u8' ? 128 : 0)
  })

export const deltaScan: Rule<'deltaScan'> = ([updates, decay, a, b], { reverse }, out) => {
  const [states, ...shape] = updates.shape
  const part = ({ shape: [, ...own], data }: Value, i: number): Value => ({
    shape: own,
    data: data.subarray(i * numel(own), (i + 1) * numel(own)),
  })
  const y = { shape: updates.shape, data: updates.data.slice() }
  for (let step = 1; step < states; step++) {
    const [from, to] = reverse ? [states - step, states - step - 1] : [step - 1, step]
    const chunk = Math.min(from, to)
    const [state, own] = [part(y, from), part(b, chunk)]
    const read = [...own.shape.slice(0, -1), shape[2]]
    const B = matmul([own, state], { transA: false, transB: false }, { ...out, shape: read })
    const removed = matmul(
      [part(a, chunk), { shape: read, data: B }],
      { transA: true, transB: false },
      { ...out, shape },
    )
    const kept = stretch(part(decay, chunk), shape)
    const made = part(y, to).data
    for (const [i, value] of state.data.entries()) made[i] += kept[i] * value - removed[i]
  }
  return y.data
}
