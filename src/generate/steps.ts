/**
 * Weights of code books as decoding takes them. Peculiar: on one row ONNX Runtime expands the whole of such a weight, where
 * its 8-bit product would read it once; so steps get a copy in whole numbers of 8 bits with the same blocks. A book's value
 * moves by at most 1/254 of its block's largest, a tenth of what the book itself has rounded away.
 */

import { codesOf, scalesOf } from '../nn/scope.ts'
import { compileProgram } from '../onnx/model.ts'
import { executable, type Model } from '../passes/model.ts'
import type { Handle, Handles } from '../runtime/backend.ts'
import { codeBooks, isBook, type Quantization, storedShapes } from '../tensor/quantization.ts'
import { constant, input } from '../tensor/tensor.ts'

/** How steps read a weight: rows that are no whole number of blocks stay as they are. */
export const stepsOf = (how: Quantization): Quantization =>
  isBook(how.format) && how.inner % how.block === 0 ? { ...how, format: 'int8' } : how

/** Both values of a byte, its high half first, as whole numbers around 128: [256, 2]. */
const pairs = (book: Float32Array) => {
  const code = (nibble: number) => 128 + Math.round(127 * book[nibble])
  const values = Array.from({ length: 256 }, (_, byte) => [code(byte >> 4), code(byte & 15)]).flat()
  return constant(values, [256, 2], 'u8')
}

/** Codes and scales of a weight as `stepsOf` describes them; all handles that this makes are added to `made`. */
export const convertSteps = (model: Model, name: string, how: Quantization, made: Handle[]): Handles => {
  if (!isBook(how.format)) return {}
  const { backend, params } = model
  const table = pairs(codeBooks[how.format])
  const program = executable(model, `steps ${how.format}`, () =>
    compileProgram('steps', {
      codes: table.gather(input('bytes', ['N'], 'u8').cast('i64')),
      scales: input('absmax', ['M']).div(127),
    }),
  )
  const flat = backend.run(program, { bytes: params.get(codesOf(name))!, absmax: params.get(scalesOf(name))! })
  const shapes = storedShapes(stepsOf(how))
  const codes = backend.view(flat.codes, 0, shapes.codes)
  const scales = backend.view(flat.scales, 0, shapes.scales)
  made.push(codes, scales, ...Object.values(flat))
  return { [codesOf(name)]: codes, [scalesOf(name)]: scales }
}
