/** Multiplies each row of x [M, C] by its own weight [M], into a new handle or in place. */
import { compileProgram } from '../onnx/model.ts'
import type { Handle } from '../runtime/backend.ts'
import { input } from '../tensor/tensor.ts'
import { executable, type Model } from './model.ts'

export const scaleRows = (model: Model, x: Handle, weights: Handle, into?: Handle): Handle => {
  const program = executable(model, 'scaleRows', () => {
    const [rows, w] = [input('x', ['M', 'C']), input('w', ['M'])]
    return compileProgram('scaleRows', { y: rows.mul(w.reshape(['M', 1])) })
  })
  return model.backend.run(program, { x, w: weights }, into && { y: into }).y
}
