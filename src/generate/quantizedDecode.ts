/**
 * Quantized weights in the format that decoding reads.
 *
 * For a single row ONNX Runtime expands a whole weight in a code-book format (nf4, fp4), where its 8-bit product would read
 * it once. So decode steps get a copy in 8-bit integers with the same blocks. A value moves by at most 1/254 of its
 * block's largest, a tenth of the code book's own rounding. Beside quantized blocks the head would be most of what a step
 * reads, so decoding has it in 8 bits too; scoring and training never do.
 */

import { codesOf, scalesOf } from '../nn/scope.ts'
import { compileProgram } from '../onnx/model.ts'
import { executable, type Model } from '../passes/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { codeBooks, isCodeBook, type Quantization, quantization, storedShapes } from '../tensor/quantization.ts'
import { constant, input } from '../tensor/tensor.ts'
import { numel } from '../util/shape.ts'

/** The format in which decode steps read a weight. It stays where rows are not a whole number of blocks. */
export const decodeQuantization = (how: Quantization): Quantization =>
  isCodeBook(how.format) && how.inner % how.block === 0 ? { ...how, format: 'int8' } : how

/** Both values of a byte, its high half first, as whole numbers around 128: [256, 2]. */
const pairs = (book: Float32Array) => {
  const code = (nibble: number) => 128 + Math.round(127 * book[nibble])
  const values = Array.from({ length: 256 }, (_, byte) => [code(byte >> 4), code(byte & 15)]).flat()
  return constant(values, [256, 2], 'u8')
}

/** Codes and scales of a weight in the format of `decodeQuantization`; all handles that this makes are added to `made`. */
export const convertCodeBook = (model: Model, name: string, how: Quantization, made: Handle[]): Handles => {
  if (!isCodeBook(how.format)) return {}
  const { backend, params } = model
  const table = pairs(codeBooks[how.format])
  const program = executable(model, `steps ${how.format}`, () =>
    compileProgram('steps', {
      codes: table.gather(input('bytes', ['N'], 'u8').cast('i64')),
      scales: input('absmax', ['M']).div(127),
    }),
  )
  const flat = backend.run(program, { bytes: params.get(codesOf(name))!, absmax: params.get(scalesOf(name))! })
  const shapes = storedShapes(decodeQuantization(how))
  const codes = backend.view(flat.codes, 0, shapes.codes)
  const scales = backend.view(flat.scales, 0, shapes.scales)
  made.push(codes, scales, ...Object.values(flat))
  return { [codesOf(name)]: codes, [scalesOf(name)]: scales }
}

/** The format of a quantized model's head in decoding; undefined where it stays fp32: rows are not a whole number of blocks. */
export const headQuantization = ({ quantized, params }: Model, weight: string): Quantization | undefined => {
  if (!quantized.size) return undefined
  const [out, inner] = params.get(weight)!.shape
  const how = quantization('int8', [out, inner])
  return inner % how.block === 0 ? how : undefined
}

/** Values that are quantized at a time. */
const atOnce = 2 ** 22

/** Codes and scales of an fp32 weight, computed on the backend as `quantize` computes them. */
export const quantizeOnBackend = (model: Model, name: string, how: Quantization): Handles => {
  const { backend, params } = model
  const { out, inner, block } = how
  const shapes = storedShapes(how)
  const made = { codes: backend.zeros(shapes.codes, 'u8'), scales: backend.zeros(shapes.scales) }
  const program = executable(model, `round ${inner} ${block}`, () => compileProgram('round', roundedBlocks(how)))
  const rows = Math.max(1, Math.floor(atOnce / inner))
  for (let from = 0; from < out; from += rows) {
    const count = Math.min(rows, out - from)
    const part = (handle: Handle) => {
      const [, ...rest] = handle.shape
      return backend.view(handle, from * numel(rest), [count, ...rest])
    }
    const [w, codes, scales] = [params.get(name)!, made.codes, made.scales].map(part)
    backend.run(program, { w }, { codes, scales })
    backend.free([w, codes, scales])
  }
  return { [codesOf(name)]: made.codes, [scalesOf(name)]: made.scales }
}

const roundedBlocks = ({ inner, block }: Quantization) => {
  const w = input('w', ['R', inner]).reshape(['R', inner / block, block])
  const [most, least] = [w.amax(-1, true), w.neg().amax(-1, true).neg()]
  const scales = most.add(least).ge(0).where(most, least).div(-128)
  const inverse = scales.eq(0).where(0, scales.pow(-1))
  return {
    codes: w.mul(inverse).add(128.5).min(255).cast('u8'),
    scales: scales.reshape(['R', inner / block]),
  }
}
