/**
 * Lowering of products in 8-bit whole numbers. ONNX Runtime's own dynamic quantization takes one scale for all rows, so
 * that a row's result would depend on what else is in the batch; here every row has its own, and the product itself is
 * exact. Its three passes over x are shared by all products of the same x.
 */
import type { Dim } from '../tensor/dim.ts'
import type { CodeType } from '../tensor/primitives.ts'
import { type Emitter, type LowerRule, microsoft } from './emitter.ts'

/** Rows whose largest magnitude is smaller are multiplied as if it were this: a row of zeros must not be divided by 0. */
const tiny = 1e-30
/** The second term is so many times finer than the first, whose rounding leaves at most half a unit. */
const finer = 254

type Rounded = { terms: { codes: string; unit: string }[]; largest: string }

/**
 * [M, inner] -> each term's codes (u8, around 128) and its unit, in parts of the row's largest magnitude [M, 1]. Quantizing by
 * a scale for each row is one pass; dividing the rows first would be a second one that writes fp32.
 */
const roundedRows = (e: Emitter, x: string, M: Dim, terms: 1 | 2): Rounded =>
  e.once(`int8 ${x} ${terms}`, () => {
    const float = (value: number) => e.constant([value], [], 'f32')
    const last = e.constant([-1], [1], 'i64')
    const over = (op: string) => e.emit(op, [x, last], { keepdims: 1 })
    const most = e.emit('Max', [over('ReduceMax'), e.emit('Neg', [over('ReduceMin')]), float(tiny)])
    // ReduceMax overlooks a NaN where it is not the first value of its row; a sum does not
    const largest = e.emit('Add', [most, e.emit('Mul', [over('ReduceSum'), float(0)])])
    const rows = e.emit('Reshape', [most, last])
    const zeros = e.once(`int8 zeros ${M}`, () => e.emit('Expand', [e.constant([128], [], 'u8'), e.shape([M])]))
    const rounded = (of: string, steps: number) => {
      const scales = e.emit('Div', [rows, float(steps)])
      return { scales, codes: e.emit('QuantizeLinear', [of, scales, zeros], { axis: 0 }) }
    }
    const first = rounded(x, 127)
    const one = { codes: first.codes, unit: float(1 / 127) }
    if (terms === 1) return { terms: [one], largest }
    const rest = e.emit('Sub', [x, e.emit('DequantizeLinear', [first.codes, first.scales, zeros], { axis: 0 })])
    return { terms: [one, { codes: rounded(rest, 127 * finer).codes, unit: float(1 / (127 * finer)) }], largest }
  })

export const matmulInt8: LowerRule<'matmulInt8'> = (e, t, [x, codes, scales]) => {
  const rounded = roundedRows(e, x, t.shape[0], t.params.terms)
  const zero = e.constant([128], [], 'u8')
  const products = rounded.terms.map((term) =>
    e.emit(
      'MatMulIntegerToFloat',
      [term.codes, codes, term.unit, scales, zero, zeroOf(e, t.inputs[1].dtype as CodeType)],
      {},
      microsoft,
    ),
  )
  return e.emit('Mul', [products.reduce((a, b) => e.emit('Add', [a, b])), rounded.largest])
}

export const matmulCodes: LowerRule<'matmulCodes'> = (e, t, [a, codes, scales]) => {
  const { zero, unit } = t.params
  const zeros = [e.constant([zero], [], 'u8'), zeroOf(e, t.inputs[1].dtype as CodeType)]
  return e.emit('MatMulIntegerToFloat', [a, codes, e.constant([unit], [], 'f32'), scales, ...zeros], {}, microsoft)
}

export const roundShares: LowerRule<'roundShares'> = (e, _, [x]) =>
  e.emit('QuantizeLinear', [x, e.constant([1], [], 'f32'), e.constant([0], [], 'u8')])

const zeroOf = (e: Emitter, dtype: CodeType) => e.constant([dtype === 'u8' ? 128 : 0], [], dtype)

export const roundRows: LowerRule<'roundRows'> = (e, { params: { dtype }, inputs }, [x, scales]) => {
  const safe = e.emit('Max', [scales, e.constant([tiny], [], 'f32')])
  const zero = e.emit('Expand', [zeroOf(e, dtype), e.shape([inputs[0].shape[0]])])
  return e.emit('QuantizeLinear', [x, safe, zero], { axis: 0 })
}
