/** Whether to decode with copies of the weights (see `DecoderOptions`), from the memory that is left. */
import type { Model } from '../passes/model.ts'
import { elements } from '../runtime/backend.ts'

/** Making the copies takes about as long as they save in this many steps. */
const repaid = 64

/** Rounded weights always: expanding them in every step costs more. @param steps that will be made at most */
export const worthPacking = ({ params, quantized }: Pick<Model, 'params' | 'quantized'>, steps: number): boolean => {
  if (quantized.size) return true
  const bytes = [...params.values()].reduce((n, { shape }) => n + 4 * elements(shape), 0)
  return steps >= repaid && 2 * bytes < process.availableMemory()
}
